//! Twenty commands at once on one slow app: each ends in time, and there is never one copy too many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Sandbox, finish, wait_until};

const LONG: Duration = Duration::from_mins(1);

/// Slow to start, slow to stop.
const APP: &str = "trap 'sleep 0.2; exit 0' TERM\nsleep 0.2\necho up\nwhile :; do sleep 0.05; done\n";

#[test]
fn a_slow_app_is_never_there_twice_and_no_command_hangs() {
    let sandbox = Sandbox::new();
    sandbox.file("slow-app.sh", APP);
    let file = "[[apps]]\nname = \"api\"\ncommand = \"sh slow-app.sh\"\nhooks = { pre_start = \"sleep 0.1\", pre_stop = \"sleep 0.1\" }\n";
    sandbox.ecosystem(file);
    sandbox.pm(&["apply"]).ok();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(copies(&sandbox));
                crate::support::pause_between_faults(Duration::from_millis(3));
            }
            most
        });
        let verbs: [&[&str]; 4] = [&["restart", "api"], &["stop", "api"], &["start", "api"], &["apply"]];
        let began = Instant::now();
        let children: Vec<_> = (0..20).map(|number| sandbox.start(verbs[number % verbs.len()])).collect();
        let outputs: Vec<_> = children.into_iter().map(|child| finish(child, "one of twenty")).collect();
        assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for output in outputs {
            // Done, overtaken by a later command, or busy: never a hang, never a crash.
            assert!([0, 1, 3].contains(&output.status), "{output}");
        }
        let most = watcher.join().unwrap();
        assert!(most <= 1, "{most} copies at once");
    });
    sandbox.pm(&["apply"]).ok();
    wait_until("one copy runs", LONG, || copies(&sandbox) == 1);
}

/// Main processes; the children of a shell that was just forked still bear its name, so the oldest generation counts.
fn copies(sandbox: &Sandbox) -> usize {
    let all = sandbox.app_processes();
    let is_copy = |pid: u32| all.iter().any(|one| one.pid == pid && one.args.iter().any(|word| word == "slow-app.sh"));
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
    };
    all.iter().filter(|one| is_copy(one.pid) && !is_copy(parent(one.pid))).count()
}
