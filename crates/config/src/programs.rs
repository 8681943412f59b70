//! Whether what the services run, and whom they run as, is there.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Report};
use crate::error::{ConfigErrors, Problem};
use crate::host::Host;
use crate::places::ServicePlaces;
use crate::settings::{Program, Service, Settings};
use crate::text::Span;

impl Settings {
    /// Checks that every service's directory and programs are there, those of `before_start` too. `path` is the
    /// engine's PATH.
    ///
    /// # Errors
    /// Everything that is missing, at once.
    pub fn check_programs(&self, path: Option<&OsStr>) -> Result<(), ConfigErrors> {
        let report = Report::new(std::sync::Arc::clone(&self.places.texts));
        for (service, places) in self.services.iter().zip(&self.places.services) {
            check_directory(&report, service, places);
            if let Program::Command(argv) = &service.program {
                check_program(&report, service, argv, places.program, path);
            }
            for argv in &service.before_start {
                match Program::own(argv) {
                    Some(own) => check_own(&report, service, own, places.before_start),
                    None => check_program(&report, service, argv, places.before_start, path),
                }
            }
        }
        report.finish().map(|_: Vec<Problem>| ())
    }

    /// Checks that every service's user and group are known; the closures tell of a name or a number.
    ///
    /// # Errors
    /// Everything that is unknown, at once.
    pub fn check_system(
        &self,
        user_exists: &dyn Fn(&str) -> bool,
        group_exists: &dyn Fn(&str) -> bool,
    ) -> Result<(), ConfigErrors> {
        let report = Report::new(std::sync::Arc::clone(&self.places.texts));
        for (service, places) in self.services.iter().zip(&self.places.services) {
            let accounts = [
                ("user", &service.user, places.user, user_exists),
                ("group", &service.group, places.group, group_exists),
            ];
            for (what, name, at, exists) in accounts {
                if let Some(name) = name.as_deref().filter(|name| !exists(name)) {
                    report.add(
                        Diagnostic::error(at, format!("[service.{}] runs as a {what} that is not there", service.name))
                            .label(format!("this machine has no {what} \"{}\"", crate::diagnostic::shorten(name))),
                    );
                }
            }
        }
        report.finish().map(|_: Vec<Problem>| ())
    }
}

impl Program {
    /// The name of the part of this program that a command of `before_start` is: `builtin:NAME`.
    pub fn own(command: &[String]) -> Option<&str> {
        command.first()?.strip_prefix("builtin:")
    }
}

impl Service {
    /// The file that this service's workers execute; `None` for a builtin and when there is no such program.
    ///
    /// A name without `/` is looked for on the service's own PATH where `env` has one, else on `path`, the engine's.
    pub fn resolve_program(&self, path: Option<&OsStr>) -> Option<PathBuf> {
        let Program::Command(argv) = &self.program else { return None };
        self.resolve(argv.first()?, path)
    }

    /// The file of the program that the first word of a command names, as for [`Self::resolve_program`].
    pub fn resolve(&self, program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
        let program = Path::new(program);
        if program.is_absolute() {
            return is_executable(program).then(|| program.to_path_buf());
        }
        let found = self.search_path(path)?;
        // A relative entry would mean another directory in each process.
        std::env::split_paths(&found)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(program))
            .find(|file| is_executable(file))
    }

    /// The PATH that counts for this service.
    fn search_path(&self, path: Option<&OsStr>) -> Option<std::ffi::OsString> {
        self.env.get("PATH").map(Into::into).or_else(|| path.map(Into::into))
    }
}

fn check_own(report: &Report, service: &Service, name: &str, at: Span) {
    if !Host::own().has(name) {
        let diagnostic =
            Diagnostic::error(at, format!("[service.{}] begins with what this program has not", service.name));
        report.add(diagnostic.label(format!("it has no `builtin:{}`", crate::diagnostic::shorten(name))));
    }
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn check_directory(report: &Report, service: &Service, places: &ServicePlaces) {
    if !service.directory.is_dir() {
        let what = if service.directory.exists() { "is no directory" } else { "does not exist" };
        report.add(
            Diagnostic::error(places.directory, format!("[service.{}] runs in a directory that {what}", service.name))
                .label(format!("{} {what}", service.directory.display())),
        );
    }
}

fn check_program(report: &Report, service: &Service, argv: &[String], at: Span, path: Option<&OsStr>) {
    let Some(name) = argv.first() else { return };
    if service.resolve(name, path).is_some() {
        return;
    }
    let program = Path::new(name);
    let error = Diagnostic::error(at, format!("[service.{}] runs a program that is not there", service.name));
    let error = if !program.is_absolute() {
        let path = service.search_path(path).unwrap_or_default();
        error.label("not found on PATH").help(format!("PATH is {}", path.to_string_lossy()))
    } else if program.is_dir() {
        error.label(format!("{name} is a directory"))
    } else if program.exists() {
        error.label(format!("{name} is not executable")).help(format!("run: chmod +x {name}"))
    } else {
        let error = error.label(format!("{name} does not exist"));
        let beside = program.file_name().map(|file| service.directory.join(file)).filter(|file| is_executable(file));
        match beside {
            Some(file) => error.help(format!(
                "there is {}; a program's path starts at the file's directory, not at the service's",
                file.display()
            )),
            None => error,
        }
    };
    report.add(error);
}
