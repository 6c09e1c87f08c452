//! `pm start`: a declared app, a file, or a script.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::apply::{self, Apply, OptionArgs};
use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, FileArgs};
use crate::cli::pm2;
use crate::cli::session::{self, Session};
use crate::client::ClientError;
use crate::model::{ApplyGuard, ApplyOptions, ExecMode};
use crate::os;
use crate::wire::Edit;
use crate::wire::{ApplyRequest, EditRequest, PlanDetail, ProblemCode};

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
    /// `PORT` of the first copy; each further copy gets the next one
    #[arg(long)]
    pub port: Option<u16>,
    /// Restart at these times, as in `0 3 * * *`
    #[arg(long, value_name = "SCHEDULE")]
    pub cron: Option<String>,
    /// Restart when it uses more memory than this, as in `300M`
    #[arg(long, value_name = "SIZE")]
    pub max_memory_restart: Option<String>,
    /// Wait for this: a URL, an address, `log:PATTERN`, `notify` or `message`
    #[arg(long, value_name = "PROBE")]
    pub ready: Option<String>,
}

impl ScriptArgs {
    fn is_given(&self) -> bool {
        let Self { name, instances, fork, interpreter, env, cwd, watch, port, cron, max_memory_restart, ready } = self;
        let texts = [name, instances, interpreter, cron, max_memory_restart, ready];
        let is_set = *fork || *watch || !env.is_empty() || cwd.is_some() || port.is_some();
        is_set || texts.into_iter().any(Option::is_some)
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
  pm start 'npm run start' --port 3000 --ready 'http://127.0.0.1:${PORT}/'

A script started without a file belongs to the project `_`.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.wait.json.json;
        session.screen.is_quiet = self.wait.quiet;
        let folder = session::folder()?;
        let is_script_only = self.script.is_given() || !self.args.is_empty();
        let is_missing = |word: &&String| is_path(word) && !could_be_script(&folder, word);
        if let Some(word) = self.what.iter().find(is_missing) {
            let error = CommandError::new(Code::Error, String::new());
            return Err(neither(error, &folder, word));
        }
        if !is_script_only && self.what.iter().all(|word| is_ecosystem_file(&folder, word)) {
            return self.apply(session);
        }
        let is_app = |word: &String| !is_path(word) && !is_command_line(word);
        if !is_script_only && self.what.iter().any(is_app) {
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
        let options = ApplyOptions {
            only,
            replace_files: true,
            guard: ApplyGuard { again: true, ..ApplyGuard::default() },
            ..ApplyOptions::default()
        };
        let messages = Session::client()?.apply(&ApplyRequest { proposed, options }, PlanDetail::Whole)?;
        change::follow(session, messages, &self.wait, None)
    }

    /// One app as an ecosystem file would declare it.
    fn app(&self, script: &str) -> Value {
        let ScriptArgs {
            name,
            instances,
            fork: _,
            interpreter,
            env,
            cwd,
            watch,
            port,
            cron,
            max_memory_restart,
            ready,
        } = &self.script;
        let literal = |text: &str| Value::from(text.replace('$', "$$"));
        let key = if is_command_line(script) { "command" } else { "script" };
        let mut app = json!({ key: literal(script) });
        let name = name.clone().or_else(|| is_command_line(script).then(|| name_of_command(script)));
        for (key, text) in [("cron_restart", cron), ("max_memory_restart", max_memory_restart)] {
            if let Some(text) = text {
                app[key] = literal(text);
            }
        }
        if let Some(port) = port {
            app["port"] = (*port).into();
        }
        if let Some(probe) = ready {
            app["ready"] = probe_of(probe);
        }
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

/// A file's name rather than an app's: behind the slash of an app stands a number.
fn is_path(word: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    !is_command_line(word)
        && word.rsplit_once('/').is_some_and(|(_, last)| word.starts_with(['.', '/', '~']) || !is_number(last))
}

/// `'npm run start'`: a program with its arguments. A file may have blanks in its name.
fn is_command_line(word: &str) -> bool {
    word.trim().contains(char::is_whitespace) && !os::exists(Path::new(word))
}

/// `npm-run-start`.
fn name_of_command(line: &str) -> String {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let words = line.split(|c| !is_good(c)).filter(|word| word.contains(|c: char| c.is_ascii_alphanumeric())).take(3);
    words.collect::<Vec<_>>().join("-").trim_start_matches('.').chars().take(60).collect()
}

/// What `--ready` stands for.
fn probe_of(text: &str) -> Value {
    match text.split_once(':') {
        _ if matches!(text, "notify" | "message") => json!({ text: true }),
        Some(("http" | "https", _)) => json!({ "http": text }),
        Some((word @ ("log" | "exec"), rest)) => json!({ word: rest }),
        _ => json!({ "tcp": text }),
    }
}

fn is_ecosystem_file(folder: &Path, word: &str) -> bool {
    let path = folder.join(word);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_by_name = matches!(extension, Some("toml" | "yaml" | "yml" | "json" | "jsonc")) || pm2::is_of_pm2(&path);
    is_by_name && os::exists(&path)
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
        assert_eq!(
            app("a.js --port 80 --cron @daily --max-memory-restart 1G --ready notify"),
            json!({
                "script": "a.js", "port": 80, "cron_restart": "@daily", "max_memory_restart": "1G",
                "ready": { "notify": true },
            })
        );
    }

    #[test]
    fn a_probe_is_named_by_what_it_looks_like() {
        for (text, probe) in [
            ("http://h/x", json!({ "http": "http://h/x" })),
            ("8080", json!({ "tcp": "8080" })),
            ("unix:/run/x", json!({ "tcp": "unix:/run/x" })),
            ("127.0.0.1:80", json!({ "tcp": "127.0.0.1:80" })),
            ("log:up: \\d+", json!({ "log": "up: \\d+" })),
            ("message", json!({ "message": true })),
        ] {
            assert_eq!(probe_of(text), probe, "{text}");
        }
    }

    #[test]
    fn an_app_a_file_and_a_command_line_are_told_apart() {
        for (word, is_file, is_line) in [
            ("api", false, false),
            ("api/1", false, false),
            ("shop:api/12", false, false),
            ("./nope.js", true, false),
            ("x/y.js", true, false),
            ("/srv/1", true, false),
            ("api.js", false, false),
            ("npm run start", false, true),
            ("node ./x.js", false, true),
        ] {
            assert_eq!((is_path(word), is_command_line(word)), (is_file, is_line), "{word}");
        }
        assert_eq!(name_of_command("npm run start"), "npm-run-start");
        assert_eq!(name_of_command("./bin/x --port 3"), "bin-x-port");
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
