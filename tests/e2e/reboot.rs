//! After a reboot every app that should run starts once, dependencies first, a few at a time.
//!
//! A machine is a pid namespace with a boot id of its own: its end kills everything in it at once, as a power cut does.

use std::process::{Child, Command, Stdio};

use crate::support::{SOON, Sandbox, finish, wait_until};

/// A machine that is up, with a daemon as its first process; `None` where nobody may make namespaces.
struct Booted(Child);

fn boot(sandbox: &Sandbox, number: u32) -> Option<Booted> {
    let id = sandbox.file("boot_id", format!("00000000-0000-4000-8000-{number:012}\n"));
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && exec \"$2\" daemon run";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", script, "sh"]).arg(id).arg(env!("CARGO_BIN_EXE_pm"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PM_HOME", sandbox.home());
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut is_up = false;
    wait_until("the machine is up, or cannot be", SOON, || {
        is_up = std::os::unix::net::UnixStream::connect(sandbox.home().join("run/pm.sock")).is_ok();
        is_up || child.try_wait().unwrap().is_some()
    });
    is_up.then(|| Booted(child))
}

impl Booted {
    fn power_cut(mut self, sandbox: &Sandbox) {
        self.0.kill().unwrap();
        let _output = finish(self.0, "unshare");
        wait_until("nothing lives any more", SOON, || sandbox.processes().is_empty());
    }
}

/// Writes down that it begins, and that it is ready a while later.
fn app(name: &str, more: &str) -> String {
    format!(
        "[[apps]]\nname = \"{name}\"\ncommand = \"sh -c 'echo begin {name} >> log; sleep 0.3; echo ready {name} >> log; echo up; exec sleep 1000'\"\nready = {{ log = \"up\" }}\n{more}\n"
    )
}

#[test]
fn what_should_run_starts_once_in_order_and_not_all_at_once() {
    let sandbox = Sandbox::new();
    let workers: String = (0..6).map(|number| app(&format!("worker{number}"), "")).collect();
    let others = app("stopped", "") + &app("deleted", "") + &app("api", "depends_on = { db = \"ready\" }");
    let all = format!("start_concurrency = 2\n{others}{}{workers}", app("db", ""));
    sandbox.ecosystem(&all);
    let Some(machine) = boot(&sandbox, 1) else {
        eprintln!("NOT RUN: this machine lets nobody make a namespace");
        return;
    };
    sandbox.pm(&["apply"]).ok();
    assert_eq!(most_at_once(&sandbox.read("log")), 2, "an apply keeps to it, too");
    sandbox.pm(&["stop", "stopped"]).ok();
    sandbox.pm(&["delete", "deleted", "--yes"]);
    sandbox.pm(&["delete", "deleted"]);
    machine.power_cut(&sandbox);

    for number in [2, 3] {
        sandbox.file("log", "");
        let machine = boot(&sandbox, number).unwrap();
        for name in ["db", "api", "worker0", "worker1", "worker2", "worker3", "worker4", "worker5"] {
            sandbox.wait_phase(&format!("{name}/0"), "running");
        }
        let log = sandbox.read("log");
        let begun: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("begin ")).collect();
        let mut sorted = begun.clone();
        sorted.sort_unstable();
        let expected = ["api", "db", "worker0", "worker1", "worker2", "worker3", "worker4", "worker5"];
        assert_eq!(sorted, expected, "each of them once, and no other: {log}");
        let at = |line: &str| log.lines().position(|found| found == line).unwrap();
        assert!(at("ready db") < at("begin api"), "{log}");
        assert_eq!(most_at_once(&log), 2, "{log}");
        assert_eq!(sandbox.instance("stopped/0").unwrap().phase, "stopped");
        assert!(sandbox.instance("deleted/0").is_none());
        machine.power_cut(&sandbox);
    }
}

/// The most that were starting at the same time.
fn most_at_once(log: &str) -> usize {
    let mut starting = 0;
    let counts = log.lines().map(|line| {
        starting = if line.starts_with("begin") { starting + 1 } else { starting - 1 };
        starting
    });
    counts.max().unwrap_or(0)
}
