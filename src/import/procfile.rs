//! A Procfile: one line `name: command` for each process.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Draft, needs_shell};
use crate::pm2::{DefaultKey, Misfit, Translation};

/// The port of the first process, and how far those of the others are from each other, as foreman gives them.
const FIRST_PORT: usize = 5000;
const PORT_STEP: usize = 100;

/// Reads a Procfile. `has_env_file`: whether a file `.env` is beside it, which its tools read, too.
///
/// # Errors
/// A line that is none of a Procfile, or there are no processes.
pub fn of_procfile(text: &str, has_env_file: bool) -> Result<Translation, Misfit> {
    let (mut apps, mut remarks, mut misfits) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = parts(line) else {
            misfits.push(format!("line {}: expected `name: command`", at + 1));
            continue;
        };
        if !names.insert(name) {
            misfits.push(format!("line {}: a second process `{name}`", at + 1));
            continue;
        }
        let (app, own) = process(name, command, apps.len()).app();
        apps.push(app);
        remarks.extend(own);
    }
    if apps.is_empty() && misfits.is_empty() {
        misfits.push("it declares no processes: there is no line `name: command`".to_owned());
    }
    if !misfits.is_empty() {
        return Err(Misfit(misfits));
    }
    let env_file = DefaultKey { key: "env_file", value: json!(".env"), why: "as the tools that run a Procfile" };
    let defaults = if has_env_file { vec![env_file] } else { Vec::new() };
    Ok(Translation { apps, remarks, defaults })
}

fn parts(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let (name, command) = (name.trim(), command.trim());
    (is_name(name) && !command.is_empty()).then_some((name, command))
}

fn process(name: &str, command: &str, place: usize) -> Draft {
    let mut draft = Draft::named(name);
    // No variable is filled in here: the shell that runs the line does that.
    draft.put("command", command.replace('$', "$$"));
    if needs_shell(command) {
        draft.put("shell", true);
    }
    if name == "release" {
        draft.put("kind", "task");
        draft.remark(
            "kind",
            "runs once and ends; let the others wait for it: `depends_on = { release = \"completed\" }`",
        );
    } else if name == "web" || command.contains("$PORT") || command.contains("${PORT") {
        draft.put("port", Value::from(FIRST_PORT + PORT_STEP * place));
        draft.remark("port", "the one that foreman would give; what the app reads as `PORT`");
    }
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_app() {
        let text = "# processes\nweb: node server.js --port $PORT\n\nworker: node worker.js 'a b'\n\
                    clock: bundle exec clockwork clock.rb && echo done\nrelease: ./migrate\nodd-1: A=1 ./x\n";
        let document = of_procfile(text, true).unwrap().document();
        assert_eq!(
            document,
            json!({
                "defaults": { "env_file": ".env" },
                "apps": [
                    { "name": "web", "command": "node server.js --port $$PORT", "shell": true, "port": 5000 },
                    { "name": "worker", "command": "node worker.js 'a b'" },
                    { "name": "clock", "command": "bundle exec clockwork clock.rb && echo done", "shell": true },
                    { "name": "release", "command": "./migrate", "kind": "task" },
                    { "name": "odd-1", "command": "A=1 ./x", "shell": true },
                ],
            })
        );
    }

    #[test]
    fn what_is_no_procfile_is_told_with_its_line() {
        for (text, says) in [
            ("", "it declares no processes"),
            ("web node a.js\n", "line 1: expected `name: command`"),
            ("web: a\nweb: b\n: c\n", "line 2: a second process `web`\nline 3: expected"),
            ("web:   \n", "line 1: expected"),
        ] {
            let misfit = of_procfile(text, false).unwrap_err().to_string();
            assert!(misfit.starts_with(says), "{text}: {misfit}");
        }
    }
}
