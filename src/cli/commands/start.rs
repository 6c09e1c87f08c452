//! `pm start`: a declared app, a file, or a script.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::apply::{self, Apply, OptionArgs};
use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, FileArgs};
use crate::cli::session::{self, Session};
use crate::client::ClientError;
use crate::model::{ApplyOptions, ExecMode};
use crate::os;
use crate::wire::Edit;
use crate::wire::{ApplyRequest, EditRequest, ProblemCode};

#[derive(Args, Debug)]
pub(in crate::cli) struct Start {
    /// Declared apps (`api`, `api/1`, `all`), an ecosystem file, or a script
    #[arg(value_name = "APP|FILE|SCRIPT", required = true)]
    pub what: Vec<String>,
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Arguments of the script, after `--`
    #[arg(last = true, value_name = "ARG")]
    pub args: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// What a file would say about a script.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct ScriptArgs {
    /// The app's name (default: the script's name without extension)
    #[arg(short, long)]
    pub name: Option<String>,
    /// The number of copies (`max` = one per CPU, `-1` = all CPUs but one); copies of a Node app share their ports
    #[arg(short, long, allow_hyphen_values = true)]
    pub instances: Option<String>,
    /// Copies of a Node app share nothing: each opens its own ports
    #[arg(long)]
    pub fork: bool,
    /// The program that runs the script (`none`: the script itself)
    #[arg(long)]
    pub interpreter: Option<String>,
    /// An environment variable; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = file::pair)]
    pub env: Vec<(String, String)>,
    /// Working folder
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<PathBuf>,
    /// Restart when files in its folder change
    #[arg(long)]
    pub watch: bool,
}

impl ScriptArgs {
    fn is_given(&self) -> bool {
        let Self { name, instances, fork, interpreter, env, cwd, watch } = self;
        let is_set = *fork || *watch || !env.is_empty();
        is_set || name.is_some() || instances.is_some() || interpreter.is_some() || cwd.is_some()
    }

    /// The mode of a script that Node, Deno or Bun runs.
    fn exec_mode(&self) -> ExecMode {
        match self.instances {
            Some(_) if !self.fork => ExecMode::Cluster,
            _ => ExecMode::Fork,
        }
    }
}

impl CliCommand for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Start a declared app, the apps of a file, or a script";
    const EXAMPLES: &'static str = "Examples:
  pm start api                            a stopped app
  pm start all
  pm start ecosystem.toml                 the same as `pm apply --no-prune ecosystem.toml`
  pm start server.js -n api -i 2 -- --port 8080     two copies that share their ports
  pm start worker.py --env QUEUE=mail

A script started without a file belongs to the project `_`.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.wait.json.json;
        session.screen.is_quiet = self.wait.quiet;
        let folder = session::folder()?;
        let is_script_only = self.script.is_given() || !self.args.is_empty();
        if !is_script_only && self.what.iter().all(|word| is_ecosystem_file(&folder, word)) {
            return self.apply(session);
        }
        if !is_script_only {
            match self.edit(session) {
                Err(StartError::NotDeclared(error)) => {
                    if let Some(word) = self.what.iter().find(|word| !could_be_script(&folder, word)) {
                        return Err(neither(error, &folder, word));
                    }
                }
                Err(StartError::Other(error)) => return Err(error),
                Ok(code) => return Ok(code),
            }
        }
        self.start_scripts(session, &folder)
    }
}

enum StartError {
    /// No app has this name.
    NotDeclared(CommandError),
    Other(CommandError),
}

impl Start {
    fn apply(self, session: &mut Session) -> Ending {
        let files = self.what.into_iter().map(PathBuf::from).collect();
        let apply = Apply {
            file: FileArgs { files, ..FileArgs::default() },
            options: OptionArgs { no_prune: true, ..OptionArgs::default() },
            wait: self.wait,
            ..Apply::default()
        };
        apply::run(&apply, session)
    }

    fn edit(&self, session: &mut Session) -> Result<Code, StartError> {
        let selection = self.scope.selection(self.what.clone()).map_err(StartError::Other)?;
        let client = Session::client().map_err(StartError::Other)?;
        match client.edit(&EditRequest { edit: Edit::Start, selection }) {
            Ok(messages) => change::follow(session, messages, &self.wait, None).map_err(StartError::Other),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NoSuchApp => {
                Err(StartError::NotDeclared(problem.into()))
            }
            Err(error) => Err(StartError::Other(error.into())),
        }
    }

    fn start_scripts(self, session: &mut Session, folder: &Path) -> Ending {
        if self.what.len() > 1 && self.script.name.is_some() {
            return Err(CommandError::new(Code::Usage, "`--name` works with one script, but several are given"));
        }
        let apps: Vec<Value> = self.what.iter().map(|script| self.app(script)).collect();
        let reading = file::from_words(folder, &apps, self.script.exec_mode());
        let proposed = file::accept(session, reading)?;
        let only = proposed.apps.iter().map(|app| app.name.clone()).collect();
        let options = ApplyOptions { only, replace_files: true, ..ApplyOptions::default() };
        let messages = Session::client()?.apply(&ApplyRequest { proposed, options })?;
        change::follow(session, messages, &self.wait, None)
    }

    /// One app as an ecosystem file would declare it.
    fn app(&self, script: &str) -> Value {
        let ScriptArgs { name, instances, fork: _, interpreter, env, cwd, watch } = &self.script;
        let literal = |text: &str| Value::from(text.replace('$', "$$"));
        let mut app = json!({ "script": literal(script) });
        if let Some(name) = name {
            app["name"] = name.as_str().into();
        }
        if let Some(instances) = instances {
            app["instances"] = instances.parse::<i64>().map_or_else(|_| instances.as_str().into(), Value::from);
        }
        if let Some(interpreter) = interpreter {
            app["interpreter"] = literal(interpreter);
        }
        if let Some(cwd) = cwd {
            app["cwd"] = literal(&cwd.to_string_lossy());
        }
        if *watch {
            app["watch"] = true.into();
        }
        if !self.args.is_empty() {
            app["args"] = self.args.iter().map(|arg| literal(arg)).collect();
        }
        if !env.is_empty() {
            app["env"] = env.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
        }
        app
    }
}

fn is_ecosystem_file(folder: &Path, word: &str) -> bool {
    let path = folder.join(word);
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("toml" | "yaml" | "yml" | "json" | "jsonc")) && os::exists(&path)
}

/// Neither an app nor a script: a word that looks like a file is reported as a file.
fn neither(error: CommandError, folder: &Path, word: &str) -> CommandError {
    if !word.contains(['/', '.']) || word.contains(':') {
        return error;
    }
    let path = file::absolute(folder, Path::new(word));
    let message = format!("the file `{}` does not exist, and no app is called `{word}`", path.display());
    let told = CommandError { exit_code: error.exit_code, ..CommandError::new(Code::Error, message) };
    told.hint("write the path of an existing script; `pm list` shows the declared apps")
}

/// A file that is there, or a program on the PATH.
fn could_be_script(folder: &Path, word: &str) -> bool {
    let path = os::variable("PATH").unwrap_or_default();
    let is_file = os::file_kind(&folder.join(word)).is_ok_and(|kind| kind == os::FileKind::File);
    is_file || os::find_program(word.as_ref(), path.as_ref()).is_some()
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn start(words: &str) -> Start {
        let command = Start::augment_args(Command::new("start"));
        let matches = command.try_get_matches_from(std::iter::once("start").chain(words.split(' '))).unwrap();
        Start::from_arg_matches(&matches).unwrap()
    }

    fn app(words: &str) -> Value {
        let start = start(words);
        start.app(&start.what[0])
    }

    #[test]
    fn a_script_on_the_command_line_becomes_an_app_of_a_file() {
        assert_eq!(
            app("server.js -n api -i max --env A=$x --cwd /srv -- --port 80"),
            json!({
                "script": "server.js", "name": "api", "instances": "max",
                "env": { "A": "$$x" }, "cwd": "/srv", "args": ["--port", "80"],
            })
        );
        assert_eq!(app("worker.py -i -1"), json!({ "script": "worker.py", "instances": -1 }));
        assert_eq!(app("worker.py --watch"), json!({ "script": "worker.py", "watch": true }));
    }

    #[test]
    fn copies_share_their_ports_unless_told_otherwise() {
        for (words, mode) in [
            ("server.js", ExecMode::Fork),
            ("server.js -i 1", ExecMode::Cluster),
            ("server.js --instances max", ExecMode::Cluster),
            ("server.js -i -1", ExecMode::Cluster),
            ("server.js -i 4 --fork", ExecMode::Fork),
            ("server.js --fork", ExecMode::Fork),
        ] {
            let start = start(words);
            assert_eq!(start.script.exec_mode(), mode, "{words}");
            assert_eq!(start.script.is_given(), words != "server.js", "{words}");
        }
    }

    /// Whether the copies of an executable script with this first line are a cluster.
    fn is_cluster(first_line: &str, words: &str) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("serve");
        std::fs::write(&script, format!("{first_line}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let start = start(words);
        let reading = file::from_words(folder.path(), &[start.app(&start.what[0])], start.script.exec_mode());
        reading.proposed.unwrap_or_else(|| panic!("{:#?}", reading.diagnostics)).apps[0].is_cluster()
    }

    #[test]
    fn only_what_can_be_a_cluster_is_proposed_as_one() {
        let node = "#!/usr/bin/env node";
        assert!(is_cluster(node, "./serve -i 2"));
        assert!(!is_cluster(node, "./serve"));
        assert!(!is_cluster(node, "./serve -i 2 --fork"));
        assert!(!is_cluster("#!/bin/sh", "./serve -i 2"));
    }
}
