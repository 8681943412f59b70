//! `up --watch`: files of services change, and their workers are replaced. For development.
//!
//! A thread of its own walks and watches directories, since both may wait for a disk; the loop hears of services whose
//! files changed, once nothing has for [`QUIET`]. What is watched is bounded, and hidden directories and those that
//! tools write to are left out. The kernel tells of one directory at a time, so new ones are walked when they appear.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evercrew_core::fleet::{Event, Pace, ServiceState};
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::inotify::{Change, Inotify};
use serde_json::json;
use tokio::sync::mpsc;

use crate::input::Input;
use crate::manager::Manager;
use evercrew_core::Level;

/// Directories watched at most.
const MOST_DIRECTORIES: usize = 8192;
/// So long nothing has to change before workers are replaced: an editor or a build writes more than one file.
const QUIET: Duration = Duration::from_millis(200);
/// Workers are replaced after this long, though files go on changing.
const LONGEST: Duration = Duration::from_secs(2);
/// Directories that tools write to.
const TOOLS: &[&str] = &["target", "node_modules", "__pycache__", "logs"];

/// What of a service is watched.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) service: String,
    pub(crate) directory: PathBuf,
    /// Files below the directory that count; all if there are none.
    pub(crate) patterns: Vec<String>,
}

/// The directories that are watched, and for whom.
struct Tree {
    inotify: Inotify,
    roots: Vec<Root>,
    /// Never looked into: the engine's own.
    own: PathBuf,
    directories: BTreeMap<i32, PathBuf>,
    complete: bool,
}

impl Tree {
    /// Watches the directory and what is below it.
    fn add(&mut self, directory: &Path) {
        let mut open = vec![directory.to_path_buf()];
        while let Some(directory) = open.pop() {
            if directory == self.own {
                continue;
            }
            if self.directories.len() >= MOST_DIRECTORIES {
                self.complete = false;
                return;
            }
            // One that is gone again or may not be read has nothing to tell.
            let Ok(number) = self.inotify.watch(&directory) else { continue };
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_directory && !is_left_out(&entry.file_name().to_string_lossy()) {
                    open.push(entry.path());
                }
            }
            self.directories.insert(number, directory);
        }
    }

    fn add_all(&mut self) {
        self.directories.clear();
        for directory in self.roots.iter().map(|root| root.directory.clone()).collect::<BTreeSet<_>>() {
            self.add(&directory);
        }
    }

    /// The services that this change is about.
    fn concerned(&mut self, change: Change) -> BTreeSet<String> {
        let (watch, name, directory) = match change {
            Change::Entry { watch, name, directory } => (watch, name, directory),
            Change::Gone(number) => {
                self.directories.remove(&number);
                return BTreeSet::new();
            }
            Change::Overflow => {
                self.add_all();
                return self.roots.iter().map(|root| root.service.clone()).collect();
            }
        };
        let Some(path) = self.directories.get(&watch).map(|within| within.join(&name)) else { return BTreeSet::new() };
        if is_left_out(&name.to_string_lossy()) || path == self.own {
            return BTreeSet::new();
        }
        if directory {
            self.add(&path);
        }
        let about = self.roots.iter().filter(|root| root.counts(&path, directory));
        about.map(|root| root.service.clone()).collect()
    }
}

impl Root {
    fn counts(&self, path: &Path, directory: bool) -> bool {
        let Ok(below) = path.strip_prefix(&self.directory) else { return false };
        let below = below.to_string_lossy();
        // What is in a directory that appears as a whole was written before anybody watched it.
        self.patterns.is_empty() || directory || self.patterns.iter().any(|pattern| fits(pattern, &below))
    }
}

/// Hidden ones, what tools write, and what editors leave for a moment.
fn is_left_out(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || TOOLS.contains(&name) || name == "4913"
}

/// Whether the path fits: `*` and `?` within a name, `**` for any number of directories.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    // reached[i]: the first i names fit what was seen of the pattern.
    let mut reached: Vec<bool> = (0..=path.len()).map(|names| names == 0).collect();
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = if part == "**" {
                reached[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && reached[at - 1] && name_fits(part.as_bytes(), path[at - 1].as_bytes())
            };
        }
        reached = next;
    }
    reached[path.len()]
}

fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut reached: Vec<bool> = (0..=name.len()).map(|bytes| bytes == 0).collect();
    for sign in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match sign {
                b'*' => reached[at] || (at > 0 && next[at - 1]),
                b'?' => at > 0 && reached[at - 1],
                byte => at > 0 && reached[at - 1] && name[at - 1] == *byte,
            };
        }
        reached = next;
    }
    reached[name.len()]
}

/// Watches in a thread, which ends with the loop. Gives whether everything could be watched, once that is known.
///
/// # Errors
/// When there is nothing to watch with.
pub(crate) fn watch(roots: Vec<Root>, own: PathBuf, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    let mut tree = Tree { inotify: Inotify::new()?, roots, own, directories: BTreeMap::new(), complete: true };
    let epoll = Epoll::new()?;
    epoll.add(&tree.inotify, 0, Interest::READABLE)?;
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        tree.add_all();
        let started = Input::Watching { directories: tree.directories.len(), complete: tree.complete };
        let mut sent = inputs.blocking_send(started).is_ok();
        while sent {
            let Ok(services) = next(&mut tree, &epoll) else { return };
            sent = services.is_empty() || inputs.blocking_send(Input::Changed(services)).is_ok();
        }
    })?;
    Ok(())
}

/// Waits for a change and for quiet after it.
fn next(tree: &mut Tree, epoll: &Epoll) -> io::Result<BTreeSet<String>> {
    let (mut services, mut ready) = (BTreeSet::new(), Vec::new());
    let mut until: Option<Instant> = None;
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()).min(QUIET));
        epoll.wait(&mut ready, left)?;
        if ready.is_empty() && left.is_some() {
            return Ok(services);
        }
        for change in tree.inotify.read()? {
            services.extend(tree.concerned(change));
        }
        match until {
            Some(until) if Instant::now() >= until => return Ok(services),
            None if !services.is_empty() => until = Some(Instant::now() + LONGEST),
            Some(_) | None => {}
        }
    }
}

impl Manager {
    /// Begins to watch the files of every service.
    pub(crate) fn watch_files(&mut self) {
        let services = self.crew.settings().services.iter();
        let roots = services.map(|service| Root {
            service: service.name.clone(),
            directory: service.directory.clone(),
            patterns: service.watch.clone(),
        });
        let own = self.crew.settings().engine.directory.clone();
        if let Err(error) = watch(roots.collect(), own, self.inputs.clone()) {
            self.write_log(Level::Error, &format!("files are not watched: {error}"));
        }
    }

    /// It is known what is watched.
    pub(crate) fn watching(&mut self, directories: usize, complete: bool) {
        let (level, more) = if complete { (Level::Info, "") } else { (Level::Warn, "; there are more, which are not") };
        let words = format!("watching {directories} directories for changes{more}");
        self.tell(level, "engine.watching", json!({"directories": directories, "complete": complete}), &words);
    }

    /// Files of these services changed. Those that were stopped by hand stay so.
    pub(crate) fn files_changed(&mut self, names: &BTreeSet<String>) {
        for name in names {
            let Some(view) = self.crew.find(name).and_then(|service| self.fleet.service(service)) else { continue };
            match view.state {
                ServiceState::Stopped | ServiceState::Stopping => continue,
                ServiceState::Starting
                | ServiceState::Ready
                | ServiceState::Degraded
                | ServiceState::Failed
                | ServiceState::Finished => {}
            }
            self.tell(
                Level::Info,
                "engine.files-changed",
                json!({"service": name}),
                &format!("files of {name} changed"),
            );
            self.rollouts.asked_by(view.service, "changed files".to_owned());
            let restart = Event::Restart { service: view.service, slot: None, epoch: view.epoch, pace: Pace::Gradual };
            self.decide(restart);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_and_directories() {
        for (pattern, path, expected) in [
            ("*.py", "app.py", true),
            ("*.py", "app/views.py", false),
            ("app/**/*.py", "app/views.py", true),
            ("app/**/*.py", "app/a/b/views.py", true),
            ("app/**/*.py", "other/views.py", false),
            ("**", "a/b/c", true),
            ("**/*.html", "index.html", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
        let (pattern, name) = ("*a".repeat(200), "a".repeat(250));
        assert!(!fits(&format!("{pattern}b"), &name), "and no pattern takes long");
    }

    #[test]
    fn what_tools_and_editors_write_is_left_out() {
        for name in [".git", "target", "node_modules", ".views.py.swp", "views.py~", "4913"] {
            assert!(is_left_out(name), "{name}");
        }
        assert!(!is_left_out("views.py"));
    }
}
