//! `up`: check everything that can be checked, then become the supervisor.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use evercrew_config::{ConfigError, Settings, Source};
use evercrew_manager::{Unfit, vet};
use evercrew_supervisor::MANAGER_IDENTITY;
use evercrew_sys::pid_file::PidFile;
use evercrew_sys::{exec, limits, memfd};
use evercrew_wire::Text;
use evercrew_wire::deposit::{self, Configuration};

use crate::arguments::{Color, Global};
use crate::failure::{Failure, code};
use crate::tenancy::{self, Tenancy};
use crate::{daemon, example, leftovers, output, ownership, role};

/// Reads and checks the file; errors are written as rustc writes them.
///
/// # Errors
/// [`code::CONFIGURATION`], after the errors were printed.
pub(crate) fn read_configuration(global: &Global) -> Result<(Source, Settings), Failure> {
    let color = colored(global.color);
    let source =
        Source::read(&global.config, global.set.clone(), evercrew_config::environment(), global.directory.clone())
            .map_err(|error| unread(&error))?;
    let refuse = |rendered: String, count: usize| {
        output::say_raw(&rendered);
        let noun = if count == 1 { "error" } else { "errors" };
        Failure::new(code::CONFIGURATION, format!("{count} {noun} in {}", source.path.display()))
    };
    let settings = source.parse().map_err(|errors| refuse(errors.render(color), errors.problems().len()))?;
    vet(&settings).map_err(|unfit| match unfit {
        Unfit::Missing(errors) => refuse(errors.render(color), errors.problems().len()),
        Unfit::Refused { code, message, hint } => Failure::new(code, message).hint(hint),
    })?;
    let warnings: Vec<String> = settings.warnings.iter().map(|warning| warning.render(color)).collect();
    output::say_raw(&warnings.join("\n"));
    Ok((source, settings))
}

/// Why there is no configuration. Who has none yet is shown one.
pub(crate) fn unread(error: &ConfigError) -> Failure {
    let failure = Failure::new(code::CONFIGURATION, error.to_string());
    if !matches!(error, ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound) {
        return failure;
    }
    let example: String = example::SMALLEST.lines().map(|line| format!("\n    {line}")).collect();
    failure.hint(format!(
        "name the file with -c, or write one: `evercrew init` does, with every usual key. The least is\n{example}\n"
    ))
}

/// Where an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the terminal, or wherever its standard error goes.
    Foreground,
    /// In a session of its own.
    Background,
}

/// What the file says, for who needs to know before there is an engine to ask.
///
/// # Errors
/// When it cannot be read, or is wrong.
pub(crate) fn read_settings(global: &Global) -> Result<Settings, Failure> {
    let source =
        Source::read(&global.config, global.set.clone(), evercrew_config::environment(), global.directory.clone());
    let source = source.map_err(|error| unread(&error))?;
    source.parse().map_err(|errors| configuration(errors.render(false)))
}

/// Becomes the supervisor; returns only when that fails.
///
/// # Errors
/// Why the engine cannot be started.
pub(crate) fn up(global: &Global, watch: bool, place: Place) -> Result<u8, Failure> {
    // Below the least that any configuration needs, not even the file can be relied on to open.
    let files = limits::nofile().1;
    evercrew_manager::check_open_files(evercrew_manager::Crowd::default(), files).map_err(configuration)?;
    let (mut source, mut settings) = read_configuration(global)?;
    evercrew_manager::check_open_files(evercrew_manager::most_at_a_time(&settings), files).map_err(configuration)?;
    // A worker of another user reaches its notify socket through it; what is in it is open to nobody else all the same.
    let others = settings.services.iter().any(|service| service.user.is_some() || service.group.is_some());
    let mode = if others { 0o711 } else { 0o700 };
    make_directory(&settings.engine.directory, mode)?;
    // A link on the way to it may lead elsewhere while the engine runs, as that to a release does.
    if let Some(real) =
        fs::canonicalize(&settings.engine.directory).ok().filter(|real| *real != settings.engine.directory)
    {
        source.directory_override = Some(real);
        settings = source.parse().map_err(|errors| configuration(errors.render(false)))?;
    }
    let directory = &settings.engine.directory;
    let identity = evercrew_manager::engine_credentials(&settings.engine).map_err(configuration)?;
    let tenancy = tenancy::take(directory)?;
    let instance =
        new_instance().map_err(|error| Failure::unavailable(format!("cannot read /dev/urandom: {error}")))?;
    leftovers::end(directory)?;
    leftovers::remember(directory, &instance)?;
    make_directory(&directory.join("notify"), mode)?;
    ownership::give(&settings, identity.as_ref())?;
    let pid_file = settings.engine.pid_file.as_deref().map(tenancy::make_pid_file).transpose()?;
    let configuration = Configuration {
        version: deposit::VERSION,
        path: Text::from(&source.path),
        text: source.text,
        files: source.files.iter().map(|(path, text)| (Text::from(path), text.clone())).collect(),
        values: source.values,
        set: source.set,
        environment: source.environment,
        directory: source.directory_override.as_ref().map(Text::from),
        cpus: source.cpus,
        instance,
        watch,
        terminal: place == Place::Foreground,
        revision: 1,
        earlier: Vec::new(),
    };
    let settled = if place == Place::Background { daemon::settle(directory) } else { Ok(()) };
    let error = match settled {
        Ok(()) => {
            let credentials = identity.as_ref().map(|own| (own.uid, own.gid, &own.groups[..]));
            let manager = evercrew_supervisor::manager_identity(credentials, settings.engine.umask);
            become_supervisor(&configuration, manager, &tenancy, pid_file.as_ref(), directory)
        }
        Err(error) => error,
    };
    if let Some(file) = pid_file {
        file.remove();
    }
    Err(Failure::unavailable(format!("cannot start the supervisor: {error}")))
}

/// A fresh process image: nothing of reading the configuration stays in the supervisor's memory.
fn become_supervisor(
    configuration: &Configuration,
    manager: String,
    tenancy: &Tenancy,
    pid_file: Option<&PidFile>,
    directory: &Path,
) -> io::Error {
    let prepared = || -> io::Result<_> {
        let bytes = configuration.encode().map_err(io::Error::other)?;
        let instance = &configuration.instance;
        let configuration = memfd::sealed("evercrew-configuration", &bytes)?;
        let program = std::fs::File::open("/proc/self/exe")?;
        let inherited = [
            Some(configuration.as_fd()),
            Some(tenancy.lock.as_fd()),
            tenancy.claim.as_ref().map(AsFd::as_fd),
            pid_file.map(AsFd::as_fd),
        ];
        inherited.iter().flatten().try_for_each(exec::keep_on_exec)?;
        let (arguments, told) = told(directory, pid_file.map(PidFile::path))?;
        // What is absent is written as 0, which is never one of these.
        let role = role::variable("supervisor", &inherited.map(|fd| fd.map_or(0, |fd| fd.as_raw_fd())));
        // Every process of this engine carries it, the manager too: the next `up` finds what a kill left behind.
        let instance = ("EVERCREW_INSTANCE".into(), instance.into());
        let manager = (MANAGER_IDENTITY.into(), manager.into());
        let kept = std::env::vars_os().filter(|(name, _)| name != "EVERCREW_INSTANCE" && name != MANAGER_IDENTITY);
        let environment =
            kept.chain([role, instance, manager]).chain(told).map(entry).collect::<io::Result<Vec<_>>>()?;
        Ok((program, configuration, arguments, environment))
    };
    match prepared() {
        Ok((program, _configuration, arguments, environment)) => {
            exec::replace_self(program.as_fd(), &arguments, &environment)
        }
        Err(error) => error,
    }
}

/// Arguments, and further variables.
type Told = (Vec<CString>, Vec<(OsString, OsString)>);

/// How the supervisor is told its places: by arguments, or by variables where it keeps the program's own arguments.
fn told(directory: &Path, pid_file: Option<&Path>) -> io::Result<Told> {
    let title = OsString::from(leftovers::SUPERVISOR);
    if evercrew_config::Host::own().keeps_arguments {
        let pid_file = pid_file.map(|path| (role::PID_FILE.into(), path.into()));
        let variables = [(role::TITLE.into(), title), (role::DIRECTORY.into(), directory.into())];
        let arguments = std::env::args_os().map(c_string).collect::<io::Result<_>>()?;
        return Ok((arguments, variables.into_iter().chain(pid_file).collect()));
    }
    let arguments = [Some(title), Some(directory.into()), pid_file.map(OsString::from)];
    Ok((arguments.into_iter().flatten().map(c_string).collect::<io::Result<_>>()?, Vec::new()))
}

/// What the manager would refuse, told before there is one.
fn configuration(text: String) -> Failure {
    Failure::new(code::CONFIGURATION, text)
}

fn entry((name, value): (OsString, OsString)) -> io::Result<CString> {
    let mut entry = name;
    entry.push("=");
    entry.push(value);
    c_string(entry)
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(io::Error::other)
}

/// Ours alone: sockets in it are open to nobody else.
fn make_directory(path: &Path, mode: u32) -> Result<(), Failure> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    let text = |error| Failure::unavailable(format!("cannot make the directory {}: {error}", path.display()));
    made.map_err(|error| text(error).hint("set engine.directory to one that you may write to"))
}

/// 128 random bits: no process of another engine, or of an earlier run, has this.
fn new_instance() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// NO_COLOR, a terminal that knows colours, and what the user says.
pub(crate) fn colored(color: Color) -> bool {
    colored_on(color, &io::stderr())
}

/// The same for another output.
pub(crate) fn colored_on(color: Color, output: &impl io::IsTerminal) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.as_bytes().is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
            !refused && !dumb && output.is_terminal()
        }
    }
}
