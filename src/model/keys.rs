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

macro_rules! keys {
    (@is_built built) => { true };
    (@is_built later) => { false };
    ($($name:ident $([$($alias:ident),*])? $class:ident $state:ident
       $kind:literal, $default:literal, $help:literal, $example:literal;)*) => {
        /// All keys of an app, in the order of the reference.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            aliases: &[$($(stringify!($alias)),*)?],
            class: Class::$class,
            kind: $kind,
            default: $default,
            help: $help,
            example: $example,
            is_built: keys!(@is_built $state),
        }),*];
    };
}

// NAME [ALIASES] CLASS built|later "KIND", "DEFAULT", "HELP", "EXAMPLE";
keys! {
    name Identity built "text", "file name of `script` without extension",
        "The app's name inside its project: letters, digits, `.`, `_`, `-`.",
        "name = \"api\"";
    script Respawn built "text", "none (exactly one of `script` and `command`)",
        "One program or file; arguments go to `args`. Relative to `cwd`; a word without slash and extension is looked up on PATH.",
        "script = \"server.js\"";
    command Respawn built "text", "none (exactly one of `script` and `command`)",
        "A whole command line, split as a shell would, without running one.",
        "command = \"python3 worker.py --queue 'high prio'\"";
    shell Respawn built "true or false", "false",
        "Run `command` with `sh -c`.",
        "shell = true";
    args Respawn built "list of texts, or one text split as a shell would", "none",
        "Arguments after the script.",
        "args = [\"--verbose\"]";
    interpreter Respawn built "text", "by extension or `#!` line",
        "The program that runs the script; `none` runs the file itself.",
        "interpreter = \"python3\"";
    interpreter_args [node_args] Respawn built "list of texts, or one text split as a shell would", "none",
        "Arguments before the script.",
        "interpreter_args = [\"--enable-source-maps\"]";
    cwd Respawn built "path", "the file's folder",
        "Working folder, relative to the file. Through a symlink the target of the moment is recorded.",
        "cwd = \"api\"";
    instances Scale built "number, \"max\", or negative (CPUs minus n)", "1",
        "How many copies run, in slots 0 to n-1; 0 = none.",
        "instances = 2";
    exec_mode Respawn later "\"fork\" or \"cluster\"", "\"fork\"",
        "`cluster`: Node workers share ports through Node's own protocol.",
        "exec_mode = \"cluster\"";
    port Respawn built "1 to 65535", "none",
        "`PORT` of slot 0; slot n gets port + n.",
        "port = 8080";
    listen Respawn built "list of \"8080\", \"127.0.0.1:8080\", \"unix:/run/x.sock\"", "none",
        "Sockets that `pm` opens, keeps open across restarts, and hands over (`LISTEN_FDS`).",
        "listen = [\"127.0.0.1:8080\"]";
    socket_mode Respawn built "octal text", "\"0660\"",
        "Who may connect to the Unix sockets of `listen`: the mode of their files.",
        "socket_mode = \"0666\"";
    socket_user Respawn built "name or number", "`user`",
        "Whom the files of these sockets belong to; another user needs root.",
        "socket_user = \"www-data\"";
    socket_group Respawn built "name or number", "`group`",
        "Which group they belong to.",
        "socket_group = \"www-data\"";
    env Respawn built "table of texts, integers, booleans", "empty",
        "Variables for the process. Floats and dates must be quoted.",
        "env = { NODE_ENV = \"production\" }";
    env_NAME Respawn built "as `env`", "empty",
        "Laid over `env` when the profile NAME is chosen (`--profile NAME`, `--env NAME`).",
        "env_production = { NODE_ENV = \"production\" }";
    profiles Respawn built "table of profile name to keys of an app", "none",
        "Laid over the app when the profile is chosen (`--profile NAME`); any key except `name` and `profiles`.",
        "profiles.production = { instances = \"max\" }";
    env_file Respawn built "path, { path, required }, or a list of them", "none",
        "Files with `KEY=value` lines, below `env`; relative to the file. A missing one is an error unless `required = false`. A pipe (`<(…)`, a password manager's) is read to its end, once per command.",
        "env_file = \".env\"";
    inherit Respawn built "list of names or globs", "none",
        "Variables taken from the shell that applies, recorded then; below `env_file`.",
        "inherit = [\"AWS_*\"]";
    instance_var Respawn built "variable name", "\"NODE_APP_INSTANCE\"",
        "The variable that tells an instance its slot.",
        "instance_var = \"WORKER_ID\"";
    increment_var Respawn built "variable name", "none",
        "A variable of `env` that holds a number and grows by one per slot.",
        "increment_var = \"METRICS_PORT\"";
    namespace Live built "text", "\"default\"",
        "A label to select several apps at once.",
        "namespace = \"web\"";
    autostart Next built "true or false", "true",
        "Whether an apply starts it; otherwise it waits for `pm start`.",
        "autostart = false";
    autorestart Live built "true or false", "true",
        "PM2's word: `false` = `restart = \"never\"`.",
        "autorestart = false";
    restart Live built "\"always\", \"on-failure\" or \"never\"", "\"always\"",
        "After which exits the app is started again.",
        "restart = \"on-failure\"";
    stop_exit_codes Live built "list of 0 to 255, or one number", "none",
        "Exit codes that count as done. A death by signal is not code 0.",
        "stop_exit_codes = [0]";
    max_restarts Live built "number or \"unlimited\"", "\"unlimited\"",
        "Unstable starts in a row before the app is `errored` and left alone.",
        "max_restarts = 16";
    min_uptime Live built "duration", "\"10s\"",
        "Uptime after which a start counts as stable.",
        "min_uptime = \"30s\"";
    restart_delay Live built "duration", "\"0s\"",
        "A fixed wait before every restart, instead of the growing one.",
        "restart_delay = \"2s\"";
    exp_backoff_restart_delay Live built "duration", "\"100ms\"",
        "First step of the growing wait: the first restart is immediate, then times 1.5 with jitter up to 60 s.",
        "exp_backoff_restart_delay = \"250ms\"";
    kill_signal Live built "signal name or number", "\"SIGTERM\"",
        "The signal that asks the app to end.",
        "kill_signal = \"SIGINT\"";
    kill_timeout Live built "duration", "\"10s\"",
        "Time until SIGKILL.",
        "kill_timeout = \"30s\"";
    stop_scope Live built "\"tree\" or \"process\"", "\"tree\"",
        "Who gets the signal: everything the app started, or its first process only.",
        "stop_scope = \"process\"";
    shutdown_with_message Live built "true or false", "false",
        "Ask a Node app to end by the message `shutdown` instead of a signal.",
        "shutdown_with_message = true";
    ready Live built "{ http, tcp, exec, log, notify or message; timeout, interval }", "none",
        "When a new process is good: the gate for \"up\" and for dependents.",
        "ready = { http = \"http://127.0.0.1:${PORT}/health\", timeout = \"30s\" }";
    wait_ready Live built "true or false", "false",
        "PM2's word for `ready = { message = true }`.",
        "wait_ready = true";
    listen_timeout Live built "duration", "\"30s\"",
        "PM2's word for `ready.timeout`.",
        "listen_timeout = \"10s\"";
    health Live built "{ http, tcp, exec or notify; interval, timeout, start_period, failures, action }", "none",
        "A probe while the app runs; after some failures the app is restarted.",
        "health = { tcp = \"127.0.0.1:${PORT}\", interval = \"10s\" }";
    depends_on Live built "list of app names, or table app to \"started\", \"ready\", \"completed\"", "none",
        "Apps of this project that come first; stopped in reverse order. `started`: its process lives; `ready`: it is good; `completed`: it has ended well.",
        "depends_on = [\"db\"]";
    on_dependency_restart Live built "\"ignore\" or \"restart\"", "\"ignore\"",
        "What happens when something it depends on is restarted.",
        "on_dependency_restart = \"restart\"";
    kind Respawn built "\"service\" or \"task\"", "\"service\"",
        "A `task` runs once to completion; exit 0 = done.",
        "kind = \"task\"";
    cron_restart [cron] Live built "5 or 6 fields, or \"@daily\" etc.", "none",
        "Restart at these times; a `task` runs at these times and at no others. Minute, hour, day, month, weekday, with seconds before them if there are six.",
        "cron_restart = \"0 3 * * *\"";
    cron_timezone Live built "time zone name", "the machine's",
        "The zone in which `cron_restart` is meant. A time that is skipped in spring comes right after the gap, one that is there twice in autumn comes once.",
        "cron_timezone = \"Europe/Berlin\"";
    cron_overlap Live built "\"skip\", \"queue\" or \"replace\"", "\"skip\"",
        "What happens when a run of a task is due while the last one still runs: it is left out, waits for its end (never more than one), or takes its place.",
        "cron_overlap = \"queue\"";
    watch Live built "true, false, or list of globs", "false",
        "Restart when files change: `true` = everything in `cwd`, else folders, files or globs relative to it. What `.gitignore` names, the usual folders of tools, editor backups and `pm`'s own files never count.",
        "watch = [\"src\"]";
    ignore_watch Live built "list of globs", "`.gitignore` and the usual folders",
        "Files whose changes do not count, besides those that never do: written as in `.gitignore`, relative to `cwd`. `!dist` lets something count again.",
        "ignore_watch = [\"tmp\"]";
    watch_delay Live built "duration", "\"200ms\"",
        "How long no watched file may change before the app is restarted. Without such a pause it is restarted every ten seconds.",
        "watch_delay = \"1s\"";
    watch_options Live built "{ poll, interval, follow_symlinks }", "none",
        "How files are watched. `poll` looks at them every `interval` (1 s), for file systems that tell nothing.",
        "watch_options = { poll = true }";
    build Live built "text", "none",
        "A command line (`sh -c`) that is run when watched files have changed, before processes are replaced. If it fails, what runs is kept.",
        "build = \"npm run build\"";
    restart_on Respawn built "list of globs", "none",
        "Files whose contents belong to the app: an apply after they changed starts new processes. Relative to `cwd`.",
        "restart_on = [\"dist/**\", \"package-lock.json\"]";
    max_memory_restart Live built "size", "none",
        "Restart when the whole tree uses more memory than this, three looks in a row (2 s apart): private memory of all processes plus the largest shared part.",
        "max_memory_restart = \"300M\"";
    limits Respawn built "{ memory, cpu, nofile, nproc, nice, oom_score_adj }", "none",
        "What the process may use. `memory` and `cpu` need a control group; where there is none, `pm` says so and goes on.",
        "limits = { nofile = 65536 }";
    user [uid] Respawn built "name or number", "the daemon's",
        "Run as this user; anybody but oneself needs root. Supplementary groups, HOME and USER follow.",
        "user = \"www-data\"";
    group [gid] Respawn built "name or number", "the user's own",
        "Run with this group instead of the user's own; needs `user`, and root.",
        "group = \"www-data\"";
    umask Respawn built "octal text", "\"022\"",
        "File mode mask.",
        "umask = \"027\"";
    out_file Live built "path", "`logs/PROJECT/NAME-out-SLOT.log`",
        "Standard output, relative to the file. `${PM_INSTANCE}` is the slot.",
        "out_file = \"logs/api-${PM_INSTANCE}.log\"";
    error_file Live built "path", "`logs/PROJECT/NAME-error-SLOT.log`",
        "Standard error, relative to the file. `${PM_INSTANCE}` is the slot.",
        "error_file = \"logs/api-${PM_INSTANCE}.err\"";
    log_file Live later "path", "none",
        "Both streams in one file besides.",
        "log_file = \"logs/all.log\"";
    merge_logs Live later "true or false", "false",
        "All instances write to one file.",
        "merge_logs = true";
    log_date_format Live later "text", "none",
        "Put a time before every line.",
        "log_date_format = \"%F %T\"";
    time Live later "true or false", "false",
        "Put an ISO time before every line.",
        "time = true";
    log_type Live later "\"raw\" or \"json\"", "\"raw\"",
        "`json`: every line becomes an object.",
        "log_type = \"json\"";
    disable_logs Respawn built "true or false", "false",
        "Throw all output away.",
        "disable_logs = true";
    log_rotate Live built "{ size, keep, compress }", "{ size = \"10M\", keep = 5, compress = false }",
        "When a log file is cut and how many old pieces are kept.",
        "log_rotate = { size = \"50M\", keep = 10 }";
    on_log_full Live built "\"drop\" or \"block\"", "\"drop\"",
        "On a full disk: wait up to 30 s, then drop, count and report lines; or wait for ever.",
        "on_log_full = \"block\"";
    update Live built "{ strategy, max_surge, max_unavailable, min_healthy_time, healthy_deadline, auto_revert }", "by capability",
        "How processes are replaced one after the other.",
        "update = { min_healthy_time = \"10s\" }";
    hooks Live built "{ pre_start, post_ready, pre_stop, on_crash, on_give_up, timeout }", "none",
        "Commands run by `sh -c` at these points with the app's user, folder and environment, for at most `timeout` (30 s); their output goes to the app's error log.",
        "hooks = { pre_start = \"./migrate\" }";
    protect Live built "true or false", "false",
        "An apply never deletes this app.",
        "protect = true";
    moved_from Identity built "list of \"old-name\" or \"project:old-name\", or one", "none",
        "Older names of this app: a rename keeps the process.",
        "moved_from = [\"old-api\"]";
}
