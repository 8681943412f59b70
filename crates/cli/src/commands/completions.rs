//! `completions`: for shells, with the names of services that are there.

use clap::{Args, CommandFactory, ValueEnum};
use serde_json::{Map, Value};
use std::time::Duration;

use crate::arguments::{Arguments, Global};
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::print;

/// How long a person who presses Tab waits at most.
const TAB: Duration = Duration::from_millis(500);
/// Commands whose arguments are names.
pub(super) const NAMED: [&str; 10] =
    ["status", "ps", "wait", "restart", "scale", "start", "stop", "signal", "run", "logs"];

/// Print a shell's completion script; names of services are asked of the engine or read from the file
///
/// For bash: `evercrew completions bash > ~/.local/share/bash-completion/completions/evercrew`
/// For zsh: a file `_evercrew` in a directory of $fpath
/// For fish: `evercrew completions fish > ~/.config/fish/completions/evercrew.fish`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Shells that names can be completed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        print(&script(self.shell))?;
        Ok(0)
    }
}

fn script(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut Arguments::command(), "evercrew", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let named = NAMED.join("|");
    match shell {
        Shell::Bash => format!("{script}\n{}", BASH.replace("NAMED", &named)),
        // The names stand where clap knows only that some word stands.
        Shell::Zsh => {
            let script = script.lines().map(|line| {
                let is_name = line.contains("names --") || line.contains("targets --") || line.contains(":name --");
                let line = if is_name { line.replace(":_default'", ":_evercrew_names'") } else { line.to_owned() };
                line + "\n"
            });
            format!("{}\n{ZSH}", script.collect::<String>())
        }
        Shell::Fish => {
            let of = |name| {
                format!("complete -c evercrew -n \"__fish_seen_subcommand_from {name}\" -f -a \"(__evercrew_names)\"\n")
            };
            format!("{script}\n{FISH}{}", NAMED.map(of).concat())
        }
    }
}

const BASH: &str = r#"_evercrew_live() {
    _evercrew "$@"
    local word options=() command= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$word" in
            -c | --config | --directory) options+=("$word" "${COMP_WORDS[++i]}") ;;
            --set | --timeout | --color) ((++i)) ;;
            -*) ;;
            *) command="$word"; break ;;
        esac
    done
    case "$command" in
        NAMED)
            case "${COMP_WORDS[COMP_CWORD]}" in
                -*) ;;
                *) mapfile -t COMPREPLY < <(compgen -W "$(evercrew "${options[@]}" names 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}") ;;
            esac ;;
    esac
}
complete -F _evercrew_live -o bashdefault -o default evercrew
"#;

const ZSH: &str = r#"_evercrew_names() {
    local -a names
    names=(${(f)"$(evercrew names 2>/dev/null)"})
    compadd -a names
}
"#;

const FISH: &str = "function __evercrew_names\n    evercrew names 2>/dev/null\nend\n";

/// Print the names that can stand for NAME, one a line
#[derive(Debug, Args)]
pub(crate) struct Names {}

impl Names {
    /// Those of the running engine; where none answers, those of the file; else none. It never fails.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let question = Question::look("status", Map::new(), Some(TAB));
        let names: Vec<String> = match Engine::of(global).ask(&question, |_| {}) {
            Ok(reply) => live(&reply.content),
            Err(_) => configured(global),
        };
        print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        Ok(0)
    }
}

fn live(document: &Value) -> Vec<String> {
    let services: Vec<&Value> = document["services"].as_array().into_iter().flatten().collect();
    let workers = services.iter().flat_map(|service| service["workers"].as_array().into_iter().flatten());
    let name = |entry: &Value| entry["name"].as_str().map(str::to_owned);
    let mut names: Vec<String> =
        services.iter().filter_map(|service| name(service)).chain(workers.filter_map(name)).collect();
    // During a rollout a slot is there twice.
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn configured(global: &Global) -> Vec<String> {
    let source = evercrew_config::Source::read(
        &global.config,
        global.set.clone(),
        evercrew_config::environment(),
        global.directory.clone(),
    );
    let settings = source.ok().and_then(|source| source.parse().ok());
    settings.map(|settings| settings.services.into_iter().map(|service| service.name).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_where_names_stand_and_each_is_a_command() {
        let command = Arguments::command();
        for name in NAMED {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
        let zsh = script(Shell::Zsh);
        assert!(zsh.matches(":_evercrew_names'").count() >= NAMED.len() - 2, "{zsh}");
        assert!(script(Shell::Fish).contains("__fish_seen_subcommand_from restart"));
    }
}
