//! The rows of all keys, in the order of the reference.

use super::fields::{self, TEXT};
use super::shape::Shape::{self, Any, Boolean, Choice, Integer, Keys, List, Record, Table, TextFormat};
use super::shape::TextFormat::{
    AppName, Argument, AutoPort, Duration, FileMask, OldName, ProfileName, ProjectName, Size, SocketMode, VariableName,
};
use super::signals::STOP_SIGNALS;
use super::{Class, FileKey, Key, Level, Unit};

// ---- shapes that several keys share

const TEXTS: Shape = Any(&[List(&TEXT), TEXT]);
const ARGUMENTS: Shape = Any(&[List(&Any(&[TextFormat(Argument), Integer(i64::MIN, i64::MAX)])), TextFormat(Argument)]);
const ACCOUNT: Shape = Any(&[TEXT, Integer(0, u32::MAX as i64 - 1)]);

/// The keys of a file, beside those of its apps.
pub const FILE_KEYS: &[FileKey] = &[
    FileKey {
        name: "project",
        leaf: Some((Class::Identity, Unit::Plain)),
        shape: TextFormat(ProjectName),
        kind: "string",
        help: "The project that owns the apps of this file; defaults to the folder's name. Letters, digits, `.`, `_`, `-`.",
        example: "project = \"shop\"",
    },
    FileKey {
        name: "defaults",
        leaf: None,
        shape: Keys(Level::Defaults),
        kind: "keys of an app",
        help: "Default values for every app of this file.",
        example: "[defaults]\nenv = { TZ = \"UTC\" }",
    },
    FileKey {
        name: "apps",
        leaf: None,
        shape: Any(&[List(&Keys(Level::App)), Table(AppName, &Keys(Level::App))]),
        kind: "list of apps, or table of name to app",
        help: "The apps. In a table the key is the name.",
        example: "[[apps]]\nname = \"api\"\nscript = \"server.js\"",
    },
    FileKey {
        name: "start_concurrency",
        leaf: None,
        shape: Integer(1, 1000),
        kind: "integer",
        help: "How many processes of this project start at the same time; the next ones follow once those are ready, or have failed. Without it an apply has no limit; after a reboot twice as many as there are processors (at least 8) start at the same time, over all projects.",
        example: "start_concurrency = 4",
    },
    FileKey {
        name: "self_heal",
        leaf: None,
        shape: Choice(&["off", "config", "full"]),
        kind: "\"off\", \"config\" or \"full\"",
        help: "What `pm` puts right without an apply. `config`: processes of services get a successor, by the update strategy of their app, once a file of `restart_on` has had other contents for ten seconds. `full`: the same, and `pm scale` is undone after `override_grace`. `off` (the default): differences are only shown. What a user stopped stays stopped, and what a rollback has changed stays as it is. An app is put right at most five times in an hour.",
        example: "self_heal = \"config\"",
    },
    FileKey {
        name: "override_grace",
        leaf: None,
        shape: TextFormat(Duration),
        kind: "duration",
        help: "How long a number of copies that a user set with `pm scale` stays, where `self_heal` is `full`. Without it ten minutes.",
        example: "override_grace = \"30m\"",
    },
];

macro_rules! keys {
    (@is_built built) => { true };
    (@is_built later) => { false };
    (@group) => { None };
    (@group $group:ident) => { Some(stringify!($group)) };
    (@furthest) => { Level::Profile };
    (@furthest $level:ident) => { Level::$level };
    (@since) => { "0.1" };
    (@since $since:literal) => { $since };
    ($($name:ident $([$($alias:ident),*])? $class:ident $state:ident $unit:ident
       $(in $group:ident)? $(at $level:ident)? $(since $since:literal)?, $shape:expr,
       $kind:literal, $default:literal, $help:literal, $example:literal;)*) => {
        /// All keys of an app, in the order of the reference.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            aliases: &[$($(stringify!($alias)),*)?],
            class: Class::$class,
            is_built: keys!(@is_built $state),
            unit: Unit::$unit,
            group: keys!(@group $($group)?),
            furthest: keys!(@furthest $($level)?),
            shape: $shape,
            kind: $kind,
            default: $default,
            help: $help,
            example: $example,
            since: keys!(@since $($since)?),
        }),*];
    };
}

// NAME [ALIASES] CLASS built|later UNIT (in GROUP) (at LEVEL) (since "VERSION"), SHAPE, "KIND", "DEFAULT", "HELP", "EXAMPLE";
keys! {
    name Identity built Plain at App, TextFormat(AppName),
        "string", "file name of `script` without extension",
        "The app's name inside its project: letters, digits, `.`, `_`, `-`.",
        "name = \"api\"";
    script Respawn built Plain in run, TEXT,
        "string", "none (exactly one of `script` and `command`)",
        "One program or file; arguments go to `args`. Relative to `cwd`; a word without slash and extension is looked up on PATH.",
        "script = \"server.js\"";
    command Respawn built CommandLine in run, TEXT,
        "string", "none (exactly one of `script` and `command`)",
        "A whole command line, split as a shell would, without running one.",
        "command = \"python3 worker.py --queue 'high prio'\"";
    shell Respawn built Plain in run, Boolean,
        "true or false", "false",
        "Run `command` with `sh -c`.",
        "shell = true";
    args Respawn built Template in run, ARGUMENTS,
        "list of strings, or one string split as by a shell", "none",
        "Arguments after the script.",
        "args = [\"--verbose\"]";
    interpreter Respawn built Plain in run, TEXT,
        "string", "by extension or `#!` line",
        "The program that runs the script; `none` runs the file itself.",
        "interpreter = \"python3\"";
    interpreter_args [node_args] Respawn built Template in run, ARGUMENTS,
        "list of strings, or one string split as by a shell", "none",
        "Arguments before the script.",
        "interpreter_args = [\"--enable-source-maps\"]";
    cwd Respawn built Plain in run, TEXT,
        "path", "the file's folder",
        "Working folder, relative to the file. For a symlink, its target at the time of the apply is recorded.",
        "cwd = \"api\"";
    instances Scale built Plain, Any(&[Integer(-4096, 4096), Choice(&["max"])]),
        "number, \"max\", or negative (CPUs minus n)", "1",
        "The number of copies, in slots 0 to n-1; 0 = none.",
        "instances = 2";
    exec_mode Respawn built Plain in run, Choice(&["fork", "cluster", "fork_mode", "cluster_mode"]),
        "\"fork\" or \"cluster\"", "\"fork\"",
        "`cluster`: the copies of a Node app share their ports, as with Node's `cluster` module.",
        "exec_mode = \"cluster\"";
    cluster Respawn built Plain in run, Record(fields::CLUSTER),
        "{ scheduling, drain_hook }", "round robin, with the hook",
        "How the copies share their ports; needs `exec_mode = \"cluster\"`.",
        "cluster = { scheduling = \"shared\" }";
    port Respawn built Plain in run, Any(&[Integer(1, 65535), TextFormat(AutoPort)]),
        "1 to 65535, \"auto\", \"auto:8000-8100\"", "none",
        "`PORT` of slot 0; slot n gets port + n. `auto`: free ports in a row, chosen once and kept until another process takes one.",
        "port = 8080";
    listen Respawn built Address in run, TEXTS,
        "list of \"8080\", \"127.0.0.1:8080\", \"unix:/run/x.sock\"", "none",
        "Sockets that `pm` opens, keeps open across restarts, and hands over (`LISTEN_FDS`).",
        "listen = [\"127.0.0.1:8080\"]";
    socket_names Respawn built Plain in run, TEXTS,
        "list of names", "`tcp-PORT`, or the name of the file",
        "What these sockets are called in `LISTEN_FDNAMES`, in the order of `listen`.",
        "socket_names = [\"http\"]";
    socket_mode Respawn built Mode in run, TextFormat(SocketMode),
        "octal string", "\"0660\"",
        "Who may connect to the Unix sockets of `listen`: the mode of their files.",
        "socket_mode = \"0666\"";
    socket_user Respawn built Plain in run, ACCOUNT,
        "name or number", "`user`",
        "Whom the files of these sockets belong to; another user needs root.",
        "socket_user = \"www-data\"";
    socket_group Respawn built Plain in run, ACCOUNT,
        "name or number", "`group`",
        "Which group they belong to.",
        "socket_group = \"www-data\"";
    stdin Respawn built Plain in run, Choice(&["null", "pipe"]),
        "\"null\" or \"pipe\"", "\"null\"",
        "Standard input. `null` is at its end at once; `pipe` stays open, for programs that end with their standard input (watchers, shells); `pm attach` and `pm send --stdin` write to it.",
        "stdin = \"pipe\"";
    env Respawn built Template in run, fields::ENV,
        "table of texts, integers, booleans", "empty",
        "Variables for the process. Floats and dates must be quoted.",
        "env = { NODE_ENV = \"production\" }";
    env_NAME Respawn built Template at Defaults, fields::ENV,
        "as `env`", "empty",
        "Laid over `env` when the profile NAME is selected (`--profile NAME`, `--env NAME`).",
        "env_production = { NODE_ENV = \"production\" }";
    profiles Respawn built Plain at Defaults, Table(ProfileName, &Keys(Level::Profile)),
        "table of profile name to keys of an app", "none",
        "Overrides the app's keys when the profile is selected (`--profile NAME`); any key except `name` and `profiles`.",
        "profiles.production = { instances = \"max\" }";
    env_file Respawn built Plain, fields::ENV_FILES,
        "path, { path, required }, or a list of them", "none",
        "Files with `KEY=value` lines, overridden by `env`; relative to the file. A missing file is an error unless `required = false`. A pipe (`<(…)`, a password manager's) is read to its end, once per command.",
        "env_file = \".env\"";
    inherit Respawn built Plain, TEXTS,
        "list of names or globs", "none",
        "Variables taken from the shell that runs the apply and recorded then; overridden by `env_file`.",
        "inherit = [\"AWS_*\"]";
    instance_var Respawn built Plain in run, TextFormat(VariableName),
        "variable name", "\"NODE_APP_INSTANCE\"",
        "The variable that holds the slot of an instance.",
        "instance_var = \"WORKER_ID\"";
    increment_var Respawn built Plain in run, TextFormat(VariableName),
        "variable name", "none",
        "A variable of `env` that holds a number and grows by one per slot.",
        "increment_var = \"METRICS_PORT\"";
    namespace Live built Plain, TEXT,
        "string", "\"default\"",
        "A label to select several apps at once.",
        "namespace = \"web\"";
    autostart Next built Plain, Boolean,
        "true or false", "true",
        "Whether an apply starts the app; otherwise it waits for `pm start`.",
        "autostart = false";
    autorestart Live built Plain, Boolean,
        "true or false", "true",
        "PM2's name: `false` = `restart = \"never\"`.",
        "autorestart = false";
    restart Live built Plain in restart, Choice(&["always", "on-failure", "never"]),
        "\"always\", \"on-failure\" or \"never\"", "\"always\"",
        "The exits after which the app is restarted. A task is not restarted unless this is set.",
        "restart = \"on-failure\"";
    stop_exit_codes Live built Plain in restart, Any(&[List(&Integer(0, 255)), Integer(0, 255)]),
        "list of 0 to 255, or one number", "none",
        "Exit codes that count as done. Being killed by a signal is not code 0.",
        "stop_exit_codes = [0]";
    max_restarts Live built Plain in restart, Any(&[Integer(0, 1_000_000), Choice(&["unlimited"])]),
        "number or \"unlimited\"", "\"unlimited\"",
        "Consecutive unstable starts before the app becomes `errored` and is left alone.",
        "max_restarts = 16";
    min_uptime Live built Duration in restart, TextFormat(Duration),
        "duration", "\"10s\"",
        "Uptime after which a start counts as stable.",
        "min_uptime = \"30s\"";
    restart_delay Live built Duration in restart, TextFormat(Duration),
        "duration", "\"0s\"",
        "A fixed wait before every restart, instead of the growing one.",
        "restart_delay = \"2s\"";
    exp_backoff_restart_delay Live built Duration in restart, TextFormat(Duration),
        "duration", "\"100ms\"",
        "The time from a start to the next after five unstable ones in a row, which are followed at once; then times 1.5 with jitter, up to 60 s.",
        "exp_backoff_restart_delay = \"250ms\"";
    kill_signal Live built Signal in stop, Any(&[Choice(&STOP_SIGNALS), Integer(1, 31)]),
        "signal name or number", "\"SIGTERM\"",
        "The signal that stops the app.",
        "kill_signal = \"SIGINT\"";
    kill_timeout Live built Duration in stop, TextFormat(Duration),
        "duration", "\"10s\"",
        "Time until SIGKILL.",
        "kill_timeout = \"30s\"";
    stop_scope Live built Plain in stop, Choice(&["tree", "process"]),
        "\"tree\" or \"process\"", "\"tree\"",
        "Which processes get the signal: everything the app started, or only its first process.",
        "stop_scope = \"process\"";
    shutdown_with_message Live built Plain in stop, Boolean,
        "true or false", "false",
        "Stop a Node app with the message `shutdown` instead of a signal.",
        "shutdown_with_message = true";
    ready Live built Plain, Record(fields::READY),
        "{ http, tcp, exec, log, notify, message or listening; timeout, interval }",
        "none; `{ listening = true }` with `exec_mode = \"cluster\"`",
        "When a new process counts as ready; dependents and rollouts wait for it.",
        "ready = { http = \"http://127.0.0.1:${PORT}/health\", timeout = \"30s\" }";
    wait_ready Live built Plain, Boolean,
        "true or false", "false",
        "PM2's name for `ready = { message = true }`.",
        "wait_ready = true";
    listen_timeout Live built Duration, TextFormat(Duration),
        "duration", "\"30s\"",
        "PM2's name for `ready.timeout`.",
        "listen_timeout = \"10s\"";
    health Live built Plain, Record(fields::HEALTH),
        "{ http, tcp, exec or notify; interval, timeout, start_period, failures, action }", "none",
        "A probe while the app runs; the app is restarted after several failures.",
        "health = { tcp = \"127.0.0.1:${PORT}\", interval = \"10s\" }";
    depends_on Live built Plain, Any(&[
            List(&TextFormat(AppName)),
            Table(AppName, &Choice(&["started", "ready", "completed"])),
        ]),
        "list of app names, or table app to \"started\", \"ready\", \"completed\"", "none",
        "Apps of this project to start first; they are stopped in reverse order. `started`: its process is alive; `ready`: it is ready; `completed`: it completed successfully.",
        "depends_on = [\"db\"]";
    on_dependency_restart Live built Plain, Choice(&["ignore", "restart"]),
        "\"ignore\" or \"restart\"", "\"ignore\"",
        "What happens when a dependency is restarted.",
        "on_dependency_restart = \"restart\"";
    kind Respawn built Plain, Choice(&["service", "task"]),
        "\"service\" or \"task\"", "\"service\"",
        "A `task` runs once to completion; exit 0 = done.",
        "kind = \"task\"";
    cron_restart [cron] Live built Plain in schedule, TEXT,
        "5 or 6 fields, or \"@daily\" etc.", "none",
        "Restart at these times; a `task` runs only at these times. Minute, hour, day, month, weekday; six fields begin with seconds.",
        "cron_restart = \"0 3 * * *\"";
    cron_timezone Live built Plain in schedule, TEXT,
        "time zone name", "the machine's",
        "The time zone of `cron_restart`. A time skipped in spring is due right after the gap; a time that occurs twice in autumn is due once.",
        "cron_timezone = \"Europe/Berlin\"";
    cron_overlap Live built Plain in schedule, Choice(&["skip", "queue", "replace"]),
        "\"skip\", \"queue\" or \"replace\"", "\"skip\"",
        "What happens when a run of a task is due while the last one is still running: it is skipped, waits for it to end (never more than one), or replaces it.",
        "cron_overlap = \"queue\"";
    watch Live built Plain in watching, Any(&[Boolean, List(&TEXT)]),
        "true, false, or list of globs", "false",
        "Restart when files change: `true` = everything in `cwd`; otherwise folders, files or globs relative to it. Files that `.gitignore` names, the usual folders of tools, editor backups and `pm`'s own files never count.",
        "watch = [\"src\"]";
    ignore_watch Live built Plain in watching, TEXTS,
        "list of globs", "`.gitignore` and the usual folders",
        "More files whose changes do not count: written as in `.gitignore`, relative to `cwd`. `!dist` makes a file count again.",
        "ignore_watch = [\"tmp\"]";
    watch_delay Live built Duration in watching, TextFormat(Duration),
        "duration", "\"200ms\"",
        "How long the watched files must be quiet before the app is restarted: all of it while many change, 15 % of it, at least 30 ms, after a single save. If they never are quiet, the app is restarted every ten seconds.",
        "watch_delay = \"1s\"";
    watch_options Live built Plain in watching, Record(fields::WATCH_OPTIONS),
        "{ poll, interval, follow_symlinks }", "none",
        "How files are watched. `poll` checks them every `interval` (1 s), for file systems that report no changes.",
        "watch_options = { poll = true }";
    build Live built Plain in watching, TEXT,
        "string", "none",
        "A command line (`sh -c`) to run before a user starts the app while nothing of it runs, and when watched files have changed, before processes are replaced. If it fails, the app is not started, or the running processes are kept.",
        "build = \"npm run build\"";
    inputs Live built Plain in watching, TEXTS,
        "list of paths and globs", "`cwd` and the script",
        "What the app is made of in a repository that `pm source` follows: a commit that changes none of it leaves the app alone. Relative to the folder of the ecosystem file; a folder stands for everything in it. Without it: the app's `cwd` and its script, or the whole repository where `cwd` is its root.",
        "inputs = [\"apps/api\", \"lib/*.js\"]";
    restart_on Respawn built Contents in run, TEXTS,
        "list of globs", "none",
        "Files whose contents belong to the app: an apply after a change starts new processes. Relative to `cwd`.",
        "restart_on = [\"dist/**\", \"package-lock.json\"]";
    max_memory_restart Live built Size, TextFormat(Size),
        "size", "none",
        "Restart when the whole process tree uses more memory than this in three consecutive checks (2 s apart): private memory of all processes plus the largest shared part.",
        "max_memory_restart = \"300M\"";
    limits Respawn built Plain in run, Record(fields::LIMITS),
        "{ memory, cpu, nofile, nproc, nice, oom_score_adj }", "none",
        "What the process may use. `memory` and `cpu` need a control group; where there is none, `pm` reports that and continues.",
        "limits = { nofile = 65536 }";
    user [uid] Respawn built Plain in run, ACCOUNT,
        "name or number", "the daemon's",
        "Run as this user; any user but yourself needs root. Supplementary groups, HOME and USER follow.",
        "user = \"www-data\"";
    group [gid] Respawn built Plain in run, ACCOUNT,
        "name or number", "the user's own",
        "Run with this group instead of the user's own; needs `user`, and root.",
        "group = \"www-data\"";
    umask Respawn built Mask in run, TextFormat(FileMask),
        "octal string", "\"022\"",
        "File mode mask.",
        "umask = \"027\"";
    out_file Live built Template in logs, TEXT,
        "path", "`logs/PROJECT/NAME-out-SLOT.log`",
        "Standard output, relative to the file. `${PM_INSTANCE}` is the slot.",
        "out_file = \"logs/api-${PM_INSTANCE}.log\"";
    error_file Live built Template in logs, TEXT,
        "path", "`logs/PROJECT/NAME-error-SLOT.log`",
        "Standard error, relative to the file. `${PM_INSTANCE}` is the slot.",
        "error_file = \"logs/api-${PM_INSTANCE}.err\"";
    log_file Live built Template in logs, TEXT,
        "path", "none",
        "A file for both outputs, whole lines in the order in which they come; relative to the file. The logs that `pm logs` reads stay beside it.",
        "log_file = \"logs/all.log\"";
    merge_logs Live built Plain in logs, Boolean,
        "true or false", "false",
        "Copies that share an `out_file` or `error_file` write whole lines into it. `pm logs` merges the copies in any case.",
        "merge_logs = true";
    log_timestamps [time, log_date_format] Live built Plain in logs, Any(&[Boolean, TEXT]),
        "true, or a pattern of `strftime`", "false",
        "`pm logs` shows the time of each line, and every line in `out_file`, `error_file` and `log_file` begins with it. `true` is RFC 3339 in local time.",
        "log_timestamps = \"%F %T\"";
    log_format [log_type] Live built Plain in logs, Choice(&["raw", "json"]),
        "\"raw\" or \"json\"", "\"raw\"",
        "`json`: `pm logs` shows, and `out_file`, `error_file` and `log_file` hold, an object per line: timestamp, app_name, process_id (the slot), type (out or err), message.",
        "log_format = \"json\"";
    disable_logs Respawn built Plain in logs, Boolean,
        "true or false", "false",
        "Discard all output.",
        "disable_logs = true";
    log_rotate Live built Plain in logs, Record(fields::LOG_ROTATE),
        "{ size, keep, compress }", "{ size = \"10M\", keep = 5, compress = false }",
        "When a log file is rotated and how many old files are kept.",
        "log_rotate = { size = \"50M\", keep = 10 }";
    on_log_full Live built Plain in logs, Choice(&["drop", "block"]),
        "\"drop\" or \"block\"", "\"drop\"",
        "On a full disk: wait up to 30 s, then drop, count and report lines; or wait forever.",
        "on_log_full = \"block\"";
    update Live built Plain, Record(fields::UPDATE),
        "{ strategy, max_surge, max_unavailable, min_healthy_time, healthy_deadline, auto_revert }", "by capability",
        "How processes are replaced, one after the other.",
        "update = { min_healthy_time = \"10s\" }";
    hooks Live built Plain, Record(fields::HOOKS),
        "{ pre_start, post_ready, pre_stop, on_crash, on_give_up, timeout }", "none",
        "Commands run with `sh -c` at these points, as the app's user, in its folder and environment, for at most `timeout` (30 s); their output goes to the app's error log.",
        "hooks = { pre_start = \"./migrate\" }";
    protect Live built Plain, Boolean,
        "true or false", "false",
        "An apply never deletes this app.",
        "protect = true";
    moved_from Identity built Plain at App, Any(&[List(&TextFormat(OldName)), TextFormat(OldName)]),
        "list of \"old-name\" or \"project:old-name\", or one", "none",
        "Former names of this app: a rename keeps the process.",
        "moved_from = [\"old-api\"]";
}
