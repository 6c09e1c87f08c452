//! What PM2 gives every app and nobody writes down.

use serde_json::Value;

use super::super::{TranslatedApp, Translation, env};

/// After which SIGKILL follows, unless a file says otherwise.
const DOOR_KILL_TIMEOUT: &str = "1600ms";

/// The apps as they run when they are started through PM2's command line: with the caller's environment, in the
/// caller's `folder` if the file stands elsewhere, and stopped as PM2 stops them.
pub fn as_through_the_door(translation: &mut Translation, folder: Option<&str>) {
    for app in &mut translation.apps {
        let mut put = |key: &'static str, value: Value| {
            if !app.keys.iter().any(|(known, _)| *known == key) {
                app.keys.push((key, value));
            }
        };
        put("kill_signal", Value::from("SIGINT"));
        put("kill_timeout", Value::from(DOOR_KILL_TIMEOUT));
        put("inherit", Value::from(vec![env::ALL_BUT_SESSION]));
        if let Some(folder) = folder {
            in_folder(app, folder);
        }
    }
}

/// A relative `cwd` is one of the caller's.
fn in_folder(app: &mut TranslatedApp, folder: &str) {
    let literal = folder.replace('$', "$$");
    match app.keys.iter_mut().find(|(key, _)| *key == "cwd") {
        Some((_, Value::String(cwd))) if !cwd.starts_with(['/', '~']) => *cwd = format!("{literal}/{cwd}"),
        Some(_) => {}
        None => app.keys.push(("cwd", Value::from(literal))),
    }
}
