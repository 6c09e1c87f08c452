//! A script with its options: the app that a configuration would declare.

use serde_json::{Map, Value};

use super::options::DoorOptions;

/// Options that mean a key of the configuration, and how their value is written there.
const KEYS: &[(&str, &str, WrittenAs)] = &[
    ("name", "name", WrittenAs::Text),
    ("instances", "instances", WrittenAs::Text),
    ("namespace", "namespace", WrittenAs::Text),
    ("cwd", "cwd", WrittenAs::Text),
    ("interpreter", "interpreter", WrittenAs::Text),
    ("interpreter-args", "interpreter_args", WrittenAs::Text),
    ("node-args", "node_args", WrittenAs::Text),
    ("output", "out_file", WrittenAs::Text),
    ("error", "error_file", WrittenAs::Text),
    ("log", "log_file", WrittenAs::TextOrYes),
    ("log-type", "log_type", WrittenAs::Text),
    ("log-date-format", "log_date_format", WrittenAs::Text),
    ("time", "time", WrittenAs::Yes),
    ("disable-logs", "disable_logs", WrittenAs::Yes),
    ("merge-logs", "merge_logs", WrittenAs::Yes),
    ("watch", "watch", WrittenAs::TextOrYes),
    ("ignore-watch", "ignore_watch", WrittenAs::Words),
    ("watch-delay", "watch_delay", WrittenAs::Seconds),
    ("cron-restart", "cron_restart", WrittenAs::Text),
    ("cron", "cron_restart", WrittenAs::Text),
    ("max-memory-restart", "max_memory_restart", WrittenAs::Text),
    ("max-restarts", "max_restarts", WrittenAs::Text),
    ("restart-delay", "restart_delay", WrittenAs::Text),
    ("exp-backoff-restart-delay", "exp_backoff_restart_delay", WrittenAs::Text),
    ("stop-exit-codes", "stop_exit_codes", WrittenAs::Words),
    ("no-autorestart", "autorestart", WrittenAs::No),
    ("no-autostart", "autostart", WrittenAs::No),
    ("kill-timeout", "kill_timeout", WrittenAs::Text),
    ("listen-timeout", "listen_timeout", WrittenAs::Text),
    ("wait-ready", "wait_ready", WrittenAs::Yes),
    ("shutdown-with-message", "shutdown_with_message", WrittenAs::Yes),
    ("no-treekill", "treekill", WrittenAs::No),
    ("uid", "uid", WrittenAs::Text),
    ("gid", "gid", WrittenAs::Text),
    ("source-map-support", "source_map_support", WrittenAs::Yes),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WrittenAs {
    Text,
    Yes,
    No,
    /// A path, or just on.
    TextOrYes,
    /// Several, divided by blanks or commas.
    Words,
    /// Seconds, unless there is a unit.
    Seconds,
}

/// The app that `start SCRIPT` with these options and arguments means.
pub fn app_of(script: &str, options: &DoorOptions, args: &[String]) -> Value {
    let mut app = Map::from_iter([("script".to_owned(), Value::from(script))]);
    for (option, key, written) in KEYS.iter().filter(|(option, ..)| options.has(option)) {
        let text = options.text(option);
        let value = match (written, text) {
            (WrittenAs::No, _) => Value::from(false),
            (WrittenAs::Yes, _) | (WrittenAs::TextOrYes, None) => Value::from(true),
            (_, None) => continue,
            (WrittenAs::Text | WrittenAs::TextOrYes, Some(text)) => Value::from(text),
            (WrittenAs::Words, Some(_)) => {
                let words = options.texts(option).into_iter().flat_map(|text| text.split([' ', ',']));
                words.filter(|word| !word.is_empty()).map(Value::from).collect()
            }
            (WrittenAs::Seconds, Some(text)) => match text.parse::<f64>() {
                Ok(_) => Value::from(format!("{text}s")),
                Err(_) => Value::from(text),
            },
        };
        app.insert((*key).to_owned(), value);
    }
    if options.has("execute-command") {
        app.insert("exec_mode".to_owned(), Value::from("fork"));
    }
    if !args.is_empty() {
        app.insert("args".to_owned(), args.iter().map(|arg| Value::from(arg.as_str())).collect());
    }
    Value::Object(app)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read_words;
    use super::*;

    #[test]
    fn options_become_the_keys_of_a_file() {
        for (line, app) in [
            ("start app.js", json!({ "script": "app.js" })),
            (
                "start app.js -n api -i 2 --max-memory-restart 200M --no-autorestart -x -- --port 80",
                json!({
                    "script": "app.js", "name": "api", "instances": "2", "max_memory_restart": "200M",
                    "autorestart": false, "exec_mode": "fork", "args": ["--port", "80"],
                }),
            ),
            (
                "start app.js --watch --ignore-watch tmp,logs --watch-delay 2",
                json!({
                    "script": "app.js", "watch": true, "ignore_watch": ["tmp", "logs"], "watch_delay": "2s",
                }),
            ),
            (
                "start a.py --interpreter python3 --cron 0 -k 3000",
                json!({
                    "script": "a.py", "interpreter": "python3", "cron_restart": "0", "kill_timeout": "3000",
                }),
            ),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let call = read_words(&words).unwrap();
            assert_eq!(app_of(&call.targets[0], &call.options, &call.args), app, "{line}");
        }
    }
}
