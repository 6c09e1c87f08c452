//! The shape of every key, beside the words about it in [`crate::model::KEYS`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::{AppName, Bytes, KEYS, Key, Millis, ProjectName, QuantityError};

use super::diagnostic::code;
use super::shape::Shape::{Any, Boolean, Choice, Integer, List, Record, Table, Text};
use super::shape::{Field, Flaw, Shape, TextFormat};

/// One key of an app with its shape.
pub(super) struct AppKey {
    pub key: &'static Key,
    pub shape: &'static Shape,
    /// Values with which an unbuilt key does nothing, and is therefore accepted.
    pub idle: &'static [&'static str],
}

/// Finds a key of an app by name or alias; `env_production` is found as `env_NAME`.
pub(super) fn app_key(name: &str) -> Option<&'static AppKey> {
    static TABLE: LazyLock<HashMap<&'static str, AppKey>> = LazyLock::new(|| {
        let all = KEYS.iter().filter_map(|key| {
            let shape = shape(key.name)?;
            let names = std::iter::once(key.name).chain(key.aliases.iter().copied());
            Some(names.map(move |name| (name, AppKey { key, shape, idle: idle(key.name) })))
        });
        all.flatten().collect()
    });
    if name != "env_NAME"
        && let Some(found) = TABLE.get(name)
    {
        return Some(found);
    }
    profile_of(name).and_then(|_| TABLE.get("env_NAME"))
}

/// The profile that `env_NAME` belongs to.
pub(super) fn profile_of(key: &str) -> Option<&str> {
    let profile = key.strip_prefix("env_").filter(|profile| !profile.is_empty())?;
    (key != "env_file").then_some(profile)
}

/// Keys that make no sense in `[defaults]`.
pub(super) const NOT_IN_DEFAULTS: &[&str] = &["name", "moved_from"];
/// Keys that make no sense in a profile.
pub(super) const NOT_IN_PROFILES: &[&str] = &["name", "moved_from", "profiles", "env_NAME"];

/// The keys beside `apps`: name, kind, help, example.
pub(super) const PROJECT_KEYS: &[(&str, &str, &str, &str)] = &[
    (
        "project",
        "string",
        "The project that owns the apps of this file; defaults to the folder's name. Letters, digits, `.`, `_`, `-`.",
        "project = \"shop\"",
    ),
    ("defaults", "keys of an app", "Default values for every app of this file.", "[defaults]\nenv = { TZ = \"UTC\" }"),
    (
        "apps",
        "list of apps, or table of name to app",
        "The apps. In a table the key is the name.",
        "[[apps]]\nname = \"api\"\nscript = \"server.js\"",
    ),
    (
        "self_heal",
        "\"off\", \"config\" or \"full\"",
        "What `pm` corrects on its own after an operator made it differ from the file. Only `off` is implemented.",
        "self_heal = \"off\"",
    ),
];

/// What `self_heal` takes.
pub(super) static SELF_HEAL: Shape = Choice(&["off", "config", "full"]);
/// What `project` takes.
pub(super) static PROJECT: Shape = Shape::TextFormat(&PROJECT_NAME);

const fn field(name: &'static str, shape: Shape, help: &'static str) -> Field {
    Field { name, shape, is_required: false, help }
}

const fn required(name: &'static str, shape: Shape, help: &'static str) -> Field {
    Field { name, shape, is_required: true, help }
}

// ---- forms of text

const NAME_PATTERN: &str = "^(?!all$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$";

pub(super) static APP_NAME: TextFormat = TextFormat {
    words: "an app name",
    pattern: NAME_PATTERN,
    check: |text| AppName::new(text).map(drop).map_err(|problem| Flaw::new(problem.to_string())),
    takes_zero: false,
    takes_variables: false,
};

static PROJECT_NAME: TextFormat = TextFormat {
    words: "a name (letters, digits, `.`, `_`, `-`)",
    pattern: "^(?!all$|_$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    check: |text| match ProjectName::new(text) {
        Ok(name) if name.is_nobody() => Err(Flaw::new("`_` is the project of apps started without a file")),
        Ok(_) => Ok(()),
        Err(problem) => Err(Flaw::new(problem.to_string())),
    },
    takes_zero: false,
    takes_variables: false,
};

pub(super) static PROFILE_NAME: TextFormat = TextFormat {
    words: "a profile name",
    pattern: "^(?!none$)[A-Za-z0-9_.-]+$",
    check: |text| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match text {
            "none" => Err(Flaw::new("`none` means no profile")),
            _ if !text.is_empty() && text.chars().all(is_plain) => Ok(()),
            _ => Err(Flaw::new(format!("`{text}` is not a profile name (letters, digits, `.`, `_`, `-`)"))),
        }
    },
    takes_zero: false,
    takes_variables: false,
};

static VARIABLE_NAME: TextFormat = TextFormat {
    words: "a variable name",
    pattern: "^[^=\\u0000]+$",
    check: |text| match text {
        "" => Err(Flaw::new("a variable needs a name")),
        _ if text.contains(['=', '\0']) => Err(Flaw::new(format!("`{text}` is not a variable name"))),
        _ => Ok(()),
    },
    takes_zero: false,
    takes_variables: false,
};

static PLAIN_TEXT: TextFormat = TextFormat {
    words: "a string",
    pattern: "^[^\\u0000]+$",
    check: |text| match text {
        "" => Err(Flaw::new("the text is empty")),
        _ if text.contains('\0') => Err(Flaw::new("the text holds a NUL character")),
        _ => Ok(()),
    },
    takes_zero: false,
    takes_variables: true,
};

static ARGUMENT: TextFormat = TextFormat {
    words: "a string",
    pattern: "^[^\\u0000]*$",
    check: |text| if text.contains('\0') { Err(Flaw::new("the text holds a NUL character")) } else { Ok(()) },
    takes_zero: false,
    takes_variables: true,
};

pub(super) static DURATION: TextFormat = TextFormat {
    words: "a duration such as \"5s\"",
    pattern: r"^\s*(0+(\.0*)?|((\d+\.?\d*|\.\d+)(ms|sec|s|min|m|h|d)\s*)+)\s*$",
    check: |text| {
        Millis::parse(text)
            .map(drop)
            .map_err(|problem| quantity(&problem, "a duration", |n| format!("write \"{n}ms\" or \"{n}s\"")))
    },
    takes_zero: true,
    takes_variables: true,
};

pub(super) static SIZE: TextFormat = TextFormat {
    words: "a size such as \"300M\"",
    pattern: r"^\s*(0+(\.0*)?|(\d+\.?\d*|\.\d+)\s*([bB]|[kKmMgGtT]([iI]?[bB])?))\s*$",
    check: |text| {
        Bytes::parse(text)
            .map(drop)
            .map_err(|problem| quantity(&problem, "a size", |n| format!("write \"{n}B\" or \"{n}M\"")))
    },
    takes_zero: true,
    takes_variables: true,
};

static CPU_SHARE: TextFormat = TextFormat {
    words: "a share of one CPU such as \"50%\"",
    pattern: r"^[1-9][0-9]{0,5}%$",
    check: |text| match super::limits::percent(text) {
        Some(_) => Ok(()),
        None => Err(Flaw::new(format!("`{text}` is not a share of a CPU")).hint("write 2 for two CPUs, or \"50%\"")),
    },
    takes_zero: false,
    takes_variables: true,
};

fn quantity(problem: &QuantityError, what: &str, both: fn(&str) -> String) -> Flaw {
    match problem {
        QuantityError::NoUnit(number) if number.trim().parse::<f64>().is_ok() => Flaw {
            code: code::MISSING_UNIT,
            message: format!("`{number}` has no unit: {what} needs one"),
            hint: Some(both(number)),
        },
        QuantityError::NoUnit(text) => Flaw::new(format!("`{text}` is not {what}")).hint(looks_like(what, both)),
        _ => Flaw::new(problem.to_string()).hint(looks_like(what, both)),
    }
}

fn looks_like(what: &str, both: fn(&str) -> String) -> String {
    format!("{what} looks like {}", both("5").trim_start_matches("write "))
}

pub(super) static SOCKET_MODE: TextFormat = TextFormat {
    words: "an octal string such as \"0660\"",
    pattern: "^(0o)?0?[0-7]{1,3}$",
    check: |text| match super::values::umask(text) {
        Some(mode) if mode <= 0o777 => Ok(()),
        _ => Err(Flaw::new(format!("`{text}` is not the mode of a socket")).hint("write \"0660\" or \"0o660\"")),
    },
    takes_zero: false,
    takes_variables: true,
};
pub(super) static UMASK: TextFormat = TextFormat {
    words: "an octal string such as \"027\"",
    pattern: "^(0o)?0?[0-7]{1,3}$",
    check: |text| match super::values::umask(text) {
        Some(mask) if mask <= 0o777 => Ok(()),
        _ => Err(Flaw::new(format!("`{text}` is not an octal mask")).hint("write \"022\" or \"0o022\"")),
    },
    takes_zero: false,
    takes_variables: true,
};

static OLD_NAME: TextFormat = TextFormat {
    words: "\"old-name\" or \"project:old-name\"",
    pattern: "^([A-Za-z0-9_][A-Za-z0-9._-]{0,99}:)?(?!all$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$",
    check: |text| {
        let (project, name) = text.split_once(':').map_or((None, text), |(project, name)| (Some(project), name));
        project
            .map_or(Ok(()), |project| ProjectName::new(project).map(drop))
            .and_then(|()| AppName::new(name).map(drop))
            .map_err(|problem| Flaw::new(problem.to_string()))
    },
    takes_zero: false,
    takes_variables: false,
};

// ---- shapes that several keys share

static ARGUMENTS: Shape =
    Any(&[List(&Any(&[Shape::TextFormat(&ARGUMENT), Integer(i64::MIN, i64::MAX)])), Shape::TextFormat(&ARGUMENT)]);
static TEXTS: Shape = Any(&[List(&Shape::TextFormat(&PLAIN_TEXT)), Shape::TextFormat(&PLAIN_TEXT)]);
static ACCOUNT: Shape = Any(&[Shape::TextFormat(&PLAIN_TEXT), Integer(0, u32::MAX as i64 - 1)]);
static ENV: Shape = Table(
    &VARIABLE_NAME,
    &Any(&[
        Shape::TextFormat(&ARGUMENT),
        Integer(i64::MIN, i64::MAX),
        Boolean,
        Record(&[required(
            "secret",
            Text,
            "Where the value is fetched at each start: `file:`, `cmd:`, `systemd-cred:`.",
        )]),
    ]),
);
static ENV_FILE_FIELDS: [Field; 2] = [
    required("path", Shape::TextFormat(&PLAIN_TEXT), "The file."),
    field("required", Boolean, "`false`: a missing file is not an error."),
];
static ENV_FILE_ONE: [Shape; 2] = [Shape::TextFormat(&PLAIN_TEXT), Record(&ENV_FILE_FIELDS)];
static HTTP_FIELDS: [Field; 4] = [
    required("url", Shape::TextFormat(&PLAIN_TEXT), "The URL."),
    field("status", Any(&[List(&Integer(100, 599)), Integer(100, 599)]), "Accepted status codes; 200 to 399."),
    field("headers", Table(&VARIABLE_NAME, &Shape::TextFormat(&ARGUMENT)), "Headers of the request."),
    field("body", Shape::TextFormat(&PLAIN_TEXT), "A regular expression that the body must match."),
];
static PROBE_FIELDS: [Field; 8] = [
    field("http", Any(&[Shape::TextFormat(&PLAIN_TEXT), Record(&HTTP_FIELDS)]), "A URL that answers with 2xx or 3xx."),
    field("tcp", Shape::TextFormat(&PLAIN_TEXT), "An address that accepts connections."),
    field("exec", Shape::TextFormat(&PLAIN_TEXT), "A command that ends with 0."),
    field("log", Shape::TextFormat(&PLAIN_TEXT), "A regular expression; ready when the app prints a matching line."),
    field("notify", Boolean, "`READY=1` on the notify socket."),
    field("message", Boolean, "The message `ready` of a Node app."),
    field("timeout", Shape::TextFormat(&DURATION), "How long it may take; 30 s."),
    field("interval", Shape::TextFormat(&DURATION), "Time between two probes."),
];
static HEALTH_FIELDS: [Field; 9] = [
    field("http", Any(&[Shape::TextFormat(&PLAIN_TEXT), Record(&HTTP_FIELDS)]), "A URL that answers with 2xx or 3xx."),
    field("tcp", Shape::TextFormat(&PLAIN_TEXT), "An address that accepts connections."),
    field("exec", Shape::TextFormat(&PLAIN_TEXT), "A command that ends with 0."),
    field("notify", Boolean, "`WATCHDOG=1` on the notify socket at least once per interval."),
    field(
        "start_period",
        Shape::TextFormat(&DURATION),
        "Time after the app becomes ready in which failures do not count.",
    ),
    field("timeout", Shape::TextFormat(&DURATION), "How long one probe may take."),
    field("interval", Shape::TextFormat(&DURATION), "Time between two probes."),
    field("failures", Integer(1, 1000), "Consecutive failures before the action is taken."),
    field("action", Choice(&["restart", "none"]), "The action to take."),
];
static LIMIT_FIELDS: [Field; 6] = [
    field("memory", Shape::TextFormat(&SIZE), "Memory of the whole tree."),
    field("cpu", Any(&[Integer(1, 1024), Shape::TextFormat(&CPU_SHARE)]), "CPUs, or a share of one such as \"50%\"."),
    field("nofile", Integer(0, 1 << 40), "Open files."),
    field("nproc", Integer(0, 1 << 40), "Processes of the user."),
    field("nice", Integer(-20, 19), "Scheduling priority."),
    field("oom_score_adj", Integer(-1000, 1000), "Which process is killed first when memory runs out."),
];
static ROTATE_FIELDS: [Field; 3] = [
    field("size", Shape::TextFormat(&SIZE), "A file is rotated when it reaches this size; \"10M\"."),
    field("keep", Integer(0, 10_000), "The number of old files to keep; 5."),
    field("compress", Boolean, "Compress old files; not implemented yet."),
];
static UPDATE_FIELDS: [Field; 6] = [
    field("strategy", Choice(&["rolling", "restart"]), "New before old, or old before new."),
    field("max_surge", Integer(0, 1000), "Copies allowed above `instances` during an update."),
    field("max_unavailable", Integer(0, 1000), "Copies that may be missing during an update."),
    field("min_healthy_time", Shape::TextFormat(&DURATION), "How long a new process must stay healthy; 3 s."),
    field(
        "healthy_deadline",
        Shape::TextFormat(&DURATION),
        "Time after which a new process that is not healthy has failed.",
    ),
    field("auto_revert", Boolean, "Roll back to the old revision after a failure."),
];
static HOOK_FIELDS: [Field; 6] = [
    field("pre_start", Shape::TextFormat(&PLAIN_TEXT), "Before every start; if it fails, the start fails."),
    field("post_ready", Shape::TextFormat(&PLAIN_TEXT), "When the app is ready."),
    field(
        "pre_stop",
        Shape::TextFormat(&PLAIN_TEXT),
        "Before the app is stopped; the stop continues whatever it returns.",
    ),
    field("on_crash", Shape::TextFormat(&PLAIN_TEXT), "After an unexpected exit."),
    field("on_give_up", Shape::TextFormat(&PLAIN_TEXT), "When the app is not restarted any more."),
    field("timeout", Shape::TextFormat(&DURATION), "How long each of them may take; 30 s."),
];
static WATCH_FIELDS: [Field; 3] = [
    field("poll", Boolean, "Poll the files instead of relying on notifications."),
    field("interval", Shape::TextFormat(&DURATION), "How often to poll."),
    field("follow_symlinks", Boolean, "Watch the targets of symbolic links."),
];

/// Signals by name, as accepted with and without `SIG`.
static SIGNALS: [&str; 24] = [
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGABRT", "SIGALRM", "SIGPIPE",
    "SIGWINCH", "SIGCONT", "TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "ABRT", "ALRM", "PIPE", "WINCH",
    "CONT",
];

/// The keys inside a table key, for `pm explain log_rotate.size` and the reference.
pub(super) fn fields(shape: &'static Shape) -> &'static [Field] {
    match shape {
        Record(fields) => fields,
        Any(shapes) => shapes.iter().map(fields).find(|fields| !fields.is_empty()).unwrap_or(&[]),
        _ => &[],
    }
}

/// The shape of a key; `profiles` is checked apart, because it holds keys of an app again.
fn shape(name: &str) -> Option<&'static Shape> {
    const FORM_TEXT: Shape = Shape::TextFormat(&PLAIN_TEXT);
    Some(match name {
        "name" => &const { Shape::TextFormat(&APP_NAME) },
        "script" | "command" | "interpreter" | "cwd" | "namespace" | "out_file" | "error_file" | "cron_restart"
        | "cron_timezone" | "build" | "log_date_format" | "log_file" => &FORM_TEXT,
        "instance_var" | "increment_var" => &const { Shape::TextFormat(&VARIABLE_NAME) },
        "args" | "interpreter_args" => &ARGUMENTS,
        "instances" => &const { Any(&[Integer(-4096, 4096), Choice(&["max"])]) },
        "exec_mode" => &const { Choice(&["fork", "cluster"]) },
        "port" => &const { Integer(1, 65535) },
        "listen" | "inherit" | "ignore_watch" | "restart_on" => &TEXTS,
        "env" | "env_NAME" => &ENV,
        "profiles" => &const { Table(&PROFILE_NAME, &Record(&[])) },
        "env_file" => {
            &const { Any(&[Shape::TextFormat(&PLAIN_TEXT), List(&Any(&ENV_FILE_ONE)), Record(&ENV_FILE_FIELDS)]) }
        }
        "shell"
        | "autostart"
        | "autorestart"
        | "shutdown_with_message"
        | "wait_ready"
        | "merge_logs"
        | "time"
        | "disable_logs"
        | "protect" => &Boolean,
        "restart" => &const { Choice(&["always", "on-failure", "never"]) },
        "stop_exit_codes" => &const { Any(&[List(&Integer(0, 255)), Integer(0, 255)]) },
        "max_restarts" => &const { Any(&[Integer(0, 1_000_000), Choice(&["unlimited"])]) },
        "min_uptime"
        | "restart_delay"
        | "exp_backoff_restart_delay"
        | "kill_timeout"
        | "listen_timeout"
        | "watch_delay" => &const { Shape::TextFormat(&DURATION) },
        "kill_signal" => &const { Any(&[Choice(&SIGNALS), Integer(1, 31)]) },
        "stop_scope" => &const { Choice(&["tree", "process"]) },
        "ready" => &const { Record(&PROBE_FIELDS) },
        "health" => &const { Record(&HEALTH_FIELDS) },
        "depends_on" => {
            &const {
                Any(&[
                    List(&Shape::TextFormat(&APP_NAME)),
                    Table(&APP_NAME, &Choice(&["started", "ready", "completed"])),
                ])
            }
        }
        "on_dependency_restart" => &const { Choice(&["ignore", "restart"]) },
        "kind" => &const { Choice(&["service", "task"]) },
        "cron_overlap" => &const { Choice(&["skip", "queue", "replace"]) },
        "watch" => &const { Any(&[Boolean, List(&Shape::TextFormat(&PLAIN_TEXT))]) },
        "watch_options" => &const { Record(&WATCH_FIELDS) },
        "max_memory_restart" => &const { Shape::TextFormat(&SIZE) },
        "limits" => &const { Record(&LIMIT_FIELDS) },
        "user" | "group" | "socket_user" | "socket_group" => &ACCOUNT,
        "socket_mode" => &const { Shape::TextFormat(&SOCKET_MODE) },
        "umask" => &const { Shape::TextFormat(&UMASK) },
        "log_type" => &const { Choice(&["raw", "json"]) },
        "log_rotate" => &const { Record(&ROTATE_FIELDS) },
        "on_log_full" => &const { Choice(&["drop", "block"]) },
        "update" => &const { Record(&UPDATE_FIELDS) },
        "hooks" => &const { Record(&HOOK_FIELDS) },
        "moved_from" => &const { Any(&[List(&Shape::TextFormat(&OLD_NAME)), Shape::TextFormat(&OLD_NAME)]) },
        _ => return None,
    })
}

/// Values with which an unbuilt key does nothing.
fn idle(name: &str) -> &'static [&'static str] {
    match name {
        "exec_mode" => &["fork"],
        "kind" => &["service"],
        "time" | "merge_logs" | "wait_ready" => &["false"],
        "on_dependency_restart" => &["ignore"],
        "listen_timeout" => &["30s"],
        "log_type" => &["raw"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_takes_stands_in_the_table_of_keys() {
        for key in KEYS {
            let inside: Vec<&str> = fields(shape(key.name).unwrap()).iter().map(|field| field.name).collect();
            let parts: Vec<&str> = key.parts.iter().map(|part| part.path).filter(|path| !path.contains('.')).collect();
            assert!(inside.iter().all(|name| parts.contains(name)), "{}: {inside:?} {parts:?}", key.name);
            assert!(parts.iter().all(|name| inside.contains(name)), "{}: {inside:?} {parts:?}", key.name);
        }
    }

    #[test]
    fn every_key_has_a_shape_and_no_two_share_a_name() {
        let mut seen = std::collections::HashSet::new();
        for key in KEYS {
            assert!(shape(key.name).is_some(), "{}", key.name);
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
        }
    }
}
