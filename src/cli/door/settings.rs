//! set, get, unset, multiset, conf: values that are kept for scripts that ask for them. Nothing else reads them.

use super::super::fail::{Code, CommandError, Ending};
use super::super::output::harmless;
use super::super::session::Session;
use super::kept;
use super::say::say;
use super::scene::DoorScene;
use crate::pm2::DoorCall;

/// As many keys are kept, and as long may one of them be with its value.
const KEYS_MAX: usize = 500;
const LENGTH_MAX: usize = 4096;

pub(super) fn settings(session: &mut Session, call: &DoorCall) -> Ending {
    let words: Vec<&str> = call.targets.iter().map(String::as_str).collect();
    match (call.word.as_str(), words.as_slice()) {
        ("get" | "conf" | "config", []) => shown(session, None),
        ("get" | "conf" | "config", [key]) => shown(session, Some(key)),
        ("set" | "conf" | "config", [key, value]) => set(session, &[(key, value)]),
        ("multiset", [line]) => {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.is_empty() || !words.len().is_multiple_of(2) {
                return Err(CommandError::new(Code::Usage, "write `multiset \"KEY VALUE KEY VALUE\"`"));
            }
            let pairs: Vec<(&str, &str)> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
            set(session, &pairs)
        }
        ("unset", [key]) => unset(session, key),
        (word, _) => {
            let line = match word {
                "get" => "get [KEY]",
                "unset" => "unset KEY|all",
                "multiset" => "multiset \"KEY VALUE KEY VALUE\"",
                "set" => "set KEY VALUE",
                _ => "conf [KEY [VALUE]]",
            };
            Err(CommandError::new(Code::Usage, format!("write `{line}`")))
        }
    }
}

fn shown(session: &mut Session, key: Option<&str>) -> Ending {
    let kept = kept::update(|_| {})?;
    let Some(key) = key else {
        for (key, value) in &kept.settings {
            session.screen.line(&format!("{} {}", harmless(key), harmless(value)));
        }
        return Ok(Code::Ok);
    };
    let value = kept.settings.get(&dotted(key));
    let value = value.ok_or_else(|| CommandError::new(Code::Error, format!("there is no setting `{key}`")))?;
    session.screen.line(&harmless(value));
    Ok(Code::Ok)
}

fn set(session: &mut Session, pairs: &[(&str, &str)]) -> Ending {
    let scene = DoorScene::ask(session)?;
    for (key, value) in pairs {
        let first = key.split([':', '.']).next().unwrap_or_default();
        // PM2 gives such a value to the app as a variable.
        if first != *key && scene.members().any(|member| member.known.name == first) {
            let message = format!("`{key}` is not set: variables of an app are declared, under `env` in its file");
            let hint = format!("without a file: `VARIABLE=VALUE pm pm2 restart {first} --update-env`");
            return Err(CommandError::new(Code::Usage, message).hint(hint));
        }
        if key.len() + value.len() > LENGTH_MAX {
            return Err(CommandError::new(Code::Usage, format!("a key and its value have at most {LENGTH_MAX} bytes")));
        }
    }
    let kept = kept::update(|kept| {
        for (key, value) in pairs {
            if kept.settings.len() < KEYS_MAX {
                kept.settings.insert(dotted(key), (*value).to_owned());
            }
        }
    })?;
    if pairs.iter().any(|(key, value)| kept.settings.get(&dotted(key)).is_none_or(|kept| kept != value)) {
        return Err(CommandError::new(
            Code::Error,
            format!("not kept: there are {KEYS_MAX} settings, or no place on the disk"),
        ));
    }
    for (key, _) in pairs {
        say(session, &format!("{} is kept", harmless(key)));
        let why = if key.starts_with("pm2-logrotate") {
            "it has no effect: log files rotate by themselves, see `pm explain log_rotate`"
        } else {
            "it has no effect on apps: there are no modules that would read it"
        };
        session.screen.note(&format!("[PM2][WARN] {}: {why}", harmless(key)));
    }
    Ok(Code::Ok)
}

fn unset(session: &mut Session, key: &str) -> Ending {
    let before = kept::update(|_| {})?;
    if key != "all" && !before.settings.contains_key(&dotted(key)) {
        return Err(CommandError::new(Code::Error, format!("there is no setting `{key}`")));
    }
    kept::update(|kept| {
        if key == "all" {
            kept.settings.clear();
        } else {
            kept.settings.remove(&dotted(key));
        }
    })?;
    say(session, &format!("{} is removed", harmless(key)));
    Ok(Code::Ok)
}

/// `module.key` and `module:key` are the same.
fn dotted(key: &str) -> String {
    key.replacen('.', ":", 1)
}
