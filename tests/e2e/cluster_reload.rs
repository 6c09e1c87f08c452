//! The copies of a cluster are replaced, scaled, stopped and renamed while clients ask them.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::support::{Cluster, Load, Manner, Node, SOON, Sandbox, kill_both_now, said, wait_until};

crate::on_every_node!(no_request_fails_while_all_are_replaced_again_and_again);

crate::on_two_nodes!(
    no_request_fails_in_ten_reloads,
    without_the_hook_a_new_connection_for_each_request_is_safe,
    a_new_revision_and_one_that_fails_lose_no_request,
    a_daemon_that_dies_in_a_reload_loses_no_request,
    both_die_in_a_reload_and_no_request_is_lost,
    an_upgraded_connection_holds_a_reload_up_no_longer_than_it_may,
    more_copies_and_fewer_lose_no_request,
    a_stopped_cluster_does_not_listen,
    another_name_serves_on,
    other_sockets_and_another_scheduling_take_effect,
    an_app_may_become_a_cluster_and_none_again,
);

/// Reloads under load, the last time with requests that take two seconds.
fn reload(cluster: &Cluster, times: u32) {
    let sandbox = Sandbox::new();
    cluster.apply(&sandbox);
    let load = Load::start(&cluster.target, "/", 16, Manner::Both);
    let mut slow = None;
    for round in 1..=times {
        if round == times {
            let clients = Load::start(&cluster.target, "/?ms=2000", 6, Manner::Both);
            clients.wait_answers(6);
            slow = Some(clients);
        }
        let before = sandbox.list();
        sandbox.pm(&["reload", "web"]).ok();
        let after = sandbox.list();
        assert!(after.iter().zip(&before).all(|(new, old)| new.pid != old.pid && new.id == old.id), "{after:?}");
        load.wait_answers(50);
    }
    load.stop().all_answered();
    let slow = slow.unwrap().stop();
    assert!(slow.failed() == 0 && slow.answered >= 12, "{slow:?}");
    assert!(sandbox.list().iter().all(|row| row.restarts == 0), "{:?}", sandbox.list());
}

fn no_request_fails_while_all_are_replaced_again_and_again(node: &Node) {
    reload(&Cluster::new(node).instances(2), 5);
}

fn no_request_fails_in_ten_reloads(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        reload(&Cluster::new(node).rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}")), 10);
    }
}

fn without_the_hook_a_new_connection_for_each_request_is_safe(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node).rest("cluster = { drain_hook = false }");
    cluster.apply(&sandbox);
    let load = Load::start(&cluster.target, "/?ms=5", 12, Manner::OneEach);
    for _ in 0..3 {
        sandbox.pm(&["reload", "web"]).ok();
        load.wait_answers(50);
    }
    load.stop().all_answered();
}

fn a_new_revision_and_one_that_fails_lose_no_request(node: &Node) {
    let sandbox = Sandbox::new();
    let script = "
        if (process.env.VERSION === 'bad') process.exit(3);
        require('http').createServer((request, response) => response.end(process.env.VERSION)).listen(process.env.PORT);";
    let cluster = Cluster::inline(node, &sandbox, script).instances(2);
    cluster.clone().env("VERSION", "1").apply(&sandbox);
    let load = Load::start(&cluster.target, "/", 8, Manner::Both);
    load.wait_answers(50);
    cluster.clone().env("VERSION", "2").apply(&sandbox);
    load.wait_answers(50);
    sandbox.ecosystem(&cluster.clone().env("VERSION", "bad").toml());
    sandbox.pm(&["apply"]).code(6).says(&["exit code 3"]);
    load.wait_answers(50);
    let report = load.stop();
    report.all_answered();
    assert_eq!(report.by.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(cluster.target.ask("/").unwrap(), "2");
}

/// Reloads with faults in between, under load.
fn reload_with(node: &Node, fault: fn(&Sandbox)) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::new(node)
            .rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"))
            .rest("update = { min_healthy_time = \"200ms\" }");
        cluster.apply(&sandbox);
        let before = sandbox.list();
        let load = Load::start(&cluster.target, "/?ms=20", 12, Manner::Both);
        load.wait_answers(50);
        sandbox.pm(&["reload", "web", "--detach"]).ok();
        for _ in 0..3 {
            wait_until("a successor runs, or all are replaced", SOON, || {
                let rows = sandbox.list();
                rows.iter().any(|row| row.id.ends_with('+'))
                    || rows.iter().all(|row| before.iter().all(|old| old.pid != row.pid))
            });
            fault(&sandbox);
        }
        wait_until("all are replaced", SOON, || {
            let rows = sandbox.list();
            rows.len() == 3
                && rows.iter().all(|row| row.phase == "running" && before.iter().all(|old| old.pid != row.pid))
        });
        load.wait_answers(50);
        // See `cluster_killed`.
        load.stop().lost_at_most(if scheduling == "shared" { 0 } else { 3 });
        cluster.target.answers_of(if scheduling == "shared" { 1 } else { 3 });
    }
}

fn a_daemon_that_dies_in_a_reload_loses_no_request(node: &Node) {
    reload_with(node, Sandbox::kill_daemon);
}

fn both_die_in_a_reload_and_no_request_is_lost(node: &Node) {
    reload_with(node, kill_both_now);
}

fn an_upgraded_connection_holds_a_reload_up_no_longer_than_it_may(node: &Node) {
    for (on_signal, ends) in [("process.exit(0)", "exit code 0"), ("0", "SIGKILL")] {
        let sandbox = Sandbox::new();
        let script = format!(
            "const server = require('http').createServer((request, response) => response.end('plain'));
             server.on('upgrade', (request, socket) => {{
               socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n');
               socket.on('error', () => {{}}).pipe(socket);
             }});
             process.on('SIGTERM', () => {{ console.log('signal'); {on_signal}; }});
             server.listen(process.env.PORT);"
        );
        let cluster = Cluster::inline(node, &sandbox, &script).rest("kill_timeout = \"1s\"");
        cluster.apply(&sandbox);
        let mut wire = cluster.target.connect().unwrap();
        wire.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
        let mut buffer = [0; 4096];
        let length = wire.read(&mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"HTTP/1.1 101"), "{:?}", String::from_utf8_lossy(&buffer[..length]));
        let began = Instant::now();
        let reloading = sandbox.start(&["reload", "web"]);
        wait_until("the new one has begun", SOON, || sandbox.list().len() == 2);
        // For as long as it may stay, it is served.
        wire.write_all(b"echo").unwrap();
        let length = wire.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"echo");
        crate::support::finish(reloading, "pm reload").ok();
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
        said(&sandbox, 0, "signal");
        sandbox.pm(&["events", "web"]).ok().says(&[ends]);
        assert_eq!(cluster.target.ask("/").unwrap(), "plain");
    }
}

fn more_copies_and_fewer_lose_no_request(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::new(node).instances(2).rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        let load = Load::start(&cluster.target, "/?ms=10", 16, Manner::Both);
        load.wait_answers(50);
        for count in [5, 2, 3] {
            sandbox.pm(&["scale", "web", &count.to_string()]).ok();
            assert_eq!(sandbox.list().len(), count);
            load.wait_answers(100);
        }
        let report = load.stop();
        report.all_answered();
        assert!(scheduling == "shared" || report.by.len() == 6, "{report:?}");
    }
}

fn a_stopped_cluster_does_not_listen(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::new(node).rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        for _ in 0..2 {
            cluster.target.ask("/").unwrap();
            sandbox.pm(&["stop", "web"]).ok();
            wait_until("connections are refused", SOON, || cluster.target.is_refused());
            sandbox.pm(&["start", "web"]).ok();
        }
        // Whichever daemon it is.
        sandbox.kill_daemon();
        cluster.target.ask("/").unwrap();
        sandbox.pm(&["stop", "web"]).ok();
        wait_until("connections are refused", SOON, || cluster.target.is_refused());
        sandbox.kill_daemon();
        assert!(cluster.target.is_refused());
        sandbox.pm(&["start", "web"]).ok();
        cluster.target.ask("/").unwrap();
        sandbox.pm(&["delete", "web"]).ok();
        wait_until("connections are refused", SOON, || cluster.target.is_refused());
    }
}

fn another_name_serves_on(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node);
    cluster.apply(&sandbox);
    let pids = |sandbox: &Sandbox| sandbox.list().iter().map(|row| row.pid).collect::<Vec<_>>();
    let before = pids(&sandbox);
    let load = Load::start(&cluster.target, "/", 12, Manner::Both);
    load.wait_answers(50);
    sandbox.ecosystem(&cluster.toml().replace("name = \"web\"", "name = \"front\"\nmoved_from = [\"web\"]"));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(pids(&sandbox), before);
    load.wait_answers(50);
    load.stop().all_answered();
    sandbox.kill_daemon();
    let load = Load::start(&cluster.target, "/", 12, Manner::Both);
    load.wait_answers(50);
    sandbox.pm(&["reload", "front"]).ok();
    load.wait_answers(50);
    load.stop().all_answered();
    sandbox.pm(&["stop", "front"]).ok();
    wait_until("connections are refused", SOON, || cluster.target.is_refused());
}

fn other_sockets_and_another_scheduling_take_effect(node: &Node) {
    let sandbox = Sandbox::new();
    let lines =
        "require('http').createServer((request, response) => response.end(String(process.pid))).listen({ fd: 3 });";
    let cluster = Cluster::inline(node, &sandbox, lines);
    let port = crate::support::free_port();
    let at = |port: u16| format!("listen = [\"127.0.0.1:{port}\"]");
    let serves = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    cluster.clone().rest(&at(cluster.port())).apply(&sandbox);
    cluster.target.ask("/").unwrap();
    sandbox.ecosystem(&cluster.clone().rest(&at(port)).toml());
    sandbox.pm(&["apply"]).ok();
    let moved = crate::support::Target::Tcp(([127, 0, 0, 1], port).into());
    moved.ask("/").unwrap();
    wait_until("the old port is closed", SOON, || !serves(cluster.port()));
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node);
    cluster.apply(&sandbox);
    let load = Load::start(&cluster.target, "/", 8, Manner::Both);
    for scheduling in ["shared", "round-robin"] {
        let keys = format!("cluster = {{ scheduling = \"{scheduling}\" }}");
        sandbox.ecosystem(&cluster.clone().rest(&keys).toml());
        sandbox.pm(&["apply"]).ok();
        load.wait_answers(50);
    }
    load.stop().all_answered();
    cluster.target.answers_of(3);
}

fn an_app_may_become_a_cluster_and_none_again(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node).instances(1);
    let fork = cluster.toml().replace("exec_mode = \"cluster\"", "exec_mode = \"fork\"");
    assert_ne!(fork, cluster.toml());
    for text in [&fork, &cluster.toml(), &fork] {
        sandbox.ecosystem(text);
        sandbox.pm(&["apply"]).ok();
        wait_until("it answers", SOON, || cluster.target.ask("/").is_ok());
        assert_eq!(sandbox.list().len(), 1);
    }
}
