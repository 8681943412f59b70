//! What is wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::render::render;
use crate::text::{Origin, Text};

/// The configuration could not be read at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be opened or read.
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than [`crate::MOST_BYTES`].
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not text.
    NotText {
        /// Which file.
        path: PathBuf,
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// The files that the configuration names are more than [`crate::MOST_FILES`], or larger than
    /// [`crate::MOST_BYTES_OF_ALL`] together.
    TooMuch {
        /// The first file that was not read.
        path: PathBuf,
    },
    /// The program that brings the configuration does not give it anew.
    Program(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "reading the configuration: there is no file {}; name one with --config", path.display())
            }
            Self::Read { path, source } => write!(f, "reading the configuration {}: {source}", path.display()),
            Self::Program(why) => write!(f, "the program gives no configuration: {why}"),
            Self::TooLarge { path } => write!(
                f,
                "reading the configuration {}: it is larger than {} bytes; is this the right file?",
                path.display(),
                crate::MOST_BYTES
            ),
            Self::NotText { path, line } => write!(
                f,
                "reading the configuration {}: line {line} is not UTF-8 text; is this the right file?",
                path.display()
            ),
            Self::TooMuch { path } => write!(
                f,
                "reading the configuration {}: the files of `include` and `env_file` are more than {} or larger than \
                 {} bytes together",
                path.display(),
                crate::MOST_FILES,
                crate::MOST_BYTES_OF_ALL
            ),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::TooLarge { .. } | Self::Program(_) | Self::NotText { .. } | Self::TooMuch { .. } => None,
        }
    }
}

/// Everything that is wrong in a configuration, in the order of the text. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    /// Found, but too many to tell.
    untold: usize,
}

/// One thing that is wrong, or probably not meant, and where.
#[derive(Clone, Debug)]
pub struct Problem {
    texts: Arc<[Text]>,
    diagnostic: Diagnostic,
}

impl ConfigErrors {
    pub(crate) fn new(problems: Vec<Problem>, untold: usize) -> Self {
        Self { problems, untold }
    }

    /// Each problem; of very many only the first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The messages as rustc writes them: what, where with the line itself, and what to do; coloured for a terminal.
    ///
    /// Whole lines, with an empty one between two messages.
    pub fn render(&self, color: bool) -> String {
        let mut text: Vec<String> = self.problems.iter().map(|problem| problem.render(color)).collect();
        if self.untold > 0 {
            text.push(format!("error: and {} more\n", self.untold));
        }
        text.join("\n")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for ConfigErrors {}

impl Problem {
    pub(crate) fn new(texts: Arc<[Text]>, diagnostic: Diagnostic) -> Self {
        Self { texts, diagnostic }
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.diagnostic.title
    }

    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.diagnostic.help.as_deref()
    }

    /// Whether the configuration can be used all the same.
    pub fn is_warning(&self) -> bool {
        self.diagnostic.severity == Severity::Warning
    }

    /// What the text is called that it stands in: the file's path, `environment` or `--set`.
    pub fn place(&self) -> &str {
        self.texts.get(self.diagnostic.at.text).map_or("", |text| text.label.as_str())
    }

    /// Where the text comes from.
    pub fn origin(&self) -> Origin {
        self.texts.get(self.diagnostic.at.text).map_or(Origin::File, |text| text.origin)
    }

    /// Line and column in that text, both from 1.
    pub fn position(&self) -> (usize, usize) {
        self.texts.get(self.diagnostic.at.text).map_or((1, 1), |text| text.position(self.diagnostic.at))
    }

    /// The message as rustc writes it, in whole lines.
    pub fn render(&self, color: bool) -> String {
        render(&self.texts, &self.diagnostic, color) + "\n"
    }
}

impl PartialEq for Problem {
    /// Equal when they say the same, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        self.message() == other.message() && self.diagnostic.severity == other.diagnostic.severity
    }
}

impl fmt::Display for Problem {
    /// One line: `evercrew.toml:3:1: no service uses the listener "web"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}: {}", self.place(), self.message())
    }
}
