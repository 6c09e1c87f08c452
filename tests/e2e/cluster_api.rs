//! What a worker of a cluster knows of itself, and what it says to `pm` and is told.

use crate::support::{Cluster, Load, Manner, Node, SOON, Sandbox, said, variable_of, wait_until};

crate::on_every_node!(a_worker_knows_what_it_is);

crate::on_two_nodes!(
    what_a_shell_becomes_is_a_worker,
    its_children_are_no_workers,
    ready_is_what_it_says,
    shutdown_is_a_message_and_the_exit_code_its_own,
    one_that_has_left_its_channel_is_stopped_by_a_signal,
    long_and_many_messages_hold_nobody_up,
    a_socket_that_is_sent_holds_nobody_up,
    a_worker_may_leave_by_itself,
    messages_come_and_go,
);

const KNOWS: &str = "
const known = () => JSON.stringify({
  pid: process.pid,
  isWorker: cluster.isWorker,
  isPrimary: cluster.isPrimary,
  id: cluster.worker.id,
  slot: process.env.NODE_APP_INSTANCE,
  left: Object.keys(process.env).filter((name) => /^NODE_(CHANNEL|UNIQUE)/.test(name)),
});
http.createServer((request, response) => response.end(known())).listen(process.env.PORT);
";

#[track_caller]
fn check_known(sandbox: &Sandbox, cluster: &Cluster) {
    let mut ids = std::collections::BTreeSet::new();
    for text in cluster.target.answers_of(3).into_keys() {
        let known: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(known["isWorker"], true, "{known}");
        assert!(known["isPrimary"] == false && known["left"] == serde_json::json!([]), "{known}");
        let slot = known["slot"].as_str().unwrap_or_else(|| panic!("no slot in {known}"));
        assert_eq!(known["pid"], sandbox.pid(&format!("web/{slot}")), "{known}");
        assert!(ids.insert(known["id"].as_u64().unwrap()), "{known}");
    }
}

fn a_worker_knows_what_it_is(node: &Node) {
    let sandbox = Sandbox::new();
    let plain = format!("const http = require('http'), cluster = require('cluster');{KNOWS}");
    let cluster = Cluster::inline(node, &sandbox, &plain).instances(3);
    cluster.apply(&sandbox);
    check_known(&sandbox, &cluster);
    let module =
        sandbox.file("app.mjs", format!("import http from 'node:http';\nimport cluster from 'node:cluster';{KNOWS}"));
    let cluster = Cluster::of(node, &module.display().to_string());
    cluster.apply(&sandbox);
    check_known(&sandbox, &cluster);
}

fn what_a_shell_becomes_is_a_worker(node: &Node) {
    let sandbox = Sandbox::new();
    let plain = format!("const http = require('http'), cluster = require('cluster');{KNOWS}");
    let cluster = Cluster::inline(node, &sandbox, &plain).instances(3);
    let of_file =
        format!("script = \"{}\"\ninterpreter = \"{}\"", sandbox.path("app.js").display(), node.program.display());
    let toml = cluster.toml();
    assert!(toml.contains(&of_file), "{toml}");
    let line = format!("exec {} app.js", node.program.display());
    for keys in [format!("command = {line:?}\nshell = true"), format!("command = 'sh -c \"{line}\"'")] {
        sandbox.ecosystem(&toml.replace(&of_file, &keys));
        sandbox.pm(&["apply"]).ok();
        check_known(&sandbox, &cluster);
    }
}

fn its_children_are_no_workers(node: &Node) {
    let sandbox = Sandbox::new();
    sandbox.file(
        "child.js",
        "console.log(typeof process.send, require('cluster').isWorker, Object.keys(process.env).filter((name) => /^NODE_(CHANNEL|UNIQUE)/.test(name)).length);",
    );
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const { execFileSync, fork, spawn } = require('child_process');
         console.log('plain', String(execFileSync(process.execPath, ['child.js'])));
         const forked = fork('child.js', { silent: true });
         forked.stdout.on('data', (data) => console.log('forked', String(data).trim()));
         spawn('sleep', ['1000']);
         require('http').createServer((request, response) => response.end('up')).listen(process.env.PORT);",
    );
    cluster.apply(&sandbox);
    assert_eq!(said(&sandbox, 0, "plain"), "undefined false 0");
    assert_eq!(said(&sandbox, 0, "forked"), "function false 0");
    let pid = sandbox.pid("web/0");
    let mut sleeper = None;
    wait_until("its child runs", SOON, || {
        sleeper = sandbox.app_processes().into_iter().find(|process| process.args.iter().any(|word| word == "1000"));
        sleeper.is_some()
    });
    let sleeper = sleeper.unwrap().pid;
    assert_ne!(sleeper, pid);
    for name in ["NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "NODE_CHANNEL_SERIALIZATION_MODE"] {
        assert_eq!(variable_of(sleeper, name), None);
    }
    // Only what Node itself has made for its three streams.
    let descriptors: Vec<_> = std::fs::read_dir(format!("/proc/{sleeper}/fd")).unwrap().flatten().collect();
    assert!(descriptors.len() <= 3, "{descriptors:?}");
}

fn ready_is_what_it_says(node: &Node) {
    for keys in ["wait_ready = true", "ready = { message = true }"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::inline(
            node,
            &sandbox,
            "const server = require('http').createServer((request, response) => response.end('up'));
             server.listen(process.env.PORT, () => {
               process.send({ about: 'ready' });
               console.log('listening');
               if (process.env.MUTE !== 'yes') setTimeout(() => { console.log('sends'); process.send('ready'); }, 400);
             });",
        )
        .instances(2)
        .rest(keys)
        .rest("listen_timeout = \"2s\"");
        sandbox.ecosystem(&cluster.toml());
        let applying = sandbox.start(&["apply"]);
        said(&sandbox, 0, "listening");
        assert!(!sandbox.events_of("web").iter().any(|event| event.fact == "ready"), "it has not said so");
        crate::support::finish(applying, "pm apply").ok();
        for slot in 0..2 {
            said(&sandbox, slot, "sends");
        }
        sandbox.pm(&["reload", "web"]).ok();
    }
}

fn shutdown_is_a_message_and_the_exit_code_its_own(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const server = require('http').createServer((request, response) => response.end('up')).listen(process.env.PORT);
         process.on('SIGTERM', () => console.log('signal'));
         process.on('SIGINT', () => console.log('signal'));
         process.on('message', (message) => {
           console.log('message', JSON.stringify(message));
           if (message === 'shutdown') setTimeout(() => process.exit(7), 50);
         });",
    )
    .rest("shutdown_with_message = true");
    for verb in ["stop", "restart", "reload"] {
        cluster.apply(&sandbox);
        sandbox.pm(&["start", "web"]).ok();
        let before = sandbox.events_of("web").len();
        sandbox.pm(&[verb, "web"]).ok();
        let codes: Vec<_> = sandbox.events_of("web")[before..].iter().filter_map(|event| event.exit_code).collect();
        assert_eq!(codes, [7], "{verb}");
        assert_eq!(said(&sandbox, 0, "message"), "\"shutdown\"");
    }
    assert!(!String::from_utf8(sandbox.log_text("web", "out", 0)).unwrap().contains("signal"));
}

fn one_that_has_left_its_channel_is_stopped_by_a_signal(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const { worker } = require('cluster');
         const server = require('http').createServer((request, response) => response.end('up')).listen(process.env.PORT);
         setInterval(() => {}, 1000);
         process.on('SIGUSR2', () => { console.log('signal'); process.exit(7); });
         worker.on('disconnect', () => console.log('left'));
         server.on('listening', () => setTimeout(() => worker.disconnect(), 300));",
    )
    .rest("shutdown_with_message = true\nkill_signal = \"SIGUSR2\"\nkill_timeout = \"60s\"");
    cluster.apply(&sandbox);
    for round in 1..=2 {
        wait_until("it has left its channel", SOON, || {
            String::from_utf8_lossy(&sandbox.log_text("web", "out", 0)).matches("left").count() == round
        });
        if round == 2 {
            sandbox.kill_daemon();
        }
        sandbox.pm(&["stop", "web"]).ok();
        let codes: Vec<_> = sandbox.events_of("web").iter().filter_map(|event| event.exit_code).collect();
        assert_eq!(codes, vec![7; round]);
        if round == 1 {
            sandbox.pm(&["start", "web"]).ok();
        }
    }
}

fn long_and_many_messages_hold_nobody_up(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const text = '\\u00e4\\u2028x'.repeat(700000);
         process.send({ text }, () => console.log('sent long'));
         process.send({ text: 'x'.repeat(20 << 20) }, () => console.log('sent longer'));
         for (let number = 1; number <= 50000; number++) {
           process.send({ number, lone: '\\ud800' }, () => number === 50000 && console.log('sent many'));
         }
         const http = require('http');
         http.createServer((request, response) => response.end(String(process.pid))).listen(process.env.PORT);",
    )
    .instances(2);
    cluster.apply(&sandbox);
    for slot in 0..2 {
        for what in ["sent long", "sent longer", "sent many"] {
            said(&sandbox, slot, what);
        }
    }
    let load = Load::start(&cluster.target, "/", 8, Manner::Both);
    load.wait_answers(100);
    sandbox.pm(&["reload", "web"]).ok();
    load.wait_answers(100);
    load.stop().all_answered();
}

fn a_socket_that_is_sent_holds_nobody_up(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::inline(
            node,
            &sandbox,
            "let sent = 0;
             const socket = require('net').createServer((socket) => {
               process.send({ about: 'a socket' }, socket, () => {
                 console.log('sent', ++sent);
                 process.send('after', () => console.log('after', sent));
               });
             });
             socket.listen(process.env.OTHER, '127.0.0.1', () => {
               require('http').createServer((request, response) => response.end(String(process.pid))).listen(process.env.PORT);
             });",
        );
        let other = crate::support::free_port();
        let cluster =
            cluster.env("OTHER", &other.to_string()).rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        for time in 1..=3 {
            drop(std::net::TcpStream::connect(("127.0.0.1", other)).unwrap());
            wait_until("it was taken", SOON, || said(&sandbox, 0, "after") == time.to_string());
        }
        cluster.target.ask("/").unwrap();
        sandbox.pm(&["reload", "web"]).ok();
        cluster.target.ask("/").unwrap();
    }
}

fn a_worker_may_leave_by_itself(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const http = require('http'), cluster = require('cluster');
         http.createServer((request, response) => {
           response.end(String(process.pid));
           if (request.url === '/process') setTimeout(() => process.disconnect(), 20);
           if (request.url === '/worker') setTimeout(() => cluster.worker.disconnect(), 20);
           if (request.url === '/kill') setTimeout(() => cluster.worker.kill(), 20);
         }).listen(process.env.PORT);",
    )
    .instances(2);
    cluster.apply(&sandbox);
    for way in ["/process", "/worker", "/kill"] {
        let left = cluster.target.ask(way).unwrap();
        wait_until("another one has its place", SOON, || {
            let rows = sandbox.list();
            rows.iter().all(|row| row.phase == "running" && row.pid.is_some_and(|pid| pid.to_string() != left))
        });
        cluster.target.answers_of(2);
    }
}

fn messages_come_and_go(node: &Node) {
    let sandbox = Sandbox::new();
    let lines = "process.on('message', (message) => {
        console.log('heard', JSON.stringify(message));
        process.send({ heard: message, by: process.env.NODE_APP_INSTANCE, is: process.env.DB_PASSWORD });
    });
    require('http').createServer().listen(process.env.PORT);";
    Cluster::inline(node, &sandbox, lines).instances(2).env("DB_PASSWORD", "hunter22-and-more").apply(&sandbox);
    let mut following = sandbox.start(&["events", "-f", "--json"]);
    sandbox.pm(&["send", "web", "{\"log\":\n\"debug\"}"]).ok().says(&["sent to shop:web/0, shop:web/1"]);
    assert_eq!(said(&sandbox, 0, "heard"), "{\"log\":\"debug\"}");
    assert_eq!(said(&sandbox, 1, "heard"), "{\"log\":\"debug\"}");
    sandbox.pm(&["send", "web/1", "5"]).ok();
    assert_eq!(said(&sandbox, 1, "heard 5"), "");
    let mut text = std::io::BufReader::new(following.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\\\"heard\\\":5,\\\"by\\\":\\\"1\\\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut text, &mut line).unwrap() > 0, "the end, and it was not told");
        assert!(!line.contains("hunter22"), "{line}");
    }
    following.kill().unwrap();
    following.wait().unwrap();
    assert!(!sandbox.pm(&["events"]).ok().stdout.contains("heard"), "it is not recorded");
    sandbox.pm(&["send", "web", "reload"]).code(64).says(&["is not JSON", "'\"reload\"'"]);
    sandbox.pm(&["send", "web", "{\"cmd\":\"NODE_CLUSTER\"}"]).code(64).says(&["NODE_"]);
    let long = format!("\"{}\"", "x".repeat(30_000));
    sandbox.pm(&["send", "web", &long]).code(64).says(&["24576"]);
    sandbox.pm(&["stop", "web/1"]).ok();
    sandbox.pm(&["send", "web", "7"]).code(1).says(&["sent to shop:web/0", "not sent to shop:web/1: it does not run"]);
}
