//! Workers of a cluster, the daemon and the anchor are killed while clients ask: what is lost, and what is not.

use std::time::Duration;

use crate::support::{
    Cluster, InstanceView, Load, Manner, Node, Random, SOON, Sandbox, kill, kill_both_now, pause_between_faults, said,
    wait_until,
};

crate::on_every_node!(the_daemon_is_killed_and_nobody_notices);

crate::on_two_nodes!(
    the_daemon_is_killed_ten_times_and_nobody_notices,
    the_anchor_is_killed_and_nobody_notices,
    both_are_killed_and_nobody_notices,
    a_daemon_that_dies_in_a_long_message_is_not_missed,
    what_a_killed_worker_held_is_all_that_is_lost,
    a_request_while_all_are_dead_is_answered_by_the_next,
    a_cluster_that_was_given_up_does_not_listen,
    what_a_dead_worker_was_offered_holds_up_nobody,
    a_daemon_that_dies_while_a_worker_drains_leaves_none_unserved,
);

const SCHEDULINGS: [&str; 2] = ["shared", "round-robin"];

fn scheduled(cluster: Cluster, scheduling: &str) -> Cluster {
    cluster.rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"))
}

/// What a daemon has accepted and not passed on yet dies with it: one connection, and only where it accepts itself.
fn lost_max(scheduling: &str, deaths: u64) -> u64 {
    if scheduling == "shared" { 0 } else { deaths }
}

/// Kills again and again, at any moment, under load.
fn kill_under_load(node: &Node, times: u64, kill: fn(&Sandbox)) {
    for scheduling in SCHEDULINGS {
        let sandbox = Sandbox::new();
        let cluster = scheduled(Cluster::new(node), scheduling);
        cluster.apply(&sandbox);
        let before = sandbox.list();
        let load = Load::start(&cluster.target, "/", 16, Manner::Both);
        let slow = Load::start(&cluster.target, "/?ms=500", 4, Manner::Both);
        let mut random = Random(times);
        for _ in 0..times {
            load.wait_answers(20);
            pause_between_faults(Duration::from_millis(random.below(60)));
            kill(&sandbox);
        }
        // The next command finds everything as it was.
        assert_eq!(sandbox.list(), before, "{scheduling}");
        load.wait_answers(100);
        let lost_max = lost_max(scheduling, times);
        load.stop().lost_at_most(lost_max);
        let slow = slow.stop();
        assert!(slow.failed() == slow.cut_off && slow.cut_off <= lost_max, "{slow:?}");
        for slot in ["web/0", "web/1", "web/2"] {
            assert_eq!(sandbox.starts_of(slot), 1);
        }
        // And can do with it what the first one could.
        cluster.target.answers_of(if scheduling == "shared" { 1 } else { 3 });
        sandbox.pm(&["reload", "web"]).ok();
        cluster.target.ask("/").unwrap();
        sandbox.pm(&["stop", "web"]).ok();
        wait_until("connections are refused", SOON, || cluster.target.is_refused());
    }
}

fn the_daemon_is_killed_and_nobody_notices(node: &Node) {
    kill_under_load(node, 3, Sandbox::kill_daemon);
}

fn the_daemon_is_killed_ten_times_and_nobody_notices(node: &Node) {
    kill_under_load(node, 10, Sandbox::kill_daemon);
}

fn the_anchor_is_killed_and_nobody_notices(node: &Node) {
    kill_under_load(node, 4, |sandbox| {
        let old = sandbox.anchor_pid();
        kill(old, libc::SIGKILL);
        wait_until("there is another anchor", SOON, || sandbox.anchor_pid() != old);
    });
}

fn both_are_killed_and_nobody_notices(node: &Node) {
    kill_under_load(node, 4, |sandbox| {
        kill_both_now(sandbox);
        sandbox.pm(&["list"]).ok();
    });
}

fn a_daemon_that_dies_in_a_long_message_is_not_missed(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const http = require('http');
         http.createServer((request, response) => response.end(String(process.pid))).listen(process.env.PORT);
         const text = '\\u00e4\\n'.repeat(1 << 20);
         let sent = 0;
         const again = () => process.send({ text }, () => {
           console.log('sent', ++sent);
           setTimeout(again, 20);
         });
         again();",
    )
    .instances(2);
    cluster.apply(&sandbox);
    let before = sandbox.list();
    let load = Load::start(&cluster.target, "/", 8, Manner::Both);
    let sent = || said(&sandbox, 0, "sent").parse::<u32>().unwrap();
    for time in 0..8 {
        let known = sent();
        if time % 4 == 3 {
            kill_both_now(&sandbox);
            sandbox.pm(&["list"]).ok();
        } else {
            sandbox.kill_daemon();
        }
        wait_until("messages are sent again", SOON, || sent() > known);
    }
    load.wait_answers(50);
    load.stop().lost_at_most(lost_max("round-robin", 8));
    assert_eq!(sandbox.list(), before);
}

fn what_a_killed_worker_held_is_all_that_is_lost(node: &Node) {
    for scheduling in SCHEDULINGS {
        let sandbox = Sandbox::new();
        let cluster = scheduled(Cluster::new(node), scheduling);
        cluster.apply(&sandbox);
        let load = Load::start(&cluster.target, "/?ms=5", 16, Manner::Both);
        load.wait_answers(100);
        let mut killed = Vec::new();
        for slot in ["web/0", "web/1", "web/2"] {
            let pid = sandbox.pid(slot);
            kill(pid, libc::SIGKILL);
            killed.push(pid);
            wait_until("it runs again", SOON, || {
                sandbox.instance(slot).is_some_and(|row| row.phase == "running" && row.pid != Some(pid))
            });
            load.wait_answers(100);
        }
        let report = load.stop();
        assert_eq!((report.refused, report.timed_out), (0, 0), "{report:?}");
        // A client has one connection at a time.
        assert!(report.failed() <= 16 * 3, "{report:?}");
        assert!(sandbox.list().iter().all(|row| row.restarts == 1), "{:?}", sandbox.list());
        assert!(scheduling == "shared" || report.by.len() == 6, "{report:?}");
    }
}

fn a_request_while_all_are_dead_is_answered_by_the_next(node: &Node) {
    for scheduling in SCHEDULINGS {
        let sandbox = Sandbox::new();
        let cluster = scheduled(Cluster::new(node), scheduling).rest("restart_delay = \"500ms\"");
        cluster.apply(&sandbox);
        let before = sandbox.list();
        for row in &before {
            kill(row.pid.unwrap(), libc::SIGKILL);
        }
        let is_dead = |row: &InstanceView| row.phase != "running";
        wait_until("none lives", SOON, || sandbox.list().iter().all(is_dead));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let target = cluster.target.clone();
                std::thread::spawn(move || target.ask("/").expect("it is answered"))
            })
            .collect();
        for client in clients {
            let by = client.join().unwrap();
            assert!(before.iter().all(|row| row.pid.unwrap().to_string() != by));
        }
        // Nor is it refused when the daemon dies meanwhile.
        for row in sandbox.list() {
            kill(sandbox.pid(&row.id), libc::SIGKILL);
        }
        sandbox.kill_daemon();
        cluster.target.ask("/").unwrap();
    }
}

fn a_cluster_that_was_given_up_does_not_listen(node: &Node) {
    for scheduling in SCHEDULINGS {
        let sandbox = Sandbox::new();
        let script = "
            const server = require('http').createServer((request, response) => response.end('up'));
            server.listen(process.env.PORT, () => require('fs').existsSync('bad') && setTimeout(() => process.exit(4), 50));";
        let cluster = scheduled(Cluster::inline(node, &sandbox, script), scheduling)
            .instances(2)
            .rest("max_restarts = 2\nmin_uptime = \"60s\"\nrestart_delay = \"50ms\"");
        cluster.apply(&sandbox);
        assert_eq!(cluster.target.ask("/").unwrap(), "up");
        sandbox.file("bad", "");
        for slot in ["web/0", "web/1"] {
            kill(sandbox.pid(slot), libc::SIGKILL);
        }
        for slot in ["web/0", "web/1"] {
            sandbox.wait_phase(slot, "errored");
        }
        wait_until("connections are refused", SOON, || cluster.target.is_refused());
        std::fs::remove_file(sandbox.path("bad")).unwrap();
        sandbox.pm(&["restart", "web"]).ok();
        assert_eq!(cluster.target.ask("/").unwrap(), "up");
    }
}

fn what_a_dead_worker_was_offered_holds_up_nobody(node: &Node) {
    let sandbox = Sandbox::new();
    let lines = "require('http').createServer((request, response) => {
        response.end('up');
        if (request.url === '/hang') setImmediate(() => { for (;;); });
    }).listen(process.env.PORT);";
    let cluster = Cluster::inline(node, &sandbox, lines);
    cluster.apply(&sandbox);
    let first = sandbox.pid("web/0");
    assert_eq!(cluster.target.ask("/hang").unwrap(), "up");
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let target = cluster.target.clone();
            std::thread::spawn(move || target.ask("/"))
        })
        .collect();
    pause_between_faults(Duration::from_millis(100));
    kill(first, libc::SIGKILL);
    for answer in waiting {
        assert_eq!(answer.join().unwrap().unwrap(), "up", "the next worker answers");
    }
    assert_eq!(cluster.target.ask("/").unwrap(), "up");
}

fn a_daemon_that_dies_while_a_worker_drains_leaves_none_unserved(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node).instances(1).rest("max_memory_restart = \"1M\"\nkill_timeout = \"3s\"");
    cluster.apply(&sandbox);
    let first = sandbox.pid("web/0");
    let target = cluster.target.clone();
    let slow = std::thread::spawn(move || target.ask("/?ms=20000"));
    wait_until("it drains", SOON, || sandbox.instance("web/0").is_some_and(|row| row.phase == "stopping"));
    sandbox.ecosystem(
        &Cluster::clone(&cluster).toml().replace("max_memory_restart = \"1M\"", "max_memory_restart = \"4G\""),
    );
    sandbox.kill_daemon();
    wait_until("another process serves", SOON, || {
        sandbox.instance("web/0").is_some_and(|row| row.pid.is_some_and(|pid| pid != first))
            && cluster.target.ask("/").is_ok()
    });
    drop(slow.join());
}
