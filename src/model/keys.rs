//! Every key of an app, once: parser, planner, schema, `pm explain` and the reference read this table.

/// What a change of a key costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Applied at once; no process is touched, counters stay.
    Live,
    /// Slots are added or removed; survivors are not touched.
    Scale,
    /// Used when a person next causes a start.
    Next,
    /// Needs a new process.
    Respawn,
    /// Another app, unless `moved_from` says it is the same.
    Identity,
}

impl Class {
    /// The word for `pm explain` and the reference.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Scale => "scale",
            Self::Next => "next start",
            Self::Respawn => "respawn",
            Self::Identity => "identity",
        }
    }
}

/// One key of an app.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// Other spellings of the same key (PM2's).
    pub aliases: &'static [&'static str],
    /// What a change costs.
    pub class: Class,
    /// Accepted values, in words.
    pub kind: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub help: &'static str,
    /// An example line.
    pub example: &'static str,
    /// Whether its behaviour is built; otherwise its use is refused with the code `unsupported`.
    pub is_built: bool,
}

/// Finds a key by its name or one of its aliases.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

const fn built(
    name: &'static str,
    aliases: &'static [&'static str],
    class: Class,
    kind: &'static str,
    default: &'static str,
    help: &'static str,
    example: &'static str,
) -> Key {
    Key { name, aliases, class, kind, default, help, example, is_built: true }
}

const fn later(
    name: &'static str,
    aliases: &'static [&'static str],
    class: Class,
    kind: &'static str,
    default: &'static str,
    help: &'static str,
    example: &'static str,
) -> Key {
    Key { name, aliases, class, kind, default, help, example, is_built: false }
}

/// All keys of an app, in the order of the reference.
pub const KEYS: &[Key] = &[
    built(
        "name",
        &[],
        Class::Identity,
        "text",
        "file name of `script` without extension",
        "The app's name inside its project: letters, digits, `.`, `_`, `-`.",
        "name = \"api\"",
    ),
    built(
        "script",
        &[],
        Class::Respawn,
        "text",
        "none (exactly one of `script` and `command`)",
        "One program or file. Arguments go to `args`. Relative to `cwd`; a word without slash and extension is looked up on PATH.",
        "script = \"server.js\"",
    ),
    built(
        "command",
        &[],
        Class::Respawn,
        "text",
        "none (exactly one of `script` and `command`)",
        "A whole command line, split as a shell would, without running one.",
        "command = \"python3 worker.py --queue 'high prio'\"",
    ),
    built("shell", &[], Class::Respawn, "true or false", "false", "Run `command` with `sh -c`.", "shell = true"),
    built(
        "args",
        &[],
        Class::Respawn,
        "list of texts, or one text split as a shell would",
        "none",
        "Arguments after the script.",
        "args = [\"--verbose\"]",
    ),
    built(
        "interpreter",
        &[],
        Class::Respawn,
        "text",
        "by extension or `#!` line",
        "The program that runs the script; `none` runs the file itself.",
        "interpreter = \"python3\"",
    ),
    built(
        "interpreter_args",
        &["node_args"],
        Class::Respawn,
        "list of texts, or one text",
        "none",
        "Arguments before the script.",
        "interpreter_args = [\"--enable-source-maps\"]",
    ),
    built(
        "cwd",
        &[],
        Class::Respawn,
        "path",
        "the file's folder",
        "Working folder. Through a symlink the target of the moment is recorded.",
        "cwd = \"api\"",
    ),
    built(
        "instances",
        &[],
        Class::Scale,
        "number, \"max\", or negative (CPUs minus n)",
        "1",
        "How many copies; 0 = none.",
        "instances = 2",
    ),
    built(
        "env",
        &[],
        Class::Respawn,
        "table of texts, integers, booleans",
        "empty",
        "Variables for the process.",
        "env = { NODE_ENV = \"production\" }",
    ),
    built(
        "env_file",
        &[],
        Class::Respawn,
        "path, list, or { path, required }",
        "none",
        "Files with `KEY=value` lines, below `env`.",
        "env_file = \".env\"",
    ),
    built(
        "inherit",
        &[],
        Class::Respawn,
        "list of names or globs",
        "none",
        "Variables taken from the shell that applies.",
        "inherit = [\"AWS_*\"]",
    ),
    built("port", &[], Class::Respawn, "1 to 65535", "none", "`PORT` of slot 0; slot n gets port + n.", "port = 8080"),
    built(
        "restart",
        &[],
        Class::Live,
        "\"always\", \"on-failure\", \"never\"",
        "\"always\"",
        "After which exits the app is started again.",
        "restart = \"on-failure\"",
    ),
    later(
        "watch",
        &[],
        Class::Live,
        "true, false, or list of globs",
        "false",
        "Restart when files change.",
        "watch = [\"src\"]",
    ),
];
