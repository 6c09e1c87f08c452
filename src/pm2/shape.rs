//! The shapes of a whole file: `{ apps: […] }`, `{ apps: {…} }`, `{ pm2: … }`, a bare list, a bare app.

use serde_json::{Map, Value};

use super::{Misfit, Remark};

/// One app as declared.
pub(super) type Object<'a> = &'a Map<String, Value>;

/// The apps of a file, and remarks on what stands beside them.
pub(super) fn apps_of(value: &Value) -> Result<(Vec<Object<'_>>, Vec<Remark>), Misfit> {
    match value {
        Value::Object(top) => match top.get("apps").or_else(|| top.get("pm2")) {
            Some(inner @ Value::Object(object)) if !top.contains_key("apps") && object.contains_key("apps") => {
                let (apps, mut remarks) = apps_of(inner)?;
                remarks.extend(beside_apps(top, "pm2"));
                Ok((apps, remarks))
            }
            Some(apps) => {
                let key = if top.contains_key("apps") { "apps" } else { "pm2" };
                Ok((listed(apps, key)?, beside_apps(top, key)))
            }
            None if is_app(top) => Ok((vec![top], Vec::new())),
            None => {
                let keys: Vec<&str> = top.keys().take(8).map(String::as_str).collect();
                let found =
                    if keys.is_empty() { "it is empty".to_owned() } else { format!("it has {}", keys.join(", ")) };
                Err(Misfit(vec![format!("the exported object declares no apps: there is no key `apps`; {found}")]))
            }
        },
        Value::Array(_) => Ok((listed(value, "apps")?, Vec::new())),
        other => Err(Misfit(vec![format!("the file exports {}, not an object with `apps`", words(other))])),
    }
}

fn listed<'a>(apps: &'a Value, key: &str) -> Result<Vec<Object<'a>>, Misfit> {
    match apps {
        Value::Object(one) => Ok(vec![one]),
        Value::Array(several) => {
            let wrong = |at: usize, app: &Value| format!("{key}[{at}] is {}, not an object", words(app));
            let found: Vec<Result<Object<'_>, String>> =
                several.iter().enumerate().map(|(at, app)| app.as_object().ok_or_else(|| wrong(at, app))).collect();
            let misfits: Vec<String> = found.iter().filter_map(|app| app.as_ref().err().cloned()).collect();
            if misfits.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(Misfit(misfits)) }
        }
        other => Err(Misfit(vec![format!("`{key}` is {}, not a list of apps", words(other))])),
    }
}

fn is_app(top: Object<'_>) -> bool {
    ["script", "exec", "cmd", "command"].iter().any(|key| top.contains_key(*key))
}

/// Of a `package.json` only the key itself is PM2's.
fn beside_apps(top: Object<'_>, apps: &str) -> Vec<Remark> {
    let is_package = top.contains_key("version") || top.contains_key("dependencies") || top.contains_key("scripts");
    let others = top.keys().filter(|key| *key != apps);
    others
        .filter_map(|key| {
            let says = match key.as_str() {
                "deploy" => "ignored: `pm` deploys from a checkout on the machine, with `pm apply`",
                "static" => "ignored: declare a web server as an app",
                _ if is_package || apps == "pm2" => return None,
                _ => "has no effect beside `apps`, with PM2 neither: write it into the apps",
            };
            Some(Remark { app: None, key: key.clone(), says: says.to_owned() })
        })
        .collect()
}

/// What a value is, with an article.
pub(super) fn words(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
