//! `pm2-runtime`, `pm2-dev`: apps in the foreground, as `pm run` and `pm dev` have them.

use super::super::fail::{Code, CommandError, Ending};
use super::super::file;
use super::super::run;
use super::super::session::{self, Session};
use super::{NOT_THERE, Native, start, told};
use crate::model::ExecMode;
use crate::pm2::{app_of, read_words};

/// Options of `pm2-runtime` alone, which say how lines look, and that it ends with its apps.
const OF_RUNTIME: [&str; 3] = ["--auto-exit", "--no-auto-exit", "--formatted"];

/// `words`: `run` or `dev`, then what was typed behind the program's name.
pub(super) fn foreground(session: &mut Session, words: &[String], native: Native) -> Ending {
    let is_run = words.first().is_some_and(|command| command == "run");
    let script = words.iter().skip(1).find(|word| !word.starts_with('-')).filter(|word| !start::is_configuration(word));
    match script {
        Some(_) if is_run => {
            let answer = script_in_foreground(session, &words[1..], native);
            answer.map_err(|error| {
                told(session, &error);
                if error.is_told { error } else { CommandError::told(1) }
            })
        }
        Some(script) => {
            let message = format!("`{script}` is a script: `pm2-dev` takes a file with apps");
            Err(CommandError::new(Code::Usage, message)
                .hint("`pm start --watch SCRIPT` runs one script and watches it"))
        }
        None => native(session, &words.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

/// `pm2-runtime app.js -i 2 -- --port 80`.
fn script_in_foreground(session: &mut Session, words: &[String], native: Native) -> Ending {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let own = words[..end].iter().filter(|word| !OF_RUNTIME.contains(&word.as_str()));
    let line: Vec<String> =
        std::iter::once("start".to_owned()).chain(own.cloned()).chain(words[end..].iter().cloned()).collect();
    let call = read_words(&line)?;
    let [script] = call.targets.as_slice() else {
        return Err(CommandError::new(Code::Usage, "one script or one file runs in the foreground"));
    };
    if start::is_configuration(script) {
        if let Some(name) = call.options.names().find(|name| *name != "env") {
            let message = format!("`--{name}` is not there for a file: all its apps run as it declares them");
            return Err(CommandError::new(Code::Usage, message).hint("write it into the file"));
        }
        let profile = call.options.text("env").into_iter().flat_map(|name| ["--env", name]);
        return native(session, &["run", script].into_iter().chain(profile).collect::<Vec<_>>());
    }
    for name in call.options.names().filter(|name| NOT_THERE.contains(name)) {
        session.screen.note(&format!("[PM2][WARN] `--{name}` is not there and has no effect"));
    }
    let folder = session::folder()?;
    start::check_is_there(&folder, script)?;
    let (app, remarks) = start::translated(&folder, &app_of(script, &call.options, &call.args))?;
    start::remark(session, &remarks);
    let keys = app.keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let reading = file::from_words(&folder, &[serde_json::Value::Object(keys)], ExecMode::Fork);
    let has_times = call.options.has("timestamp") || call.options.has("time");
    run::run(session, has_times, |session| file::accept(session, reading))
}
