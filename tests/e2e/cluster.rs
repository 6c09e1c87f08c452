//! The copies of a Node app share their ports: who listens where, and who gets the connections.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::{Cluster, Load, Manner, Node, SOON, Sandbox, Target, fixture, free_port, run, said, wait_until};

crate::on_every_node!(all_answer_in_turn_once_they_are_applied);

crate::on_two_nodes!(
    shared_workers_accept_by_themselves,
    the_kernel_chooses_one_port_for_all,
    one_host_is_one_host,
    a_server_may_be_asked_to_listen_in_many_ways,
    a_path_is_shared_and_removed,
    datagrams_come_in,
    a_socket_of_listen_is_shared,
    several_ports_and_one_of_its_own,
    the_same_port_twice_and_again,
    tickets_are_good_at_every_worker,
    a_full_worker_leaves_connections_to_others,
    a_worker_without_descriptors_loses_nothing,
);

/// Processes of the cluster, as texts of answers.
fn pids(sandbox: &Sandbox) -> Vec<String> {
    sandbox.list().iter().map(|row| row.pid.unwrap().to_string()).collect()
}

fn all_answer_in_turn_once_they_are_applied(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node).env("DELAY", "300");
    cluster.apply(&sandbox);
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..30 {
        *answers.entry(cluster.target.ask("/").unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = pids(&sandbox).into_iter().map(|pid| (pid, 10)).collect();
    assert_eq!(answers, expected);
    let load = Load::start(&cluster.target, "/", 16, Manner::Both);
    load.wait_answers(500);
    let report = load.stop();
    report.all_answered();
    assert_eq!(report.by.len(), 3, "{report:?}");
}

/// How many descriptors of this process are sockets that listen at this port.
fn listening_descriptors(pid: u32, port: u16) -> usize {
    let table = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let lines = table("tcp") + &table("tcp6");
    let is_it = |words: &[&str]| words[1].ends_with(&format!(":{port:04X}")) && words[3] == "0A";
    let inodes: Vec<String> = lines
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 9 && words[0] != "sl" && is_it(words))
        .map(|words| format!("socket:[{}]", words[9]))
        .collect();
    assert!(!inodes.is_empty(), "somebody listens at {port}");
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|link| inodes.iter().any(|inode| link == inode.as_str()))
        .count()
}

fn shared_workers_accept_by_themselves(node: &Node) {
    for (rest, policy, has_socket) in [
        ("", "", 0),
        ("cluster = { scheduling = \"shared\" }", "", 1),
        ("", "none", 1),
        ("", "rr", 0),
        ("cluster = { scheduling = \"round-robin\" }", "none", 0),
    ] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::new(node).rest(rest).env("NODE_CLUSTER_SCHED_POLICY", policy);
        cluster.apply(&sandbox);
        let load = Load::start(&cluster.target, "/", 16, Manner::Both);
        load.wait_answers(300);
        load.stop().all_answered();
        for slot in ["web/0", "web/1", "web/2"] {
            let found = listening_descriptors(sandbox.pid(slot), cluster.port());
            assert_eq!(found, has_socket, "{slot} with `{rest}` and policy `{policy}`");
        }
    }
}

/// Servers that say where they listen.
const SAYS_ADDRESS: &str = "
const server = require('http').createServer((request, response) => response.end(String(process.pid)));
server.listen(JSON.parse(process.env.LISTEN), () => console.log('at', JSON.stringify(server.address())));
";

fn the_kernel_chooses_one_port_for_all(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::inline(node, &sandbox, SAYS_ADDRESS)
            .instances(3)
            .env("LISTEN", "{\"port\":0,\"host\":\"127.0.0.1\"}")
            .rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        let first = said(&sandbox, 0, "at");
        let address: serde_json::Value = serde_json::from_str(&first).unwrap();
        assert_eq!((&address["address"], &address["family"]), (&"127.0.0.1".into(), &"IPv4".into()));
        let port = u16::try_from(address["port"].as_u64().unwrap()).unwrap();
        sandbox.pm(&["reload", "web"]).ok();
        sandbox.pm(&["restart", "web"]).ok();
        wait_until("all have said it three times, and the same", SOON, || {
            let log = |slot| String::from_utf8(sandbox.log_text("web", "out", slot)).unwrap();
            let is_same = |slot| log(slot).lines().all(|line| line.ends_with(&first));
            (0..3).all(|slot| log(slot).lines().count() == 3 && is_same(slot))
        });
        Target::Tcp(([127, 0, 0, 1], port).into()).answers_of(if scheduling == "shared" { 1 } else { 3 });
    }
}

fn one_host_is_one_host(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node);
    let port = cluster.port();
    let cluster = cluster.env("LISTEN", &format!("{{\"port\":{port},\"host\":\"127.0.0.1\"}}"));
    cluster.apply(&sandbox);
    cluster.target.answers_of(3);
    assert!(Target::Tcp(([127, 0, 0, 2], port).into()).is_refused());
    // Without one, all addresses are meant.
    let everywhere = cluster.env("LISTEN", &format!("{{\"port\":{port}}}"));
    sandbox.ecosystem(&everywhere.toml());
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["start", "web"]).ok();
    for host in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        Target::Tcp((host, port).into()).answers_of(3);
    }
}

/// One server for each form of `listen`; says which is up.
const FORMS: &str = "
const net = require('net');
const forms = {
  hostAndCallback: [0, '127.0.0.1', () => {}],
  hostAndBacklog: [0, '127.0.0.1', 10, () => {}],
  noHost: [0, undefined, () => {}],
  backlog: [0, 128, () => {}],
  textOfPort: ['0', () => {}],
  textOfBacklog: [{ port: 0, backlog: '5' }],
  hugeBacklog: [{ port: 0, backlog: 1e12 }],
  brokenBacklog: [{ port: 0, backlog: 1.5 }],
  name: [{ port: 0, host: 'localhost' }],
  nothing: [],
  path: ['a.sock', () => {}],
  pathAndBacklog: ['b.sock', 5, () => {}],
};
for (const [form, args] of Object.entries(forms)) {
  net.createServer().on('listening', () => console.log(form, 'listens')).on('error', (error) => console.log(form, error)).listen(...args);
}
";

fn a_server_may_be_asked_to_listen_in_many_ways(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(node, &sandbox, FORMS).instances(2);
    cluster.apply(&sandbox);
    let expected = FORMS.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": [")).map(|(form, _)| form);
    for form in expected {
        for slot in 0..2 {
            assert_eq!(said(&sandbox, slot, &format!("{form} ")), "listens", "{form}");
        }
    }
}

fn a_path_is_shared_and_removed(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::new(node)
            .at_path(&sandbox, "web.sock")
            .rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        let load = Load::start(&cluster.target, "/", 8, Manner::Both);
        load.wait_answers(100);
        sandbox.pm(&["reload", "web"]).ok();
        load.wait_answers(100);
        load.stop().all_answered();
        sandbox.pm(&["stop", "web"]).ok();
        wait_until("its file is gone", SOON, || !sandbox.path("web.sock").exists());
        // What is left over of a crash is no obstacle; what everybody may do is what the app says.
        drop(std::os::unix::net::UnixListener::bind(sandbox.path("web.sock")).unwrap());
        let path = sandbox.path("web.sock").display().to_string();
        let open = cluster.env("LISTEN", &format!("{{\"path\":{path:?},\"readableAll\":true,\"writableAll\":true}}"));
        open.apply(&sandbox);
        sandbox.pm(&["start", "web"]).ok();
        open.target.ask("/").unwrap();
        let mode = std::fs::metadata(sandbox.path("web.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o666, 0o666, "{mode:o}");
    }
}

fn datagrams_come_in(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const socket = require('dgram').createSocket('udp4');
         socket.on('message', (_, from) => socket.send(String(process.pid), from.port, from.address));
         socket.bind(Number(process.env.PORT), '127.0.0.1');",
    );
    cluster.clone().instances(2).apply(&sandbox);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], cluster.port()));
    let ask = || {
        let mut buffer = [0; 64];
        socket.send_to(b"who", server).unwrap();
        let (length, _) = socket.recv_from(&mut buffer).expect("a datagram is answered");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    for _ in 0..50 {
        assert!(pids(&sandbox).contains(&ask()));
    }
    sandbox.pm(&["reload", "web"]).ok();
    assert!(pids(&sandbox).contains(&ask()), "the new ones have it");
}

fn a_socket_of_listen_is_shared(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let script = "
            const server = require('http').createServer((request, response) => response.end(String(process.pid)));
            server.on('error', (error) => console.log('no', error.code));
            server.listen({ fd: 3 }, () => {
              const other = require('net').createServer();
              other.on('error', (error) => console.log('other', error.code));
              other.listen({ fd: 4 });
            });";
        let cluster = Cluster::inline(node, &sandbox, script).instances(3);
        let cluster = cluster.clone().rest(&format!(
            "listen = [\"127.0.0.1:{}\"]\ncluster = {{ scheduling = \"{scheduling}\" }}",
            cluster.port()
        ));
        cluster.apply(&sandbox);
        assert_eq!(said(&sandbox, 0, "other"), "EBADF", "the app has no other");
        let load = Load::start(&cluster.target, "/", 8, Manner::Both);
        load.wait_answers(100);
        sandbox.pm(&["reload", "web"]).ok();
        sandbox.pm(&["restart", "web"]).ok();
        load.wait_answers(100);
        let report = load.stop();
        assert_eq!(report.refused, 0, "{report:?}");
        sandbox.pm(&["stop", "web"]).ok();
        wait_until("connections are refused", SOON, || cluster.target.is_refused());
    }
}

fn several_ports_and_one_of_its_own(node: &Node) {
    let sandbox = Sandbox::new();
    let (second, script) = (
        free_port(),
        "
        const http = require('http');
        const at = (listen, text) => {
          const server = http.createServer((request, response) => response.end(text));
          return new Promise((done) => server.listen(listen, () => done(server.address().port)));
        };
        const host = '127.0.0.1';
        at({ port: process.env.PORT, host }, 'first')
          .then(() => at({ port: process.env.SECOND, host }, 'second'))
          .then(() => at({ port: 0, host, exclusive: true }, 'own'))
          .then((port) => console.log('own', port));",
    );
    let cluster = Cluster::inline(node, &sandbox, script).instances(2).env("SECOND", &second.to_string());
    cluster.apply(&sandbox);
    let own: Vec<u16> = (0..2).map(|slot| said(&sandbox, slot, "own").parse().unwrap()).collect();
    assert_ne!(own[0], own[1]);
    let clients =
        [(cluster.port(), "first"), (second, "second"), (own[0], "own"), (own[1], "own")].map(|(port, text)| {
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let target = Target::Tcp(([127, 0, 0, 1], port).into());
                    assert_eq!(target.ask("/").unwrap(), text);
                }
            })
        });
    for client in clients {
        client.join().unwrap();
    }
}

fn the_same_port_twice_and_again(node: &Node) {
    for scheduling in ["shared", "round-robin"] {
        let sandbox = Sandbox::new();
        let cluster = Cluster::inline(
            node,
            &sandbox,
            "const http = require('http');
             const [one, two] = ['one', 'two'].map((text) => http.createServer((request, response) => response.end(text)));
             const port = process.env.PORT;
             let rounds = 0;
             const again = () => rounds++ < 3 ? one.close(() => one.listen(port, again)) : console.log('rounds', rounds);
             two.on('error', (error) => { console.log('two', error.code, error.syscall); again(); });
             one.listen(port, () => two.listen(port, () => console.log('two listens')));",
        )
        .instances(2)
        .rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        cluster.apply(&sandbox);
        for slot in 0..2 {
            assert_eq!(said(&sandbox, slot, "rounds"), "4");
            assert_eq!(said(&sandbox, slot, "two"), "EADDRINUSE bind");
        }
        for _ in 0..20 {
            assert_eq!(cluster.target.ask("/").unwrap(), "one");
        }
    }
}

fn tickets_are_good_at_every_worker(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        &format!(
            "const pem = require('fs').readFileSync({:?});
             require('https')
               .createServer({{ key: pem, cert: pem, maxVersion: 'TLSv1.2' }}, (request, response) => response.end(String(process.pid)))
               .listen(process.env.PORT);",
            fixture("localhost.pem")
        ),
    )
    .instances(3);
    for scheduling in ["shared", "round-robin"] {
        cluster.clone().rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}")).apply(&sandbox);
        let client = sandbox.file(
            "client.js",
            "const https = require('https');
             let session, resumed = 0;
             const pids = new Set();
             const ask = (left) => {
               if (left === 0) return console.log(resumed, pids.size);
               const request = https.get({
                 host: '127.0.0.1', port: process.argv[2], rejectUnauthorized: false, agent: false, session,
               }, (response) => {
                 resumed += response.socket.isSessionReused();
                 session = session || response.socket.getSession();
                 response.on('data', (data) => pids.add(String(data)));
                 response.on('end', () => ask(left - 1));
               });
             };
             ask(40);",
        );
        let mut command = Command::new(&node.program);
        command.arg(client).arg(cluster.port().to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let asked = run(&mut command).ok();
        let words: Vec<usize> = asked.stdout.split_whitespace().map(|word| word.parse().unwrap()).collect();
        // All but the first, whoever answers.
        assert!(words[0] == 39 && (scheduling == "shared" || words[1] == 3), "{scheduling}: {asked}");
    }
}

fn a_full_worker_leaves_connections_to_others(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::inline(
        node,
        &sandbox,
        "const server = require('http').createServer((request, response) => setTimeout(() => {
           response.end(String(process.pid));
         }, 100));
         server.maxConnections = 1;
         server.listen(process.env.PORT);",
    )
    .instances(3);
    cluster.apply(&sandbox);
    // More clients than the workers take together: the others wait.
    let load = Load::start(&cluster.target, "/", 6, Manner::OneEach);
    load.wait_answers(60);
    let report = load.stop();
    report.all_answered();
    assert_eq!(report.by.len(), 3, "{report:?}");
}

fn a_worker_without_descriptors_loses_nothing(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = Cluster::new(node).instances(2).rest("limits = { nofile = 40 }");
    cluster.apply(&sandbox);
    let before = sandbox.list();
    let load = Load::start(&cluster.target, "/?ms=20", 60, Manner::OneEach);
    load.wait_answers(600);
    load.stop().all_answered();
    assert_eq!(sandbox.list(), before, "nobody has crashed");
}
