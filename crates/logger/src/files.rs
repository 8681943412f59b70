//! The log files of all workers and of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evercrew_core::Level;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::Text;
use evercrew_wire::logger::{FromLogger, Style};

use crate::assembly::Line;
use crate::compress::Compressor;
use crate::entry::Whose;
use crate::file::{BACKLOG_LIMIT, Change, LogFile};
use crate::name::{self, PART};
use crate::relief::Relief;
use crate::source::Key;

/// Bytes that may wait for all files together with a whole share for each; then each gets a small one.
const WAITING_LIMIT: usize = 32 << 20;

/// The small share.
const SHORT_BACKLOG_LIMIT: usize = 4 * 1024;

/// The files.
#[derive(Debug)]
pub(crate) struct Files {
    directory: Option<PathBuf>,
    files: BTreeMap<Arc<str>, LogFile>,
    /// Those with something to write.
    waiting: BTreeSet<Arc<str>>,
    /// Complete files that were found, of those that are not among `files`.
    found: BTreeMap<String, Vec<String>>,
    compressor: Compressor,
    relief: Relief,
    /// What it threw away, for the pipes to tell.
    discarded: BTreeMap<Key, u64>,
    stderr: Option<Stderr>,
    /// Lines of this level and above.
    least: Level,
    /// For the manager.
    news: Vec<FromLogger>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            directory: None,
            files: BTreeMap::new(),
            waiting: BTreeSet::new(),
            found: BTreeMap::new(),
            compressor: Compressor::new(),
            relief: Relief::start(),
            discarded: BTreeMap::new(),
            stderr: Stderr::new().ok(),
            least: Level::Info,
            news: Vec::new(),
        }
    }

    /// Lines that follow go to files in `directory`.
    pub(crate) fn configure(&mut self, directory: PathBuf) {
        if self.directory.as_ref() == Some(&directory) {
            return;
        }
        self.flush();
        remove_parts(&directory);
        self.found = name::scan(&directory).unwrap_or_default();
        for (base, file) in &mut self.files {
            file.move_to(&directory, self.found.remove(&**base).unwrap_or_default());
            file.tidy(&mut self.compressor);
        }
        self.directory = Some(directory);
    }

    /// Every file is opened again by its name: somebody has renamed them.
    pub(crate) fn reopen(&mut self) {
        self.flush();
        for file in self.files.values_mut() {
            file.reopen();
        }
    }

    /// A pipe more writes to the file `base`.
    pub(crate) fn attach(&mut self, base: &Arc<str>, style: Style) {
        let file = self.file(base, style);
        file.restyle(style);
        file.attach();
    }

    /// A pipe less writes to it.
    pub(crate) fn detach(&mut self, base: &Arc<str>) {
        if let Some(file) = self.files.get_mut(base) {
            file.detach();
            self.flush_one(base);
        }
    }

    /// What becomes of its lines from now on.
    pub(crate) fn restyle(&mut self, base: &Arc<str>, style: Style) {
        self.file(base, style).restyle(style);
    }

    fn file(&mut self, base: &Arc<str>, style: Style) -> &mut LogFile {
        let (directory, found, compressor) = (&self.directory, &mut self.found, &mut self.compressor);
        self.files.entry(Arc::clone(base)).or_insert_with(|| {
            let complete = found.remove(&**base).unwrap_or_default();
            let mut file = LogFile::new(base, directory.as_deref().unwrap_or(Path::new("/")), style, complete);
            file.tidy(compressor);
            file
        })
    }

    /// Adds a line to the file `base`; `stamp` is the moment it was read.
    pub(crate) fn line(&mut self, base: &Arc<str>, stamp: &str, whose: Whose<'_>, line: &Line<'_>) {
        let Some(file) = self.files.get_mut(base).filter(|_| self.directory.is_some()) else { return };
        let is_large = file.line(stamp, whose, line);
        if !self.waiting.contains(base) {
            self.waiting.insert(Arc::clone(base));
        }
        if is_large {
            self.flush_one(base);
        }
    }

    /// Adds what the logger itself has to say.
    pub(crate) fn mark(&mut self, base: &Arc<str>, stamp: &str, whose: Whose<'_>, text: &str) {
        let Some(file) = self.files.get_mut(base).filter(|_| self.directory.is_some()) else { return };
        file.mark(stamp, whose, text);
        self.waiting.insert(Arc::clone(base));
    }

    /// Something waits for a disk that has room again.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        let waiting: Vec<Arc<str>> = self.waiting.iter().cloned().collect();
        for base in waiting {
            self.flush_one(&base);
        }
    }

    /// Writes what waits for the file `base`, unless its last attempt failed: a full disk is asked again now and then,
    /// not for every line.
    pub(crate) fn flush_healthy(&mut self, base: &Arc<str>) {
        if self.files.get(base).is_some_and(|file| !file.is_failing()) {
            self.flush_one(base);
        }
    }

    fn flush_one(&mut self, base: &Arc<str>) {
        let Some(file) = self.files.get_mut(base).filter(|_| self.directory.is_some()) else { return };
        let (change, discarded) = self.relief.during(|| file.flush(&mut self.compressor));
        for (key, count) in discarded {
            *self.discarded.entry(key).or_default() += count;
        }
        let path = file.path();
        if file.waiting() == 0 {
            self.waiting.remove(base);
        }
        let news = match change {
            Change::None => return,
            Change::Failed(error) => {
                self.say(Level::Warn, &format!("logger: could not write {}: {error}; lines wait", path.display()));
                FromLogger::Failed { file: Text::from(&path), error }
            }
            Change::Resumed(dropped) => {
                self.say(Level::Info, &format!("logger: {} is written again; {dropped} lines dropped", path.display()));
                FromLogger::Resumed { file: Text::from(&path), dropped }
            }
        };
        self.news.push(news);
        self.share();
    }

    /// However many files wait, the memory for them has a bound.
    fn share(&mut self) {
        let failing = self.files.values().filter(|file| file.is_failing()).count();
        let limit = if failing * BACKLOG_LIMIT > WAITING_LIMIT { SHORT_BACKLOG_LIMIT } else { BACKLOG_LIMIT };
        for file in self.files.values_mut() {
            file.limit(limit);
        }
    }

    /// Says no more what is quieter than this; an unknown level changes nothing.
    pub(crate) fn set_level(&mut self, name: &str) {
        self.least = Level::named(name).unwrap_or(self.least);
    }

    fn say(&self, level: Level, text: &str) {
        if let Some(stderr) = self.stderr.as_ref().filter(|_| level >= self.least) {
            stderr.line(text);
        }
    }

    /// Who reads the pipes while a file takes nothing.
    pub(crate) fn relief(&self) -> &Relief {
        &self.relief
    }

    /// Bytes of pipes that were thrown away because a file took nothing.
    pub(crate) fn discarded(&mut self) -> BTreeMap<Key, u64> {
        std::mem::take(&mut self.discarded)
    }

    /// What the manager is to hear.
    pub(crate) fn news(&mut self) -> Vec<FromLogger> {
        std::mem::take(&mut self.news)
    }
}

/// What a logger left that was killed while it compressed.
fn remove_parts(directory: &Path) {
    for name in name::names(directory).unwrap_or_default() {
        if name.ends_with(PART) {
            // It takes room and does no other harm.
            let _ = std::fs::remove_file(directory.join(name));
        }
    }
}
