//! `exec_mode = "cluster"`: which apps can be one, and what their other keys mean then.
//!
//! In:    the keys of an app, its program and environment      Out:  `exec_mode` and `cluster` of its `Run`
//! Never: a refusal of a program about which nothing is known
//! Walk:  what the first process is (`first_process`) → whether that and the other keys allow a cluster (here)

mod first_process;
#[cfg(test)]
mod tests;

use crate::model::{ClusterPolicy, ExecMode, Level, Run, Scheduling};

use super::diagnostic::code;
use super::host::Remembering;
use super::tree::Span;
use super::values::Values;
use first_process::{FirstProcess, Runtime, first_process};

/// Node's own variable for it, which counts where the file says nothing.
const SCHEDULING_VARIABLE: &str = "NODE_CLUSTER_SCHED_POLICY";

/// Reads `exec_mode` and `cluster`. The program and the environment have been read.
pub(super) fn cluster(values: &mut Values<'_>, run: &mut Run) {
    let first = first_process(values.world, run);
    run.exec_mode = exec_mode(values, &first);
    let policy = policy(values);
    if run.exec_mode == ExecMode::Fork {
        check_policy_is_idle(values, policy);
        return;
    }
    run.cluster = policy;
    check_first_process(values, &first);
    check_port(values, run);
    check_kind(values);
    match first {
        FirstProcess::Of(Runtime::Deno) => check_deno(values, run),
        FirstProcess::Of(Runtime::Bun) => warn_about_bun(values),
        _ => {}
    }
}

/// Whether the copies could share their ports as a cluster.
pub(super) fn could_be_cluster(world: &Remembering<'_>, run: &Run) -> bool {
    matches!(first_process(world, run), FirstProcess::Of(Runtime::Node | Runtime::Deno))
}

fn exec_mode(values: &mut Values<'_>, first: &FirstProcess) -> ExecMode {
    match values.text("exec_mode") {
        Some(word) if word.starts_with("cluster") => ExecMode::Cluster,
        None if matches!(first, FirstProcess::Of(_)) => values.exec_mode,
        _ => ExecMode::Fork,
    }
}

fn policy(values: &mut Values<'_>) -> ClusterPolicy {
    let defaults = ClusterPolicy::default();
    let Some(node) = values.node("cluster") else { return defaults };
    let scheduling = node.get("scheduling").and_then(|node| {
        let read = |word: &str| Some(if word == "shared" { Scheduling::Shared } else { Scheduling::RoundRobin });
        values.scalar("cluster.scheduling", node, read)
    });
    let drain_hook = values.boolean_of("cluster.drain_hook", node.get("drain_hook"), defaults.drain_hook);
    ClusterPolicy { scheduling, drain_hook }
}

/// What the defaults of a file say is for those of its apps that are clusters.
fn check_policy_is_idle(values: &mut Values<'_>, policy: ClusterPolicy) {
    let Some(item) = values.item("cluster").filter(|item| item.level != Level::Defaults) else { return };
    if policy.is_default() {
        return;
    }
    let mode = values.item("exec_mode").map(|item| item.node.span);
    let found = values.error(code::CONFLICTING_KEYS, item.key_span, "`cluster` needs `exec_mode = \"cluster\"`");
    match mode {
        Some(span) => found
            .label(span, "another mode")
            .hint("remove one of them; in a profile, `cluster = { unset = true }` removes it"),
        None => found.hint("add `exec_mode = \"cluster\"`"),
    };
}

/// Where the mode stands; if the file does not say it, in the name of the app.
fn mode_span(values: &Values<'_>) -> Span {
    values.item("exec_mode").map_or(values.app.name_span, |item| item.key_span)
}

fn check_first_process(values: &mut Values<'_>, first: &FirstProcess) {
    let FirstProcess::Refused(why) = first else { return };
    let program = values.item("script").or_else(|| values.item("command")).map(|item| item.node.span);
    let message = format!("`exec_mode = \"cluster\"` needs {}", why.message);
    let found = values.error(code::CONFLICTING_KEYS, mode_span(values), message);
    found.hint(why.hint);
    if let Some(span) = program {
        found.label(span, "what it runs");
    }
}

fn check_port(values: &mut Values<'_>, run: &Run) {
    let (true, Some(item)) = (run.has_port(), values.item("port")) else { return };
    let port = run.port.unwrap_or(3000);
    let message = "`port` gives every copy a port of its own, but the workers of a cluster share one";
    values
        .error(code::CONFLICTING_KEYS, item.key_span, message)
        .hint(format!("write `env = {{ PORT = \"{port}\" }}` instead"));
}

fn check_kind(values: &mut Values<'_>) {
    let Some(item) = values.item("kind") else { return };
    if values.text("kind").as_deref() == Some("task") {
        values
            .error(code::CONFLICTING_KEYS, item.key_span, "a task cannot have `exec_mode = \"cluster\"`")
            .hint("only services share ports: remove one of the two");
    }
}

/// Deno takes a shared socket from its primary, but does not answer on it.
fn check_deno(values: &mut Values<'_>, run: &Run) {
    let (key, written) = match run.cluster.scheduling {
        Some(Scheduling::Shared) => ("cluster", "cluster.scheduling = \"shared\""),
        None if run.env.get(SCHEDULING_VARIABLE).is_some_and(|policy| policy.source() == "none") => {
            ("env", "NODE_CLUSTER_SCHED_POLICY=none")
        }
        Some(Scheduling::RoundRobin) | None => return,
    };
    let span = values.item(key).map_or(values.app.name_span, |item| item.node.span);
    values
        .error(code::CONFLICTING_KEYS, span, format!("Deno does not support `{written}`"))
        .hint("write `cluster = { scheduling = \"round-robin\" }`");
}

fn warn_about_bun(values: &mut Values<'_>) {
    let message = format!(
        "app `{}`: Bun opens the port in every copy by itself (SO_REUSEPORT): a reload may lose connections",
        values.app.name
    );
    let span = mode_span(values);
    values.report.warning(code::PORT, span, message).hint("run it with Node, whose copies share one socket");
}
