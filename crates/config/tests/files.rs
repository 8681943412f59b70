//! What looks at the file system: reading, finding the engine's directory, finding programs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use evercrew_config::{ConfigError, Source, engine_directory};
use tempfile::TempDir;

fn folder(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("evercrew.toml");
    fs::write(&path, text).expect("a file");
    (folder, path)
}

fn read(path: &Path) -> Result<Source, ConfigError> {
    Source::read(path, Vec::new(), std::iter::empty(), None)
}

fn variables(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> + use<> {
    let owned: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    owned.into_iter()
}

#[test]
fn what_cannot_be_read_is_told() {
    let (folder, path) = folder("");
    let missing = read(&folder.path().join("other.toml")).expect_err("no such file");
    assert!(missing.to_string().contains("there is no file"), "{missing}");
    let directory = read(folder.path()).expect_err("a directory");
    assert!(directory.to_string().contains("reading the configuration"), "{directory}");
    fs::write(&path, b"a = 1\nb = \"\xff\"\n").expect("a file");
    assert!(matches!(read(&path), Err(ConfigError::NotText { line: 2, .. })));
    fs::write(&path, vec![b' '; 1024 * 1024 + 1]).expect("a file");
    assert!(matches!(read(&path), Err(ConfigError::TooLarge { .. })));
    fs::write(&path, vec![b' '; 1024 * 1024]).expect("a file");
    assert!(read(&path).is_ok());
}

#[test]
fn a_source_keeps_only_the_variables_that_count() {
    let (_folder, path) = folder("");
    let environment = variables(&[
        ("WEB_CONCURRENCY", "3"),
        ("HOME", "/root"),
        ("EVERCREW__ENGINE__EXIT", "never"),
        ("EVERCREW_ROLE", "manager"),
        ("EVERCREW_DIRECTORY", "/run/crew"),
    ]);
    let source = Source::read(&path, Vec::new(), environment, None).expect("readable");
    let names: Vec<&str> = source.environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["EVERCREW_DIRECTORY", "EVERCREW__ENGINE__EXIT", "WEB_CONCURRENCY"]);
}

#[test]
fn the_engines_directory_is_found_in_order() {
    let (folder, path) = folder("[engine]\ndirectory = \"run\"\n");
    let beside = folder.path().to_path_buf();
    let find = |set: &[&str], environment: &[(&str, &str)], option: Option<&str>| {
        let set: Vec<String> = set.iter().map(|argument| (*argument).to_owned()).collect();
        engine_directory(&path, &set, variables(environment), option.map(Path::new))
    };
    let environment = [("EVERCREW_DIRECTORY", "/e")];
    let both = [("EVERCREW_DIRECTORY", "/e"), ("EVERCREW__ENGINE__DIRECTORY", "/v")];
    assert_eq!(find(&["engine.directory=/s"], &both, Some("/d")), Path::new("/d"));
    assert_eq!(find(&["engine.directory=/s"], &both, None), Path::new("/s"));
    assert_eq!(find(&[], &both, None), Path::new("/v"));
    assert_eq!(find(&[], &environment, None), beside.join("run"));
    fs::write(&path, "[engine]\n").expect("a file");
    assert_eq!(find(&[], &environment, None), Path::new("/e"));
    assert_eq!(find(&[], &[], None), beside.join(".evercrew"));
    fs::remove_file(&path).expect("removed");
    assert_eq!(find(&[], &[], None), beside.join(".evercrew"));
}

#[test]
fn a_broken_file_does_not_hide_the_engine() {
    let (folder, path) = folder("");
    let cases = [
        ("[engine]\ndirectory = \"run\"\n[service.web\ncommand", "run"),
        ("[engine]\ndirectory = \"run\"\nnonsense = 3\n[listen.web]\naddress = 5\n", "run"),
        ("[service.web]\ncommand = [\n[engine]\ndirectory = \"run\"\n", ".evercrew"),
        ("[engine]\ndirectory = \"ru", ".evercrew"),
        ("[engine]\ndirectory = 5\n", ".evercrew"),
        ("\u{0}\u{1}\u{2}", ".evercrew"),
    ];
    for (text, expected) in cases {
        fs::write(&path, text).expect("a file");
        assert_eq!(engine_directory(&path, &[], std::iter::empty(), None), folder.path().join(expected), "{text}");
    }
}

#[test]
fn both_ways_to_the_directory_agree() {
    let (_folder, path) = folder("[service.web]\ncommand = [\"true\"]\n");
    for text in ["", "[engine]\ndirectory = \"./run/\"\n", "[engine]\ndirectory = \"/abs/../olute\"\n"] {
        fs::write(&path, text).expect("a file");
        for environment in [vec![], vec![("EVERCREW_DIRECTORY", "/e")], vec![("EVERCREW__ENGINE__DIRECTORY", "v")]] {
            let source = Source::read(&path, Vec::new(), variables(&environment), None).expect("readable");
            let settings = source.parse().expect("good");
            let found = engine_directory(&path, &[], variables(&environment), None);
            assert_eq!(settings.engine.directory, found, "{text} {environment:?}");
        }
    }
}

fn executable(path: &Path) {
    fs::write(path, "#!/bin/sh\n").expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn programs_are_looked_for_where_the_worker_would() {
    let (folder, path) = folder(
        "[service.on-path]\ncommand = [\"tool\"]\n\
         [service.own-path]\ncommand = [\"tool\"]\nenv = { PATH = \"/nowhere\" }\n\
         [service.beside]\ncommand = [\"bin/tool\"]\ndirectory = \"bin\"\n",
    );
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    executable(&bin.join("tool"));
    let settings = read(&path).expect("readable").parse().expect("good");
    let program = |name: &str, path: Option<&OsStr>| settings.service(name).and_then(|s| s.resolve_program(path));
    assert_eq!(program("on-path", Some(bin.as_os_str())), Some(bin.join("tool")));
    assert_eq!(program("on-path", Some(OsStr::new("bin:.:"))), None);
    assert_eq!(program("on-path", None), None);
    assert_eq!(program("own-path", Some(bin.as_os_str())), None);
    assert_eq!(program("beside", None), Some(bin.join("tool")));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let (folder, path) = folder(
        "[service.a]\ncommand = [\"no-such-program\"]\n\
         [service.b]\ncommand = [\"./plain\"]\n\
         [service.c]\ncommand = [\"./bin\"]\ndirectory = \"gone\"\n\
         [service.d]\ncommand = [\"./tool\"]\ndirectory = \"bin\"\n\
         [service.e]\ncommand = [\"bin/tool\"]\ndirectory = \"plain\"\n",
    );
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    executable(&bin.join("tool"));
    fs::write(folder.path().join("plain"), "").expect("a file");
    let settings = read(&path).expect("readable").parse().expect("good");
    let errors = settings.check_programs(Some(OsStr::new("/nowhere"))).expect_err("all of them");
    let told = errors.render(false).replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(told);
}

#[test]
fn what_the_file_names_is_read_once_and_for_all() {
    let (folder, path) = folder("include = [\"conf.d/*.toml\", \"conf.d/b.toml\", \"none.d/*\", \"*.toml\"]\n");
    let root = folder.path();
    let conf = root.join("conf.d");
    fs::create_dir(&conf).expect("a directory");
    fs::create_dir(conf.join("z.toml")).expect("a directory");
    fs::write(conf.join("b.toml"), "[service.b]\ncommand = [\"b\"]\nenv_file = \"b.env\"\n").expect("a file");
    fs::write(conf.join("a.toml"), "[service.a]\ncommand = [\"a\"]\nenv_file = \"../a.env\"\n").expect("a file");
    fs::write(conf.join(".c.toml"), "broken").expect("a file");
    fs::write(conf.join("b.env"), "FROM=conf.d\n").expect("a file");
    fs::write(root.join("a.env"), "FROM=root\n").expect("a file");
    fs::write(root.join("set.env"), "FROM=set\n").expect("a file");
    let set = vec!["service.a.env_file=set.env".to_owned()];
    let source = Source::read(&path, set, std::iter::empty(), None).expect("readable");
    let read: Vec<&Path> = source.files.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(read, [conf.join("a.toml"), conf.join("b.toml"), root.join("set.env"), conf.join("b.env")]);
    fs::remove_dir_all(&conf).expect("removed");
    fs::remove_file(root.join("set.env")).expect("removed");
    let settings = source.parse().unwrap_or_else(|errors| panic!("{errors}"));
    let from = |name: &str| settings.service(name).and_then(|service| service.env.get("FROM")).map(String::as_str);
    assert_eq!((from("a"), from("b")), (Some("set"), Some("conf.d")));
}

#[test]
fn a_named_file_that_cannot_be_read_is_told() {
    let (folder, path) = folder("include = [\"more.toml\"]\n");
    let more = folder.path().join("more.toml");
    let told = || read(&path).expect("readable").parse().expect_err("not read").to_string();
    assert!(told().contains("there is no file"), "{}", told());
    fs::create_dir(&more).expect("a directory");
    assert!(told().contains("is a directory"), "{}", told());
    fs::remove_dir(&more).expect("removed");
    let socket = std::os::unix::net::UnixListener::bind(&more).expect("a socket");
    assert!(told().contains("is no regular file"), "{}", told());
    drop(socket);
    fs::remove_file(&more).expect("removed");
    fs::write(&more, b"\xff").expect("a file");
    assert!(matches!(read(&path), Err(ConfigError::NotText { line: 1, path }) if path == more));
    fs::write(&more, vec![b' '; 1024 * 1024 + 1]).expect("a file");
    assert!(matches!(read(&path), Err(ConfigError::TooLarge { path }) if path == more));
}

#[test]
fn files_without_end_are_refused() {
    let (folder, path) = folder("include = [\"conf.d/*\"]\n");
    let conf = folder.path().join("conf.d");
    fs::create_dir(&conf).expect("a directory");
    for number in 0..=evercrew_config::MOST_FILES {
        fs::write(conf.join(format!("{number}.toml")), "").expect("a file");
    }
    let refused = read(&path).expect_err("one too many");
    assert!(matches!(refused, ConfigError::TooMuch { .. }), "{refused}");
    assert!(refused.to_string().contains("512"), "{refused}");
    fs::remove_dir_all(&conf).expect("removed");
    fs::create_dir(&conf).expect("a directory");
    for number in 0..9 {
        fs::write(conf.join(format!("{number}.toml")), vec![b' '; 1024 * 1024]).expect("a file");
    }
    assert!(matches!(read(&path), Err(ConfigError::TooMuch { .. })));
    fs::remove_file(conf.join("8.toml")).expect("removed");
    assert!(read(&path).is_ok());
}

#[test]
fn users_and_groups_must_be_there() {
    let (folder, path) = folder(
        "[service.a]\ncommand = [\"a\"]\nuser = \"app\"\ngroup = \"nobodys\"\n\
         [service.b]\ncommand = [\"b\"]\nuser = \"ghost\"\n\
         [service.c]\ncommand = [\"c\"]\n",
    );
    let settings = read(&path).expect("readable").parse().expect("good");
    let errors = settings.check_system(&|user| user == "app", &|_| false).expect_err("two are unknown");
    let told = errors.render(false).replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(told);
    assert!(settings.check_system(&|_| true, &|_| true).is_ok());
}

#[test]
fn what_runs_before_a_start_must_be_there_too() {
    let (folder, path) =
        folder("[service.a]\ncommand = [\"./tool\"]\nbefore_start = [[\"./tool\"], [\"./gone\", \"now\"]]\n");
    executable(&folder.path().join("tool"));
    let settings = read(&path).expect("readable").parse().expect("good");
    let errors = settings.check_programs(None).expect_err("one is gone");
    assert_eq!(errors.problems().len(), 1);
    assert_eq!(errors.problems()[0].position(), (3, 16));
    assert!(errors.to_string().contains("gone does not exist"), "{errors}");
}

#[test]
fn a_configuration_is_read_again_with_what_was_given_at_the_start() {
    let (folder, path) = folder("include = [\"more/*.toml\"]\n[service.a]\ncommand = [\"a\"]\nenv_file = \"a.env\"\n");
    fs::create_dir(folder.path().join("more")).expect("a directory");
    fs::write(folder.path().join("a.env"), "A=1\n").expect("a file");
    let set = vec!["service.a.workers=3".to_owned()];
    let first = Source::read(&path, set, variables(&[("EVERCREW__SERVICE__A__UMASK", "027")]), None).expect("readable");
    assert_eq!(first.read_again().expect("readable"), first);
    fs::write(folder.path().join("a.env"), "A=2\n").expect("a file");
    fs::write(folder.path().join("more/b.toml"), "[service.b]\ncommand = [\"b\"]\n").expect("a file");
    let again = first.read_again().expect("readable").parse().expect("good");
    let service = again.service("a").expect("it is there");
    assert_eq!((service.env["A"].as_str(), service.policy.workers, service.umask), ("2", 3, Some(0o027)));
    assert!(again.service("b").is_some());
}

#[test]
fn a_pipe_is_not_read_again() {
    let (folder, path) = folder("");
    let first = read(&path).expect("readable");
    fs::remove_file(&path).expect("remove it");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("run mkfifo");
    assert!(made.success());
    let refused = first.read_again().expect_err("a pipe");
    assert!(refused.to_string().contains("regular file"), "{refused}");
    drop(folder);
}

#[test]
fn nobody_waits_for_one_who_writes_into_a_pipe() {
    let (folder, path) = folder("");
    fs::remove_file(&path).expect("remove it");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("run mkfifo");
    assert!(made.success());
    let refused = read(&path).expect_err("a pipe").to_string();
    assert!(refused.contains("regular file") && refused.contains(&path.display().to_string()), "{refused}");
    let found = engine_directory(&path, &[], std::iter::empty(), None);
    assert_eq!(found, folder.path().join(".evercrew"), "as without a file");
}
