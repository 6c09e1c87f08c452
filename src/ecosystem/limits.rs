//! Keys about what an app may use, and commands at points of its life: limits, memory, hooks.

use crate::model::{App, Bytes, Hooks, Limits, Millis};

use super::diagnostic::code;
use super::formats::percent;
use super::host::Host as _;
use super::tree::{Node, integer};
use super::values::{Values, size};

/// A process tree with less than this does nothing useful.
const RESTART_MIN: Bytes = Bytes(1 << 20);
/// The start itself is paid from the limit (arguments and environment, up to 6 MiB) while the new process still shares our
/// memory: the kernel would end us with it.
const LIMIT_MIN: Bytes = Bytes(8 << 20);

/// Standard input, output and error, and the file that is being loaded.
const OPEN_FILES_MIN: u64 = 4;

/// Reads all of them into the app.
pub(super) fn limits(values: &mut Values<'_>, app: &mut App) {
    app.run.limits = resources(values);
    app.max_memory_restart =
        values.node("max_memory_restart").and_then(|node| memory(values, "max_memory_restart", node, RESTART_MIN));
    app.hooks = hooks(values);
    if let (Some(restart), Some(limit)) = (app.max_memory_restart, app.run.limits.memory)
        && restart >= limit
        && let Some(item) = values.item("max_memory_restart")
    {
        let span = item.node.span;
        let message = format!(
            "app `{}`: with `limits.memory` {limit}, the kernel kills it before `max_memory_restart` {restart} restarts it",
            app.name
        );
        values.report.warning(code::BAD_VALUE, span, message).hint("make `max_memory_restart` the smaller value");
    }
}

fn resources(values: &mut Values<'_>) -> Limits {
    let Some(node) = values.node("limits") else { return Limits::default() };
    Limits {
        memory: node.get("memory").and_then(|node| memory(values, "limits.memory", node, LIMIT_MIN)),
        cpu: node.get("cpu").and_then(|node| values.scalar("limits.cpu", node, percent)),
        nofile: open_files(values, node),
        nproc: processes(values, node),
        nice: number(values, node, "nice"),
        oom_score_adj: number(values, node, "oom_score_adj"),
    }
}

fn memory(values: &mut Values<'_>, key: &str, node: &Node, least: Bytes) -> Option<Bytes> {
    let bytes = values.scalar(key, node, size)?;
    if bytes < least {
        values
            .error(code::BAD_VALUE, node.span, format!("`{key}` is {bytes}: the minimum is {least}"))
            .hint("write \"300M\" for 300 megabytes");
        return None;
    }
    Some(bytes)
}

fn count(values: &mut Values<'_>, node: &Node, name: &str) -> Option<u64> {
    let read = |text: &str| integer(text).and_then(|number| u64::try_from(number).ok());
    values.scalar(&format!("limits.{name}"), node.get(name)?, read)
}

/// Between what a program needs to be loaded and what the kernel gives anybody.
fn open_files(values: &mut Values<'_>, node: &Node) -> Option<u64> {
    let nofile = count(values, node, "nofile")?;
    let most = values.world.open_files_max().filter(|most| nofile > *most);
    let problem = match most {
        Some(most) => format!("`limits.nofile` is {nofile}: the kernel allows at most {most} (fs.nr_open)"),
        None if nofile < OPEN_FILES_MIN => {
            format!("`limits.nofile` is {nofile}: a program needs at least {OPEN_FILES_MIN} open files to start")
        }
        None => return Some(nofile),
    };
    let span = node.get("nofile").map_or(node.span, |node| node.span);
    values.error(code::BAD_VALUE, span, problem);
    None
}

fn processes(values: &mut Values<'_>, node: &Node) -> Option<u64> {
    let nproc = count(values, node, "nproc")?;
    if nproc == 0 {
        let span = node.get("nproc").map_or(node.span, |node| node.span);
        values.error(code::BAD_VALUE, span, "`limits.nproc` is 0, but the process itself counts");
    }
    Some(nproc)
}

fn number(values: &mut Values<'_>, node: &Node, name: &str) -> Option<i32> {
    let read = |text: &str| integer(text).and_then(|number| i32::try_from(number).ok());
    values.scalar(&format!("limits.{name}"), node.get(name)?, read)
}

fn hooks(values: &mut Values<'_>) -> Hooks {
    let Some(node) = values.node("hooks") else { return Hooks::default() };
    let mut command = |name: &str| values.settled(&format!("hooks.{name}"), node.get(name)?);
    let mut hooks = Hooks {
        pre_start: command("pre_start"),
        post_ready: command("post_ready"),
        pre_stop: command("pre_stop"),
        on_crash: command("on_crash"),
        on_give_up: command("on_give_up"),
        timeout: None,
    };
    if let Some(node) = node.get("timeout") {
        let read = |text: &str| Millis::parse(text).ok();
        hooks.timeout = values.scalar("hooks.timeout", node, read);
        if hooks.timeout == Some(Millis(0)) {
            values.error(code::BAD_VALUE, node.span, "`hooks.timeout` is 0: every hook would time out");
        }
        hooks.timeout = hooks.timeout.filter(|timeout| *timeout != Hooks::TIMEOUT);
    }
    hooks
}

#[cfg(test)]
mod tests {
    use super::super::fake::read_toml;
    use super::*;

    fn app(body: &str) -> App {
        let reading = read_toml(&format!("[[apps]]\nname = \"api\"\nscript = \"run.sh\"\n{body}"));
        assert_eq!(reading.diagnostics, []);
        reading.proposed.unwrap().apps.remove(0)
    }

    fn errors(body: &str) -> usize {
        read_toml(&format!("[[apps]]\nname = \"api\"\nscript = \"run.sh\"\n{body}")).diagnostics.len()
    }

    #[test]
    fn limits_are_read_as_documented() {
        let limits = app(
            "limits = { memory = \"1G\", cpu = \"50%\", nofile = 65536, nproc = 10, nice = -5, oom_score_adj = 100 }",
        )
        .run
        .limits;
        assert_eq!((limits.memory, limits.cpu), (Some(Bytes(1 << 30)), Some(50)));
        assert_eq!((limits.nofile, limits.nproc), (Some(65536), Some(10)));
        assert_eq!((limits.nice, limits.oom_score_adj), (Some(-5), Some(100)));
        assert_eq!(app("limits = { cpu = 2 }").run.limits.cpu, Some(200));
        assert_eq!(app("limits = { cpu = \"${CPUS:-2}\" }").run.limits.cpu, Some(200));
        assert_eq!(app("limits = { cpu = \"${CPUS:-50%}\" }").run.limits.cpu, Some(50));
        assert!(app("limits = {}").run.limits.is_empty());
        assert_eq!(app("max_memory_restart = \"300M\"").max_memory_restart, Some(Bytes(300 << 20)));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        for body in [
            "max_memory_restart = \"300K\"",
            "max_memory_restart = \"300\"",
            "limits = { memory = \"1K\" }",
            "limits = { cpu = \"half\" }",
            "limits = { cpu = \"0%\" }",
            "limits = { cpu = 0 }",
            "limits = { cpu = \"${CPUS:-0}\" }",
            "limits = { cpu = \"${CPUS:-half}\" }",
            "limits = { nice = 20 }",
            "limits = { nofile = 3 }",
            "limits = { nofile = 1048577 }",
            "limits = { nproc = 0 }",
            "limits = { files = 3 }",
            "limits = { memory = \"100M\" }\nmax_memory_restart = \"200M\"",
            "hooks = { pre_start = \"\" }",
            "hooks = { timeout = \"0s\" }",
            "hooks = { before = \"x\" }",
        ] {
            assert_eq!(errors(body), 1, "{body}");
        }
    }

    #[test]
    fn hooks_are_commands_with_a_time() {
        let hooks =
            app("hooks = { pre_start = \"./migrate\", on_crash = \"./tell $PM_EXIT\", timeout = \"5m\" }").hooks;
        assert_eq!(hooks.pre_start.as_deref(), Some("./migrate"));
        assert_eq!(hooks.on_crash.as_deref(), Some("./tell $PM_EXIT"));
        assert_eq!(hooks.limit(), Millis::seconds(300));
        assert_eq!(app("hooks = { pre_stop = \"x\" }").hooks.limit(), Hooks::TIMEOUT);
    }
}
