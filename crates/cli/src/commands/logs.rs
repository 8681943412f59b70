//! `logs`: what workers and the engine wrote, read from their files, whether an engine runs or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use evercrew_config::{LogFiles, Settings};
use evercrew_logger::{Entry, Follower, Lines, Snapshot, color, harmless};
use evercrew_sys::inotify::Inotify;
use evercrew_sys::limits;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::output::{Reader, print_bytes, say};
use crate::up;

/// Between two looks for files that are new, and at files where the kernel tells of no changes.
const LOOK: Duration = Duration::from_millis(250);

/// How long a running engine may take to say where its log files are.
const ASK: Duration = Duration::from_millis(500);

/// The name of the engine among names of services.
const ENGINE: &str = "engine";

/// Show what workers and the engine wrote
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Services or workers: web, web.2; `engine` for the engine itself; everything if none is named
    names: Vec<String>,
    /// Go on as lines come
    #[arg(short, long)]
    follow: bool,
    /// The last N lines, or `all`
    #[arg(short = 'n', long, value_name = "N", value_parser = most)]
    lines: Option<usize>,
    /// Only what was written to standard error
    #[arg(long)]
    err: bool,
    /// Since then: 10m, or 2026-01-31T12:00:00Z; without -n all of it
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "REGEX", value_parser = Regex::new)]
    grep: Option<Regex>,
}

/// How many lines are shown when nothing is said.
const MOST: usize = 100;

fn most(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        number => number.parse().map_err(|_| "expects a number or `all`".to_owned()),
    }
}

fn since(text: &str) -> Result<String, String> {
    let ago = evercrew_config::parse_duration(text).ok().map(evercrew_logger::ago);
    ago.or_else(|| evercrew_logger::moment(text))
        .ok_or_else(|| "expects a time like 10m, 2h or 2026-01-31T12:00:00Z".to_owned())
}

impl Logs {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let directory = directory(global);
        // One descriptor for each file that is followed.
        let _ = limits::raise_nofile();
        let watch = if self.follow { Inotify::of_writes(&directory).ok() } else { None };
        let bases = evercrew_logger::names(&directory).map_err(|error| unreadable(&directory, &error))?;
        self.check_names(&bases, &directory, global)?;
        let style = Style::of(global);
        let mut snapshots = BTreeMap::new();
        for base in bases.iter().filter(|base| self.reads(base)) {
            let snapshot = Snapshot::take(&directory, base).map_err(|error| unreadable(&directory, &error))?;
            snapshots.insert(base.clone(), snapshot);
        }
        let most = self.lines.unwrap_or(if self.since.is_some() { usize::MAX } else { MOST });
        let heard = match most {
            usize::MAX => self.show_all(&snapshots, style),
            most => self.show_last(&mut snapshots, most, style),
        };
        if heard? == Reader::Gone || !self.follow {
            return Ok(0);
        }
        let mut followers = BTreeMap::new();
        for (base, snapshot) in snapshots {
            let follower = Follower::after(snapshot).map_err(|error| unreadable(&directory, &error))?;
            followers.insert(base, follower);
        }
        Following { logs: self, directory, watch, followers, style }.run(global.timeout)
    }

    fn since(&self) -> &str {
        self.since.as_deref().unwrap_or_default()
    }

    /// Whether a file may have lines that are asked for.
    fn reads(&self, base: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| may_have(base, name))
    }

    fn wants(&self, entry: &Entry) -> bool {
        let named =
            self.names.is_empty() || self.names.iter().any(|name| *name == entry.worker || *name == entry.service);
        // A line that does not say whose it is belongs to the file, which was chosen.
        (named || entry.worker.is_empty())
            && (!self.err || entry.stream == "err")
            && self.grep.as_ref().is_none_or(|regex| regex.is_match(&String::from_utf8_lossy(&entry.text)))
    }

    /// Every name means something, and something that has files.
    fn check_names(&self, bases: &BTreeSet<String>, directory: &Path, global: &Global) -> Result<(), Failure> {
        let unseen: Vec<&String> =
            self.names.iter().filter(|name| !bases.iter().any(|base| may_have(base, name))).collect();
        if unseen.is_empty() && !bases.is_empty() {
            return Ok(());
        }
        // A file that is broken, or not there, is no obstacle to reading others.
        let settings = up::read_configuration(global).ok().map(|(_, settings)| settings);
        let mut silent = 0;
        for name in &unseen {
            match settings.as_ref().map(|settings| known(settings, name, global)) {
                Some(Some(LogFiles::None)) => {
                    say(format!(
                        "{name} has no log files (`files = \"none\"`): its lines are on the engine's standard output alone"
                    ));
                    silent += 1;
                }
                Some(Some(LogFiles::Worker | LogFiles::Service)) => {}
                Some(None) | None if *name == ENGINE => {}
                Some(None) | None => {
                    let text = format!("there is no service or worker `{name}`, and no log of one");
                    let services = settings.iter().flat_map(|settings| &settings.services);
                    let names = services.map(|service| service.name.as_str()).chain(bases.iter().map(String::as_str));
                    let near = evercrew_config::nearest_name(name, names);
                    let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
                    let hint = format!("{meant}log files are in {}", directory.display());
                    return Err(Failure::new(code::UNKNOWN, text).hint(hint));
                }
            }
        }
        if silent > 0 && silent == self.names.len() {
            let text = "nothing that was asked for has log files";
            return Err(Failure::new(code::FAILURE, text).hint("write `log = { files = \"worker\" }` in the service"));
        }
        if self.names.is_empty() && settings.is_some_and(|settings| keeps_nothing(&settings)) {
            return Err(Failure::new(code::FAILURE, "no lines are kept (`files = \"none\"` in [log])")
                .hint("they are on the engine's standard output"));
        }
        Ok(())
    }

    fn show_last(
        &self,
        snapshots: &mut BTreeMap<String, Snapshot>,
        most: usize,
        style: Style,
    ) -> Result<Reader, Failure> {
        let mut entries = Vec::new();
        for (base, snapshot) in snapshots {
            match snapshot.last(most, self.since(), &|entry| self.wants(entry)) {
                Ok(last) => entries.extend(last),
                Err(error) => say(format!("cannot read all of {base}: {error}")),
            }
        }
        // Stable: lines of one file stay in their order.
        entries.sort_by(|one, other| one.time.cmp(&other.time));
        let first = entries.len().saturating_sub(most);
        style.print(&entries[first..])
    }

    /// Every line of several files, by time; those of one file in their order.
    fn show_all(&self, snapshots: &BTreeMap<String, Snapshot>, style: Style) -> Result<Reader, Failure> {
        let mut sources: Vec<(&String, Lines, Option<Entry>)> = Vec::new();
        for (base, snapshot) in snapshots {
            match snapshot.lines(self.since()) {
                Ok(mut lines) => {
                    let head = self.next(base, &mut lines);
                    sources.push((base, lines, head));
                }
                Err(error) => say(format!("cannot read {base}: {error}")),
            }
        }
        let earliest = |sources: &[(&String, Lines, Option<Entry>)]| {
            let heads = sources.iter().enumerate().filter_map(|(at, (_, _, head))| Some((at, &head.as_ref()?.time)));
            heads.min_by_key(|(_, time)| *time).map(|(at, _)| at)
        };
        let mut chunk = Vec::new();
        while let Some(at) = earliest(&sources) {
            let (base, lines, head) = &mut sources[at];
            let next = self.next(base, lines);
            chunk.extend(std::mem::replace(head, next));
            if chunk.len() == 256 && style.print(&std::mem::take(&mut chunk))? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        style.print(&chunk)
    }

    fn next(&self, base: &str, lines: &mut Lines) -> Option<Entry> {
        loop {
            match lines.next()? {
                Ok(entry) if self.wants(&entry) => return Some(entry),
                Ok(_) => {}
                Err(error) => say(format!("cannot read all of {base}: {error}")),
            }
        }
    }
}

/// Lines as they come.
struct Following<'a> {
    logs: &'a Logs,
    directory: PathBuf,
    /// `None` where the kernel tells nothing: then it is looked every now and then.
    watch: Option<Inotify>,
    followers: BTreeMap<String, Follower>,
    style: Style,
}

impl Following<'_> {
    fn run(mut self, timeout: Option<Duration>) -> Result<u8, Failure> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        let mut looked = Instant::now();
        let mut changed = true;
        loop {
            let mut entries = Vec::new();
            let mut more = false;
            for (base, follower) in &mut self.followers {
                match follower.look() {
                    Ok(found) => {
                        if found.lost {
                            say(format!("files of {base} were deleted before they were read"));
                        }
                        more |= found.more;
                        entries.extend(found.lines.iter().map(|line| Entry::parse(line)));
                    }
                    Err(error) => say(format!("cannot read {base}: {error}")),
                }
            }
            entries.retain(|entry| self.logs.wants(entry));
            entries.sort_by(|one, other| one.time.cmp(&other.time));
            if self.style.print(&entries)? == Reader::Gone {
                return Ok(0);
            }
            if more {
                continue;
            }
            if changed && looked.elapsed() >= LOOK {
                (looked, changed) = (Instant::now(), false);
                self.find_new();
                continue;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Failure::new(code::TIMEOUT, "the time given by --timeout is over"));
            }
            changed |= self.wait(changed, left)?;
        }
    }

    /// Until something changes.
    fn wait(&self, soon: bool, left: Option<Duration>) -> Result<bool, Failure> {
        let patience = if soon || self.watch.is_none() { LOOK } else { Duration::from_secs(3600) };
        let patience = left.map_or(patience, |left| left.min(patience));
        match &self.watch {
            Some(watch) => {
                let failed = |error| Failure::new(code::FAILURE, format!("cannot watch the log files: {error}"));
                watch.wait(patience).map_err(failed)
            }
            None => {
                std::thread::park_timeout(patience);
                Ok(true)
            }
        }
    }

    /// Workers that are new have files that are new.
    fn find_new(&mut self) {
        if self.watch.is_none() {
            self.watch = Inotify::of_writes(&self.directory).ok();
        }
        for base in evercrew_logger::names(&self.directory).unwrap_or_default() {
            if self.logs.reads(&base) && !self.followers.contains_key(&base) {
                let follower = Follower::from_start(&self.directory, &base);
                self.followers.insert(base, follower);
            }
        }
    }
}

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
struct Style {
    json: bool,
    color: bool,
    /// What could command a terminal is made visible.
    harmless: bool,
}

impl Style {
    fn of(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let color = up::colored_on(global.color, &io::stdout());
        Self { json: global.json, color, harmless: terminal }
    }

    fn print(self, entries: &[Entry]) -> Result<Reader, Failure> {
        let mut bytes = Vec::new();
        for entry in entries {
            self.show(entry, &mut bytes);
        }
        if bytes.is_empty() { Ok(Reader::Listens) } else { print_bytes(&bytes) }
    }

    fn show(self, entry: &Entry, bytes: &mut Vec<u8>) {
        let Entry { time, worker, service, stream, text, .. } = entry;
        if self.json {
            let text = String::from_utf8_lossy(text);
            let line = json!({"time": time, "service": service, "worker": worker, "stream": stream, "text": text});
            bytes.extend_from_slice(format!("{line}\n").as_bytes());
            return;
        }
        if !worker.is_empty() {
            let bar = if self.color && stream == "err" { "\x1b[31m|" } else { "|" };
            let label = match self.color {
                true => format!("{time} \x1b[{}m{worker} {bar}\x1b[0m ", color(service)),
                false => format!("{time} {worker} {bar} "),
            };
            bytes.extend_from_slice(label.as_bytes());
            if stream != "out" && stream != "err" {
                // The logger's own word on a worker, or how loud the engine said it.
                bytes.extend_from_slice(format!("[{stream}] ").as_bytes());
            }
        }
        if self.harmless {
            bytes.extend_from_slice(harmless(text).as_bytes());
        } else {
            bytes.extend_from_slice(text);
        }
        bytes.push(b'\n');
    }
}

/// Where the log files are: the running engine knows; the file says it where none runs, or none that answers soon.
fn directory(global: &Global) -> PathBuf {
    let engine = Engine::of(global);
    let told = engine
        .ask(&status(Map::new()), |_| {})
        .ok()
        .and_then(|reply| reply.content["logs"].as_str().map(PathBuf::from));
    // An engine in another view of the file system may name what is not there.
    told.filter(|directory| directory.is_dir()).unwrap_or_else(|| {
        let environment = evercrew_config::environment();
        evercrew_config::log_directory(&global.config, &global.set, environment, engine.directory())
    })
}

/// Whether a running engine has this worker.
fn has(global: &Global, name: &str) -> bool {
    Engine::of(global).ask(&status(change::names(&[name.to_owned()])), |_| {}).is_ok()
}

fn status(args: Map<String, Value>) -> Question {
    Question::look("status", args, Some(ASK))
}

/// Whether the file `base` may have lines of `name`: its own, its service's, or one of its workers'.
pub(crate) fn may_have(base: &str, name: &str) -> bool {
    let service = |name: &str| name.rsplit_once('.').map(|(service, _)| service.to_owned());
    base == name
        || service(base).is_some_and(|service| service == name)
        || service(name).is_some_and(|service| service == base)
}

/// Where lines of this service or worker go, if there is such a one.
fn known(settings: &Settings, name: &str, global: &Global) -> Option<LogFiles> {
    let of_worker = || {
        let (service, slot) = name.rsplit_once('.')?;
        let (service, slot) = (settings.service(service)?, slot.parse::<u32>().ok()?);
        // More than the file says may be wanted of a running engine.
        (slot > 0 && (slot <= service.policy.workers || has(global, name))).then_some(service)
    };
    settings.service(name).or_else(of_worker).map(|service| service.log.files)
}

fn keeps_nothing(settings: &Settings) -> bool {
    let all = settings.services.iter().map(|service| service.log.files);
    all.chain([settings.log.style.files]).all(|files| files == LogFiles::None)
}

fn unreadable(directory: &Path, error: &io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::PermissionDenied { code::FORBIDDEN } else { code::FAILURE };
    Failure::new(code, format!("cannot read the log files in {}: {error}", directory.display()))
}
