//! The programs under test: real servers of other languages, put into `.programs/` at the root of the workspace.
//!
//! Nothing outside that folder is changed and no right of root is needed. Debian packages are fetched with a private
//! apt state and unpacked there instead of being installed, so no service of theirs is ever started or enabled. Each
//! program is reached through `.programs/bin/NAME`, a script that ends in `exec` and so keeps its process id. A program
//! that cannot be had leaves its reason in `.programs/skipped/NAME`, which a test prints behind `SKIP`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod node_modules;

use anyhow::{Context, Result, anyhow, bail};

/// Counted up when this recipe changes, so that folders made by an older one are made again.
const RECIPE: u32 = 2;
/// Everything that pip installs, dependencies included, so that two machines get the same programs.
const WHEELS: [&str; 5] = ["uvicorn==0.54.0", "gunicorn==27.0.1", "h11==0.16.0", "click==8.3.0", "packaging==25.0"];
/// Clients of the queue server, in an environment of their own; everything that pip installs, as above.
const CLIENT_WHEELS: [&str; 10] = [
    "faktory==1.0.0",
    "pyfaktory==0.2.13",
    "annotated-types==0.8.0",
    "Pebble==5.2.3",
    "pydantic==2.14.4",
    "pydantic_core==2.50.5",
    "rfc3339-validator==0.1.4",
    "six==1.17.0",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
];
const PYTHON_PACKAGES: [&str; 2] = ["python3", "python3-pip-whl"];

/// A program that Debian packages.
struct Packaged {
    name: &'static str,
    packages: &'static [&'static str],
    /// The executable below the root that the packages are unpacked into.
    path: &'static str,
    version: &'static str,
    /// Written in Ruby: run by the interpreter with its libraries named, since those are looked up by absolute path.
    ruby: bool,
}

const PACKAGED: [Packaged; 8] = [
    Packaged { name: "node", packages: &["nodejs"], path: "usr/bin/node", version: "--version", ruby: false },
    Packaged {
        name: "puma",
        packages: &["puma", "ruby-sd-notify"],
        path: "usr/bin/puma",
        version: "--version",
        ruby: true,
    },
    Packaged { name: "unicorn", packages: &["unicorn"], path: "usr/bin/unicorn", version: "--version", ruby: true },
    Packaged { name: "nginx", packages: &["nginx-light"], path: "usr/sbin/nginx", version: "-v", ruby: false },
    Packaged {
        name: "redis-server",
        packages: &["redis-server"],
        path: "usr/bin/redis-server",
        version: "--version",
        ruby: false,
    },
    Packaged {
        name: "redis-cli",
        packages: &["redis-tools"],
        path: "usr/bin/redis-cli",
        version: "--version",
        ruby: false,
    },
    Packaged { name: "php", packages: &["php8.2-cli"], path: "usr/bin/php8.2", version: "-nv", ruby: false },
    Packaged { name: "php-fpm", packages: &["php8.2-fpm"], path: "usr/sbin/php-fpm8.2", version: "-nv", ruby: false },
];
/// Shows the processes that it is loaded into another wall clock.
const FAKETIME: &str = "libfaketime";

/// Interpreters that find clients of the queue server.
const CLIENTS: [&str; 2] = ["faktory-python", "faktory-node"];
/// Python programs: module run by the interpreter of the virtual environment.
const MODULES: [&str; 2] = ["uvicorn", "gunicorn"];

/// Installs every program under test into `.programs/`; returns at once when all are there.
///
/// A program that cannot be installed is reported as `SKIP name: reason` and tried again at the next call.
///
/// # Errors
/// When `.programs/` itself cannot be written.
pub(crate) fn install() -> Result<()> {
    let folder = Folder::open()?;
    if folder.complete() {
        println!("programs: all present in {}", folder.path.display());
        return Ok(());
    }
    let apt = Apt::new(&folder);
    let missing = PACKAGED.iter().filter(|program| on_this_machine(program.name).is_none());
    let packages: Vec<&str> = missing.flat_map(|program| program.packages).copied().chain([FAKETIME]).collect();
    // Where one question for all fails, each program is asked for alone below and keeps its own reason.
    let _ = apt.unpack(&packages);
    report(&folder, "python", python(&folder, &apt, ("python", "venv"), &WHEELS))?;
    report(&folder, "faktory-python", python(&folder, &apt, ("faktory-python", "faktory-venv"), &CLIENT_WHEELS))?;
    for module in MODULES {
        report(&folder, module, folder.python_module(module))?;
    }
    for program in &PACKAGED {
        report(&folder, program.name, packaged(&folder, &apt, program))?;
    }
    report(&folder, "faktory-node", node_modules::install(&folder, &apt))?;
    report(&folder, "faketime", faketime(&folder, &apt))?;
    folder.finish()
}

/// Prints what became of one program and keeps the reason of a failure for the tests.
fn report(folder: &Folder, name: &str, outcome: Result<String>) -> Result<()> {
    let note = folder.path.join("skipped").join(name);
    match outcome {
        Ok(version) => {
            println!("program {name}: {version}");
            match fs::remove_file(&note) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("removing an old skip note"),
                _ => Ok(()),
            }
        }
        Err(error) => {
            let reason = format!("{error:#}").replace('\n', " ");
            println!("SKIP {name}: {reason}");
            let _ = fs::remove_file(folder.wrapper(name));
            fs::write(&note, reason).with_context(|| format!("writing {}", note.display()))
        }
    }
}

/// The folder `.programs/`, locked for as long as this value lives.
struct Folder {
    path: PathBuf,
    _lock: fs::File,
}

impl Folder {
    fn open() -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no workspace around it")?;
        let path = workspace.join(".programs");
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        let lock = fs::File::create(path.join("lock")).context("creating the lock of .programs")?;
        lock.lock().context("waiting for another installation")?;
        let folder = Self { path, _lock: lock };
        if fs::read_to_string(folder.path.join("recipe")).ok().as_deref() != Some(folder.recipe().as_str()) {
            folder.clear()?;
        }
        for name in ["bin", "root", "skipped"] {
            fs::create_dir_all(folder.path.join(name)).with_context(|| format!("creating .programs/{name}"))?;
        }
        fs::write(folder.path.join("recipe"), folder.recipe()).context("writing .programs/recipe")?;
        Ok(folder)
    }

    /// What the folder was made from. The path is part of it: virtual environments cannot be moved.
    fn recipe(&self) -> String {
        format!("recipe {RECIPE}\npath {}\n{}\n", self.path.display(), WHEELS.join("\n"))
    }

    fn clear(&self) -> Result<()> {
        for name in ["bin", "root", "skipped", "venv", "faktory-venv", "faktory-node", "apt", "complete"] {
            let path = self.path.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        let names = MODULES
            .into_iter()
            .chain(PACKAGED.iter().map(|program| program.name))
            .chain(CLIENTS)
            .chain(["python", "faketime"]);
        self.path.join("complete").exists() && names.into_iter().all(|name| self.wrapper(name).exists())
    }

    /// Marks the folder as complete when nothing was skipped, and drops what only the installation needed.
    fn finish(&self) -> Result<()> {
        let _ = fs::remove_dir_all(self.path.join("apt"));
        let skipped = fs::read_dir(self.path.join("skipped")).context("reading .programs/skipped")?.count();
        if skipped == 0 {
            fs::write(self.path.join("complete"), "").context("writing .programs/complete")?;
        }
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    fn wrapper(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// Directories below the unpacked packages that match `prefix/*/suffix`, as a list for a search path.
    fn directories(&self, prefix: &str, suffix: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.root().join(prefix)) else { return Vec::new() };
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path().join(suffix)).filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }

    /// Libraries of unpacked packages; empty when everything came from the machine itself.
    fn libraries(&self) -> Vec<PathBuf> {
        self.directories("usr/lib", "")
            .into_iter()
            .chain(self.directories("lib", ""))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-")))
            .collect()
    }

    fn ruby_environment(&self) -> Vec<(&'static str, Vec<PathBuf>)> {
        let mut libraries = vec![self.root().join("usr/lib/ruby/vendor_ruby")];
        let mut gems = vec![self.root().join("usr/share/rubygems-integration/all")];
        libraries.extend(self.directories("usr/lib/ruby", "").into_iter().filter(|path| starts_with_digit(path)));
        gems.extend(
            self.directories("usr/share/rubygems-integration", "").into_iter().filter(|p| starts_with_digit(p)),
        );
        for architecture in self.libraries() {
            let below = architecture.strip_prefix(self.root()).unwrap_or(&architecture).to_string_lossy().into_owned();
            let versions = |folder: &str| self.directories(&format!("{below}/{folder}"), "");
            libraries.extend(versions("ruby/vendor_ruby"));
            libraries.extend(versions("ruby").into_iter().filter(|path| starts_with_digit(path)));
            gems.extend(versions("rubygems-integration"));
        }
        vec![("RUBYLIB", libraries), ("GEM_PATH", gems)]
    }

    /// Writes `.programs/bin/NAME`, which sets the search paths and becomes `argv` with its own arguments behind.
    fn write_wrapper(&self, name: &str, environment: &[(&str, Vec<PathBuf>)], argv: &[&Path]) -> Result<()> {
        let mut script = String::from("#!/bin/sh\n");
        for (variable, paths) in environment.iter().filter(|(_, paths)| !paths.is_empty()) {
            let list: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            let quoted = quoted(&list.join(":"));
            script.push_str(&format!("export {variable}={quoted}${{{variable}:+:${variable}}}\n"));
        }
        let argv: Vec<String> = argv.iter().map(|word| quoted(&word.display().to_string())).collect();
        script.push_str(&format!("exec {} \"$@\"\n", argv.join(" ")));
        let path = self.wrapper(name);
        fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("making a wrapper executable")
    }

    fn python_module(&self, module: &str) -> Result<String> {
        if !self.wrapper("python").exists() {
            bail!("needs python");
        }
        let python = self.path.join("venv/bin/python");
        self.write_wrapper(
            module,
            &[("LD_LIBRARY_PATH", self.libraries())],
            &[&python, Path::new("-m"), Path::new(module)],
        )?;
        first_line(&self.wrapper(module), "--version")
    }
}

/// A virtual environment with pinned wheels, over the machine's Python or Debian's unpacked one.
fn python(folder: &Folder, apt: &Apt<'_>, (name, place): (&str, &str), wheels: &[&str]) -> Result<String> {
    let venv = folder.path.join(place);
    let interpreter = venv.join("bin/python");
    let _ = fs::remove_dir_all(&venv);
    let base = match ["/usr/bin/python3", "python3"].into_iter().find(|name| usable_python(name)) {
        Some(name) => PathBuf::from(name),
        None => {
            apt.unpack(&PYTHON_PACKAGES[..1])?;
            folder.root().join("usr/bin/python3")
        }
    };
    let libraries = [("LD_LIBRARY_PATH", folder.libraries())];
    let create = |extra: &[&str]| {
        let mut command = Command::new(&base);
        command.args(["-m", "venv"]).args(extra).arg(&venv);
        run(with_paths(&mut command, &libraries))
    };
    let mut pip = Command::new(&interpreter);
    // A fresh Debian has the module venv without ensurepip: then the wheel of pip is run from its own package.
    if create(&[]).is_ok() {
        pip.args(["-m", "pip"]);
    } else {
        create(&["--without-pip"])?;
        apt.unpack(&PYTHON_PACKAGES[1..])?;
        pip.arg(pip_wheel(folder)?.join("pip"));
    }
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--timeout", "30", "--retries", "2"]);
    run(with_paths(&mut pip, &libraries).args(wheels)).context("installing the pinned wheels")?;
    folder.write_wrapper(name, &libraries, &[&interpreter])?;
    first_line(&folder.wrapper(name), "--version")
}

fn usable_python(name: &str) -> bool {
    let probe = "import sys, venv, ssl; sys.exit(sys.version_info < (3, 10))";
    Command::new(name).args(["-c", probe]).output().is_ok_and(|output| output.status.success())
}

fn pip_wheel(folder: &Folder) -> Result<PathBuf> {
    let wheels = folder.root().join("usr/share/python-wheels");
    let entries = fs::read_dir(&wheels).with_context(|| format!("reading {}", wheels.display()))?;
    let mut names = entries.flatten().map(|entry| entry.path());
    names
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pip-")))
        .context("the package python3-pip-whl holds no wheel of pip")
}

/// One of Debian's programs: the machine's own if it is there, else unpacked.
fn packaged(folder: &Folder, apt: &Apt<'_>, program: &Packaged) -> Result<String> {
    let mut environment = Vec::new();
    if let Some(path) = on_this_machine(program.name) {
        folder.write_wrapper(program.name, &environment, &[&path])?;
        if let Ok(version) = first_line(&folder.wrapper(program.name), program.version) {
            return Ok(format!("{version} (this machine's own)"));
        }
    }
    apt.unpack(program.packages)?;
    environment.push(("LD_LIBRARY_PATH", folder.libraries()));
    let executable = folder.root().join(program.path);
    if program.ruby {
        environment.extend(folder.ruby_environment());
        let unpacked = folder.root().join("usr/bin/ruby");
        let ruby = if unpacked.exists() { unpacked } else { on_this_machine("ruby").context("no ruby interpreter")? };
        folder.write_wrapper("ruby", &environment, &[&ruby])?;
        folder.write_wrapper(program.name, &environment, &[&ruby, &executable])?;
    } else {
        folder.write_wrapper(program.name, &environment, &[&executable])?;
    }
    first_line(&folder.wrapper(program.name), program.version)
}

/// `faketime PROGRAM…` becomes that program with another wall clock, as FAKETIME_TIMESTAMP_FILE says.
fn faketime(folder: &Folder, apt: &Apt<'_>) -> Result<String> {
    apt.unpack(&[FAKETIME])?;
    let library = folder.directories("usr/lib", "faketime").pop().context("the package holds no library")?;
    let library = library.join("libfaketime.so.1");
    folder.write_wrapper("faketime", &[("LD_PRELOAD", vec![library])], &[Path::new("/usr/bin/env")])?;
    first_line(&folder.wrapper("faketime"), "--version")
}

fn on_this_machine(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// apt with lists and cache of its own, so that it needs neither root nor lists that somebody updated.
struct Apt<'a> {
    folder: &'a Folder,
    /// Why no list could be fetched; asked once, at the first package that is needed.
    updated: std::cell::OnceCell<std::result::Result<(), String>>,
}

impl<'a> Apt<'a> {
    fn new(folder: &'a Folder) -> Self {
        Self { folder, updated: std::cell::OnceCell::new() }
    }

    /// Fetches `packages` and everything they need that this machine has not, and unpacks them.
    fn unpack(&self, packages: &[&str]) -> Result<()> {
        if packages.iter().all(|name| self.marker(name).exists()) {
            return Ok(());
        }
        self.updated
            .get_or_init(|| self.update().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|reason| anyhow!("no package lists: {reason}"))?;
        let plan =
            run(self.command("apt-get").args(["--simulate", "--no-install-recommends", "install"]).args(packages))
                .with_context(|| format!("asking apt for {}", packages.join(", ")))?;
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        let missing: Vec<&str> = plan
            .lines()
            .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
            .filter(|name| !self.marker(name).exists())
            .collect();
        // A package that this machine has already is fetched all the same when it was named: only its path is sure.
        let named = packages.iter().copied().filter(|name| !missing.contains(name) && !self.marker(name).exists());
        let wanted: Vec<&str> = missing.iter().copied().chain(named).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        self.fetch(&wanted).with_context(|| format!("fetching the Debian packages {}", wanted.join(", ")))
    }

    fn update(&self) -> Result<()> {
        for name in ["apt/lists/partial", "apt/cache/archives/partial", "apt/unpacked"] {
            fs::create_dir_all(self.folder.path.join(name)).with_context(|| format!("creating .programs/{name}"))?;
        }
        run(self.command("apt-get").arg("update")).map(drop)
    }

    /// One call for all of them: apt reads its lists anew each time, which takes longer than most downloads.
    fn fetch(&self, names: &[&str]) -> Result<()> {
        let debs = self.folder.path.join("apt/debs");
        let _ = fs::remove_dir_all(&debs);
        fs::create_dir_all(&debs).context("creating .programs/apt/debs")?;
        run(self.command("apt-get").arg("download").args(names).current_dir(&debs))?;
        for file in fs::read_dir(&debs).context("reading .programs/apt/debs")?.flatten() {
            run(Command::new("dpkg-deb").arg("--extract").arg(file.path()).arg(self.folder.root()))?;
        }
        for name in names {
            fs::write(self.marker(name), "").context("noting an unpacked package")?;
        }
        Ok(())
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.folder.path.join("apt/unpacked").join(name)
    }

    fn command(&self, program: &str) -> Command {
        let apt = self.folder.path.join("apt");
        let mut command = Command::new(program);
        command
            .args(["-q", "-y", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"])
            .args(["-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30"])
            .arg("-o")
            .arg(format!("Dir::State::Lists={}", apt.join("lists").display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}", apt.join("cache").display()))
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn with_paths<'c>(command: &'c mut Command, environment: &[(&str, Vec<PathBuf>)]) -> &'c mut Command {
    for (variable, paths) in environment {
        let list = std::env::join_paths(paths).ok().and_then(|list| list.into_string().ok()).unwrap_or_default();
        if !list.is_empty() {
            command.env(variable, list);
        }
    }
    command
}

/// Runs to the end; a failure carries the last line that was said on standard error.
fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {name}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    bail!("{name} ended with {}: {last}", output.status)
}

fn first_line(program: &Path, argument: &str) -> Result<String> {
    let output = run(Command::new(program).arg(argument))?;
    // nginx tells its version on standard error.
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned())
}

fn starts_with_digit(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
