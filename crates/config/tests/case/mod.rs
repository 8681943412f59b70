//! A configuration file of the tests. Its first lines may say what is given beside it:
//! `#set: key=value`, `#env: NAME=value`, `#directory: /path`. Files that it names lie in `NAME.files/` beside it.

use std::path::{Path, PathBuf};

use evercrew_config::Source;

/// One file.
pub(crate) struct Case {
    /// Its name without ending.
    pub(crate) name: String,
    text: String,
    folder: PathBuf,
}

impl Case {
    /// Every file in `tests/FOLDER`, by name.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a readable folder").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        paths.sort();
        let case = |path: PathBuf| Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            folder: folder.clone(),
        };
        paths.into_iter().map(case).collect()
    }

    /// The file with what is given beside it, as if it lay in `/etc/evercrew` of a machine with four processors.
    pub(crate) fn source(&self) -> Source {
        let given = |what: &str| -> Vec<String> {
            let lines = self.text.lines().take_while(|line| line.starts_with('#'));
            lines.filter_map(|line| line.strip_prefix(what)).map(|value| value.trim().to_owned()).collect()
        };
        let environment = given("#env:").into_iter().map(|variable| {
            let (name, value) = variable.split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        });
        let directory = given("#directory:").pop().map(PathBuf::from);
        let path = PathBuf::from("/etc/evercrew/evercrew.toml");
        let source = Source::new(path, self.text.clone(), given("#set:"), environment, directory);
        Source { cpus: 4, files: self.files(), ..source }
    }

    /// What lies in `NAME.files`, as if it lay in `/etc/evercrew`.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let root = self.folder.join(format!("{}.files", self.name));
        let mut folders = vec![root.clone()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("a readable folder").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    let place = Path::new("/etc/evercrew").join(path.strip_prefix(&root).expect("inside"));
                    files.push((place, text));
                }
            }
        }
        files.sort();
        files
    }

    /// Where the expected result lies: beside the file.
    pub(crate) fn snapshot(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&self.folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    }
}
