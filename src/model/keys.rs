//! Every key of an app, once: parser, planner, schema, `pm explain` and the reference read this table.

/// What a change of a key costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Applied at once; no process is touched, counters stay.
    Live,
    /// Slots are added or removed; survivors are not touched.
    Scale,
    /// Used when a user next causes a start.
    Next,
    /// Needs a new process.
    Respawn,
    /// Another app, unless `moved_from` says it is the same.
    Identity,
}

impl Class {
    /// The word for `pm explain` and the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Scale => "scale",
            Self::Next => "next start",
            Self::Respawn => "respawn",
            Self::Identity => "identity",
        }
    }
}

/// What a value is counted in: a file says `"10s"` where a spec holds 10000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// As it stands: a text, a number, true or false, a list of them.
    Plain,
    /// A [`super::Template`], or a list or table of them: a dollar that is meant as such is doubled inside.
    Template,
    /// Words of a command line, templates.
    CommandLine,
    /// A number of milliseconds.
    Duration,
    /// A number of bytes.
    Size,
    /// The number of a signal.
    Signal,
    /// The mode of a file.
    Mode,
    /// A file mode mask.
    Mask,
    /// Percent of one CPU.
    CpuShare,
    /// [`super::ListenAddress`]es.
    Address,
    /// The digest of a file's contents.
    Contents,
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
    /// What its value is counted in.
    pub unit: Unit,
    /// The field of [`super::App`] that holds it, where the code has put several keys together.
    pub group: Option<&'static str>,
    /// Accepted values, in words.
    pub kind: &'static str,
    /// The default: as a file would write it where it is one value, else in words.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub help: &'static str,
    /// An example line.
    pub example: &'static str,
    /// Whether its behaviour is built; otherwise its use is refused with the code `unsupported`.
    pub is_built: bool,
    /// The first version that knows it.
    pub since: &'static str,
    /// Keys inside its table; empty where it is no table, or one with free names.
    pub parts: &'static [Part],
}

/// A key inside the table of another one.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Below the key: `timeout`, `http.url`.
    pub path: &'static str,
    /// What its value is counted in.
    pub unit: Unit,
    /// The default, as for [`Key::default`].
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Key {
    /// The key inside its table, by the path below it.
    pub fn part(&self, path: &str) -> Option<&'static Part> {
        self.parts.iter().find(|part| part.path == path)
    }
}

/// Finds a key by its name or one of its aliases.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

/// What the table says of one value of an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// What a change costs.
    pub class: Class,
    /// What the value is counted in.
    pub unit: Unit,
}

/// Looks up a value by its path in the file: `kill_timeout`, `env.LOG_LEVEL`, `ready.http.headers.Accept`.
pub fn leaf(path: &str) -> Option<Leaf> {
    // The one key of the file that every app has, too.
    if path == "project" {
        return Some(Leaf { class: Class::Identity, unit: Unit::Plain });
    }
    let (name, below) = path.split_once('.').unwrap_or((path, ""));
    let key = key(name)?;
    if below.is_empty() || key.parts.is_empty() {
        return Some(Leaf { class: key.class, unit: key.unit });
    }
    let is_it = |part: &&Part| match below.strip_prefix(part.path) {
        Some("") => true,
        // Below a table with free names.
        Some(rest) => rest.starts_with('.') && !key.parts.iter().any(|other| is_inside(other, part)),
        None => false,
    };
    let part = key.parts.iter().find(is_it)?;
    Some(Leaf { class: key.class, unit: part.unit })
}

fn is_inside(part: &Part, table: &Part) -> bool {
    part.path.strip_prefix(table.path).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a field of [`super::App`] only holds several keys together: its name is no part of a path.
pub fn is_group(field: &str) -> bool {
    KEYS.iter().any(|key| key.group == Some(field))
}

macro_rules! keys {
    (@is_built built) => { true };
    (@is_built later) => { false };
    (@group) => { None };
    (@group $group:ident) => { Some(stringify!($group)) };
    (@path $first:ident $(. $rest:ident)*) => { concat!(stringify!($first) $(, ".", stringify!($rest))*) };
    ($($name:ident $([$($alias:ident),*])? $class:ident $state:ident $unit:ident $(in $group:ident)?
       $kind:literal, $default:literal, $help:literal, $example:literal
       $({ $($first:ident $(. $rest:ident)* $part_unit:ident $part_default:literal, $part_help:literal;)* })?;)*) => {
        /// All keys of an app, in the order of the reference.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            aliases: &[$($(stringify!($alias)),*)?],
            class: Class::$class,
            unit: Unit::$unit,
            group: keys!(@group $($group)?),
            kind: $kind,
            default: $default,
            help: $help,
            example: $example,
            is_built: keys!(@is_built $state),
            since: "0.1",
            parts: &[$($(Part {
                path: keys!(@path $first $(. $rest)*),
                unit: Unit::$part_unit,
                default: $part_default,
                help: $part_help,
            }),*)?],
        }),*];
    };
}

// NAME [ALIASES] CLASS built|later UNIT (in GROUP) "KIND", "DEFAULT", "HELP", "EXAMPLE" { PART UNIT "DEFAULT", "HELP"; … };
keys! {
    name Identity built Plain "string", "file name of `script` without extension",
        "The app's name inside its project: letters, digits, `.`, `_`, `-`.",
        "name = \"api\"";
    script Respawn built Plain in run "string", "none (exactly one of `script` and `command`)",
        "One program or file; arguments go to `args`. Relative to `cwd`; a word without slash and extension is looked up on PATH.",
        "script = \"server.js\"";
    command Respawn built CommandLine in run "string", "none (exactly one of `script` and `command`)",
        "A whole command line, split as a shell would, without running one.",
        "command = \"python3 worker.py --queue 'high prio'\"";
    shell Respawn built Plain in run "true or false", "false",
        "Run `command` with `sh -c`.",
        "shell = true";
    args Respawn built Template in run "list of strings, or one string split as by a shell", "none",
        "Arguments after the script.",
        "args = [\"--verbose\"]";
    interpreter Respawn built Plain in run "string", "by extension or `#!` line",
        "The program that runs the script; `none` runs the file itself.",
        "interpreter = \"python3\"";
    interpreter_args [node_args] Respawn built Template in run "list of strings, or one string split as by a shell", "none",
        "Arguments before the script.",
        "interpreter_args = [\"--enable-source-maps\"]";
    cwd Respawn built Plain in run "path", "the file's folder",
        "Working folder, relative to the file. For a symlink, its target at the time of the apply is recorded.",
        "cwd = \"api\"";
    instances Scale built Plain "number, \"max\", or negative (CPUs minus n)", "1",
        "The number of copies, in slots 0 to n-1; 0 = none.",
        "instances = 2";
    exec_mode Respawn later Plain "\"fork\" or \"cluster\"", "\"fork\"",
        "`cluster`: Node workers share ports through Node's own protocol.",
        "exec_mode = \"cluster\"";
    port Respawn built Plain in run "1 to 65535", "none",
        "`PORT` of slot 0; slot n gets port + n.",
        "port = 8080";
    listen Respawn built Address in run "list of \"8080\", \"127.0.0.1:8080\", \"unix:/run/x.sock\"", "none",
        "Sockets that `pm` opens, keeps open across restarts, and hands over (`LISTEN_FDS`).",
        "listen = [\"127.0.0.1:8080\"]";
    socket_mode Respawn built Mode in run "octal string", "\"0660\"",
        "Who may connect to the Unix sockets of `listen`: the mode of their files.",
        "socket_mode = \"0666\"";
    socket_user Respawn built Plain in run "name or number", "`user`",
        "Whom the files of these sockets belong to; another user needs root.",
        "socket_user = \"www-data\"";
    socket_group Respawn built Plain in run "name or number", "`group`",
        "Which group they belong to.",
        "socket_group = \"www-data\"";
    env Respawn built Template in run "table of texts, integers, booleans", "empty",
        "Variables for the process. Floats and dates must be quoted.",
        "env = { NODE_ENV = \"production\" }";
    env_NAME Respawn built Template "as `env`", "empty",
        "Laid over `env` when the profile NAME is selected (`--profile NAME`, `--env NAME`).",
        "env_production = { NODE_ENV = \"production\" }";
    profiles Respawn built Plain "table of profile name to keys of an app", "none",
        "Overrides the app's keys when the profile is selected (`--profile NAME`); any key except `name` and `profiles`.",
        "profiles.production = { instances = \"max\" }";
    env_file Respawn built Plain "path, { path, required }, or a list of them", "none",
        "Files with `KEY=value` lines, overridden by `env`; relative to the file. A missing file is an error unless `required = false`. A pipe (`<(…)`, a password manager's) is read to its end, once per command.",
        "env_file = \".env\"" {
        path Plain "none", "The file.";
        required Plain "true", "`false`: a missing file is not an error.";
    };
    inherit Respawn built Plain "list of names or globs", "none",
        "Variables taken from the shell that runs the apply and recorded then; overridden by `env_file`.",
        "inherit = [\"AWS_*\"]";
    instance_var Respawn built Plain in run "variable name", "\"NODE_APP_INSTANCE\"",
        "The variable that holds the slot of an instance.",
        "instance_var = \"WORKER_ID\"";
    increment_var Respawn built Plain in run "variable name", "none",
        "A variable of `env` that holds a number and grows by one per slot.",
        "increment_var = \"METRICS_PORT\"";
    namespace Live built Plain "string", "\"default\"",
        "A label to select several apps at once.",
        "namespace = \"web\"";
    autostart Next built Plain "true or false", "true",
        "Whether an apply starts the app; otherwise it waits for `pm start`.",
        "autostart = false";
    autorestart Live built Plain "true or false", "true",
        "PM2's name: `false` = `restart = \"never\"`.",
        "autorestart = false";
    restart Live built Plain in restart "\"always\", \"on-failure\" or \"never\"", "\"always\"",
        "The exits after which the app is restarted. A task is not restarted unless this is set.",
        "restart = \"on-failure\"";
    stop_exit_codes Live built Plain in restart "list of 0 to 255, or one number", "none",
        "Exit codes that count as done. Being killed by a signal is not code 0.",
        "stop_exit_codes = [0]";
    max_restarts Live built Plain in restart "number or \"unlimited\"", "\"unlimited\"",
        "Consecutive unstable starts before the app becomes `errored` and is left alone.",
        "max_restarts = 16";
    min_uptime Live built Duration in restart "duration", "\"10s\"",
        "Uptime after which a start counts as stable.",
        "min_uptime = \"30s\"";
    restart_delay Live built Duration in restart "duration", "\"0s\"",
        "A fixed wait before every restart, instead of the growing one.",
        "restart_delay = \"2s\"";
    exp_backoff_restart_delay Live built Duration in restart "duration", "\"100ms\"",
        "The time from a start to the next after five unstable ones in a row, which are followed at once; then times 1.5 with jitter, up to 60 s.",
        "exp_backoff_restart_delay = \"250ms\"";
    kill_signal Live built Signal in stop "signal name or number", "\"SIGTERM\"",
        "The signal that stops the app.",
        "kill_signal = \"SIGINT\"";
    kill_timeout Live built Duration in stop "duration", "\"10s\"",
        "Time until SIGKILL.",
        "kill_timeout = \"30s\"";
    stop_scope Live built Plain in stop "\"tree\" or \"process\"", "\"tree\"",
        "Which processes get the signal: everything the app started, or only its first process.",
        "stop_scope = \"process\"";
    shutdown_with_message Live built Plain in stop "true or false", "false",
        "Stop a Node app with the message `shutdown` instead of a signal.",
        "shutdown_with_message = true";
    ready Live built Plain "{ http, tcp, exec, log, notify or message; timeout, interval }", "none",
        "When a new process counts as ready; dependents and rollouts wait for it.",
        "ready = { http = \"http://127.0.0.1:${PORT}/health\", timeout = \"30s\" }" {
        http Template "none", "A URL that answers with 2xx or 3xx.";
        http.url Template "none", "The URL.";
        http.status Plain "200 to 399", "Accepted status codes.";
        http.headers Template "none", "Headers of the request.";
        http.body Plain "none", "A regular expression that the body must match.";
        tcp Template "none", "An address that accepts connections.";
        exec Template "none", "A command that ends with 0.";
        log Plain "none", "A regular expression; ready when the app prints a matching line.";
        notify Plain "none", "`READY=1` on the notify socket.";
        message Plain "none", "The message `ready` of a Node app.";
        timeout Duration "\"30s\"", "How long it may take.";
        interval Duration "\"100ms\"", "Time between two probes; half of `timeout` where that is shorter.";
    };
    wait_ready Live built Plain "true or false", "false",
        "PM2's name for `ready = { message = true }`.",
        "wait_ready = true";
    listen_timeout Live built Duration "duration", "\"30s\"",
        "PM2's name for `ready.timeout`.",
        "listen_timeout = \"10s\"";
    health Live built Plain "{ http, tcp, exec or notify; interval, timeout, start_period, failures, action }", "none",
        "A probe while the app runs; the app is restarted after several failures.",
        "health = { tcp = \"127.0.0.1:${PORT}\", interval = \"10s\" }" {
        http Template "none", "A URL that answers with 2xx or 3xx.";
        http.url Template "none", "The URL.";
        http.status Plain "200 to 399", "Accepted status codes.";
        http.headers Template "none", "Headers of the request.";
        http.body Plain "none", "A regular expression that the body must match.";
        tcp Template "none", "An address that accepts connections.";
        exec Template "none", "A command that ends with 0.";
        notify Plain "none", "`WATCHDOG=1` on the notify socket at least once per interval.";
        start_period Duration "\"0s\"", "Time after the app becomes ready in which failures do not count.";
        timeout Duration "\"5s\"", "How long one probe may take; `interval` where that is shorter.";
        interval Duration "\"10s\"", "Time between two probes.";
        failures Plain "3", "Consecutive failures before the action is taken.";
        action Plain "\"restart\"", "The action to take.";
    };
    depends_on Live built Plain "list of app names, or table app to \"started\", \"ready\", \"completed\"", "none",
        "Apps of this project to start first; they are stopped in reverse order. `started`: its process is alive; `ready`: it is ready; `completed`: it completed successfully.",
        "depends_on = [\"db\"]";
    on_dependency_restart Live built Plain "\"ignore\" or \"restart\"", "\"ignore\"",
        "What happens when a dependency is restarted.",
        "on_dependency_restart = \"restart\"";
    kind Respawn built Plain "\"service\" or \"task\"", "\"service\"",
        "A `task` runs once to completion; exit 0 = done.",
        "kind = \"task\"";
    cron_restart [cron] Live built Plain in schedule "5 or 6 fields, or \"@daily\" etc.", "none",
        "Restart at these times; a `task` runs only at these times. Minute, hour, day, month, weekday; six fields begin with seconds.",
        "cron_restart = \"0 3 * * *\"";
    cron_timezone Live built Plain in schedule "time zone name", "the machine's",
        "The time zone of `cron_restart`. A time skipped in spring is due right after the gap; a time that occurs twice in autumn is due once.",
        "cron_timezone = \"Europe/Berlin\"";
    cron_overlap Live built Plain in schedule "\"skip\", \"queue\" or \"replace\"", "\"skip\"",
        "What happens when a run of a task is due while the last one is still running: it is skipped, waits for it to end (never more than one), or replaces it.",
        "cron_overlap = \"queue\"";
    watch Live built Plain in watching "true, false, or list of globs", "false",
        "Restart when files change: `true` = everything in `cwd`; otherwise folders, files or globs relative to it. Files that `.gitignore` names, the usual folders of tools, editor backups and `pm`'s own files never count.",
        "watch = [\"src\"]";
    ignore_watch Live built Plain in watching "list of globs", "`.gitignore` and the usual folders",
        "More files whose changes do not count: written as in `.gitignore`, relative to `cwd`. `!dist` makes a file count again.",
        "ignore_watch = [\"tmp\"]";
    watch_delay Live built Duration in watching "duration", "\"200ms\"",
        "How long the watched files must be quiet before the app is restarted. If they never are, it is restarted every ten seconds.",
        "watch_delay = \"1s\"";
    watch_options Live built Plain in watching "{ poll, interval, follow_symlinks }", "none",
        "How files are watched. `poll` checks them every `interval` (1 s), for file systems that report no changes.",
        "watch_options = { poll = true }" {
        poll Plain "false", "Poll the files instead of relying on notifications.";
        interval Duration "1s, or longer where polling takes long", "How often to poll.";
        follow_symlinks Plain "false", "Watch the targets of symbolic links.";
    };
    build Live built Plain in watching "string", "none",
        "A command line (`sh -c`) to run when watched files have changed, before processes are replaced. If it fails, the running processes are kept.",
        "build = \"npm run build\"";
    restart_on Respawn built Contents in run "list of globs", "none",
        "Files whose contents belong to the app: an apply after a change starts new processes. Relative to `cwd`.",
        "restart_on = [\"dist/**\", \"package-lock.json\"]";
    max_memory_restart Live built Size "size", "none",
        "Restart when the whole process tree uses more memory than this in three consecutive checks (2 s apart): private memory of all processes plus the largest shared part.",
        "max_memory_restart = \"300M\"";
    limits Respawn built Plain in run "{ memory, cpu, nofile, nproc, nice, oom_score_adj }", "none",
        "What the process may use. `memory` and `cpu` need a control group; where there is none, `pm` reports that and continues.",
        "limits = { nofile = 65536 }" {
        memory Size "none", "Memory of the whole tree.";
        cpu CpuShare "none", "CPUs, or a share of one such as \"50%\".";
        nofile Plain "the daemon's", "Open files.";
        nproc Plain "the daemon's", "Processes of the user.";
        nice Plain "the daemon's", "Scheduling priority.";
        oom_score_adj Plain "the daemon's", "Which process is killed first when memory runs out.";
    };
    user [uid] Respawn built Plain in run "name or number", "the daemon's",
        "Run as this user; any user but yourself needs root. Supplementary groups, HOME and USER follow.",
        "user = \"www-data\"";
    group [gid] Respawn built Plain in run "name or number", "the user's own",
        "Run with this group instead of the user's own; needs `user`, and root.",
        "group = \"www-data\"";
    umask Respawn built Mask in run "octal string", "\"022\"",
        "File mode mask.",
        "umask = \"027\"";
    out_file Live built Template in logs "path", "`logs/PROJECT/NAME-out-SLOT.log`",
        "Standard output, relative to the file. `${PM_INSTANCE}` is the slot.",
        "out_file = \"logs/api-${PM_INSTANCE}.log\"";
    error_file Live built Template in logs "path", "`logs/PROJECT/NAME-error-SLOT.log`",
        "Standard error, relative to the file. `${PM_INSTANCE}` is the slot.",
        "error_file = \"logs/api-${PM_INSTANCE}.err\"";
    log_file Live later Plain "path", "none",
        "Both streams also go to this file.",
        "log_file = \"logs/all.log\"";
    merge_logs Live later Plain "true or false", "false",
        "All instances write to one file.",
        "merge_logs = true";
    log_date_format Live later Plain "string", "none",
        "Put a timestamp before every line.",
        "log_date_format = \"%F %T\"";
    time Live later Plain "true or false", "false",
        "Put an ISO timestamp before every line.",
        "time = true";
    log_type Live later Plain "\"raw\" or \"json\"", "\"raw\"",
        "`json`: every line becomes an object.",
        "log_type = \"json\"";
    disable_logs Respawn built Plain in logs "true or false", "false",
        "Discard all output.",
        "disable_logs = true";
    log_rotate Live built Plain in logs "{ size, keep, compress }", "{ size = \"10M\", keep = 5, compress = false }",
        "When a log file is rotated and how many old files are kept.",
        "log_rotate = { size = \"50M\", keep = 10 }" {
        size Size "\"10M\"", "A file is rotated when it reaches this size.";
        keep Plain "5", "The number of old files to keep.";
        compress Plain "false", "Compress old files; not implemented yet.";
    };
    on_log_full Live built Plain in logs "\"drop\" or \"block\"", "\"drop\"",
        "On a full disk: wait up to 30 s, then drop, count and report lines; or wait forever.",
        "on_log_full = \"block\"";
    update Live built Plain "{ strategy, max_surge, max_unavailable, min_healthy_time, healthy_deadline, auto_revert }", "by capability",
        "How processes are replaced, one after the other.",
        "update = { min_healthy_time = \"10s\" }" {
        strategy Plain "by capability", "New before old, or old before new.";
        max_surge Plain "1", "Copies allowed above `instances` during an update.";
        max_unavailable Plain "1", "Copies that may be missing during an update.";
        min_healthy_time Duration "\"3s\"", "How long a new process must stay healthy.";
        healthy_deadline Duration "the timeout of `ready`", "Time after which a new process that is not healthy has failed.";
        auto_revert Plain "true", "Roll back to the old revision after a failure.";
    };
    hooks Live built Plain "{ pre_start, post_ready, pre_stop, on_crash, on_give_up, timeout }", "none",
        "Commands run with `sh -c` at these points, as the app's user, in its folder and environment, for at most `timeout` (30 s); their output goes to the app's error log.",
        "hooks = { pre_start = \"./migrate\" }" {
        pre_start Plain "none", "Before every start; if it fails, the start fails.";
        post_ready Plain "none", "When the app is ready.";
        pre_stop Plain "none", "Before the app is stopped; the stop continues whatever it returns.";
        on_crash Plain "none", "After an unexpected exit.";
        on_give_up Plain "none", "When the app is not restarted any more.";
        timeout Duration "\"30s\"", "How long each of them may take.";
    };
    protect Live built Plain "true or false", "false",
        "An apply never deletes this app.",
        "protect = true";
    moved_from Identity built Plain "list of \"old-name\" or \"project:old-name\", or one", "none",
        "Former names of this app: a rename keeps the process.",
        "moved_from = [\"old-api\"]";
}
