//! The rows of the keys inside tables: `ready.timeout`, `limits.memory`.

use super::Unit;
use super::shape::Field;
use super::shape::Shape::{self, Any, Boolean, Choice, Integer, List, Record, Table, Text, TextFormat};
use super::shape::TextFormat::{Argument, CpuShare, Duration, PlainText, Size, VariableName};

macro_rules! fields {
    (@is_required) => { false };
    (@is_required required) => { true };
    ($($name:ident $unit:ident $($required:ident)?, $shape:expr, $default:literal, $help:literal;)*) => {
        &[$(Field {
            name: stringify!($name),
            unit: Unit::$unit,
            shape: $shape,
            is_required: fields!(@is_required $($required)?),
            default: $default,
            help: $help,
        }),*]
    };
}

/// Any text that is not empty.
pub(super) const TEXT: Shape = TextFormat(PlainText);

// NAME UNIT (required), SHAPE, "DEFAULT", "HELP";

const HTTP: &[Field] = fields! {
    url Template required, TEXT, "none", "The URL.";
    status Plain, Any(&[List(&Integer(100, 599)), Integer(100, 599)]), "200 to 399", "Accepted status codes.";
    headers Template, Table(VariableName, &TextFormat(Argument)), "none", "Headers of the request.";
    body Plain, TEXT, "none", "A regular expression that the body must match.";
};

pub(super) const READY: &[Field] = fields! {
    http Template, Any(&[TEXT, Record(HTTP)]), "none", "A URL that answers with 2xx or 3xx.";
    tcp Template, TEXT, "none", "An address that accepts connections.";
    exec Template, TEXT, "none", "A command that ends with 0.";
    log Plain, TEXT, "none", "A regular expression; ready when the app prints a matching line.";
    notify Plain, Boolean, "none", "`READY=1` on the notify socket.";
    message Plain, Boolean, "none", "The message `ready` of a Node app.";
    listening Plain, Boolean, "true with `exec_mode = \"cluster\"`", "A cluster worker listens at its first address.";
    timeout Duration, TextFormat(Duration), "\"30s\"", "How long it may take.";
    interval Duration, TextFormat(Duration), "\"100ms\"",
        "Time between two probes; half of `timeout` where that is shorter.";
};

pub(super) const CLUSTER: &[Field] = fields! {
    scheduling Plain, Choice(&["round-robin", "shared"]), "`NODE_CLUSTER_SCHED_POLICY` of the app, else \"round-robin\"",
        "Who accepts connections: the daemon, in turn for each worker, or the workers themselves.";
    drain_hook Plain, Boolean, "true",
        "Preload a few lines that let a worker close its keep-alive connections without losing a request.";
};

pub(super) const HEALTH: &[Field] = fields! {
    http Template, Any(&[TEXT, Record(HTTP)]), "none", "A URL that answers with 2xx or 3xx.";
    tcp Template, TEXT, "none", "An address that accepts connections.";
    exec Template, TEXT, "none", "A command that ends with 0.";
    notify Plain, Boolean, "none", "`WATCHDOG=1` on the notify socket at least once per interval.";
    start_period Duration, TextFormat(Duration), "\"0s\"",
        "Time after the app becomes ready in which failures do not count.";
    timeout Duration, TextFormat(Duration), "\"5s\"",
        "How long one probe may take; `interval` where that is shorter.";
    interval Duration, TextFormat(Duration), "\"10s\"", "Time between two probes.";
    failures Plain, Integer(1, 1000), "3", "Consecutive failures before the action is taken.";
    action Plain, Choice(&["restart", "none"]), "\"restart\"", "The action to take.";
};

pub(super) const LIMITS: &[Field] = fields! {
    memory Size, TextFormat(Size), "none", "Memory of the whole tree.";
    cpu CpuShare, Any(&[Integer(1, 1024), TextFormat(CpuShare)]), "none",
        "CPUs, or a share of one such as \"50%\".";
    nofile Plain, Integer(0, 1 << 40), "the daemon's", "Open files.";
    nproc Plain, Integer(0, 1 << 40), "the daemon's", "Processes of the user.";
    nice Plain, Integer(-20, 19), "the daemon's", "Scheduling priority.";
    oom_score_adj Plain, Integer(-1000, 1000), "the daemon's", "Which process is killed first when memory runs out.";
};

pub(super) const LOG_ROTATE: &[Field] = fields! {
    size Size, TextFormat(Size), "\"10M\"", "A file is rotated when it reaches this size.";
    keep Plain, Integer(0, 10_000), "5", "The number of old files to keep.";
    compress Plain, Boolean, "false", "Compress old files; not implemented yet.";
};

pub(super) const UPDATE: &[Field] = fields! {
    strategy Plain, Choice(&["rolling", "restart"]), "by capability", "New before old, or old before new.";
    max_surge Plain, Integer(0, 1000), "1", "Copies allowed above `instances` during an update.";
    max_unavailable Plain, Integer(0, 1000), "1", "Copies that may be missing during an update.";
    min_healthy_time Duration, TextFormat(Duration), "\"3s\"", "How long a new process must stay healthy.";
    healthy_deadline Duration, TextFormat(Duration), "the timeout of `ready`",
        "Time after which a new process that is not healthy has failed.";
    auto_revert Plain, Boolean, "true", "Roll back to the old revision after a failure.";
};

pub(super) const HOOKS: &[Field] = fields! {
    pre_start Plain, TEXT, "none", "Before every start; if it fails, the start fails.";
    post_ready Plain, TEXT, "none", "When the app is ready.";
    pre_stop Plain, TEXT, "none", "Before the app is stopped; the stop continues whatever it returns.";
    on_crash Plain, TEXT, "none", "After an unexpected exit.";
    on_give_up Plain, TEXT, "none", "When the app is not restarted any more.";
    timeout Duration, TextFormat(Duration), "\"30s\"", "How long each of them may take.";
};

pub(super) const WATCH_OPTIONS: &[Field] = fields! {
    poll Plain, Boolean, "false", "Poll the files instead of relying on notifications.";
    interval Duration, TextFormat(Duration), "1s, or longer where polling takes long", "How often to poll.";
    follow_symlinks Plain, Boolean, "false", "Watch the targets of symbolic links.";
};

const ENV_FILE: &[Field] = fields! {
    path Plain required, TEXT, "none", "The file.";
    required Plain, Boolean, "true", "`false`: a missing file is not an error.";
};

const VARIABLE: &[Field] = fields! {
    secret Plain required, Text, "none",
        "Where the value is fetched at each start: `file:`, `cmd:`, `systemd-cred:`; not implemented yet.";
};

/// One env file, or several.
pub(super) const ENV_FILES: Shape = Any(&[TEXT, List(&Any(&[TEXT, Record(ENV_FILE)])), Record(ENV_FILE)]);

/// Variables of a process.
pub(super) const ENV: Shape =
    Table(VariableName, &Any(&[TextFormat(Argument), Integer(i64::MIN, i64::MAX), Boolean, Record(VARIABLE)]));
