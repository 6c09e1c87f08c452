//! An address that a cluster cannot have: the app is told, and so is the user.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Cluster, Node, SOON, Sandbox, is_root, said, wait_for, wait_until};

crate::on_two_nodes!(
    an_address_that_somebody_else_has_is_an_error_of_the_app,
    a_file_that_is_no_socket_is_left_alone,
    an_app_of_another_user_opens_no_more_than_that_user_may,
    a_path_behind_which_somebody_hangs_holds_up_no_other_app,
);

/// Says why it cannot listen, and stays.
const TELLS: &str = "
const server = require('http').createServer((request, response) => response.end('up'));
server.on('error', (error) => console.log('no', error.code, error.syscall));
server.on('listening', () => console.log('listening'));
server.listen(JSON.parse(process.env.LISTEN));
setInterval(() => server.listening || server.listen(JSON.parse(process.env.LISTEN)), 200);
";

#[track_caller]
fn wait_told(sandbox: &Sandbox, words: &[&str]) {
    for command in [["events", "web"], ["why", "web"]] {
        let mut last = String::new();
        let is_told = || {
            last = sandbox.pm(&command).ok().stdout;
            words.iter().all(|word| last.contains(word)).then_some(())
        };
        wait_for(&format!("`pm {}` says {words:?}", command.join(" ")), SOON, is_told);
    }
}

fn an_address_that_somebody_else_has_is_an_error_of_the_app(node: &Node) {
    for (scheduling, host) in [("shared", ""), ("round-robin", ""), ("round-robin", ",\"host\":\"127.0.0.1\"")] {
        let sandbox = Sandbox::new();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let cluster = Cluster::inline(node, &sandbox, TELLS)
            .env("LISTEN", &format!("{{\"port\":{port}{host}}}"))
            .rest(&format!("cluster = {{ scheduling = \"{scheduling}\" }}"));
        sandbox.ecosystem(&cluster.toml());
        sandbox.pm(&["apply", "--detach"]).ok();
        assert_eq!(said(&sandbox, 0, "no"), "EADDRINUSE bind");
        wait_told(
            &sandbox,
            &["cannot listen at", &port.to_string(), &format!("(process {}) listens there", std::process::id())],
        );
        // As soon as it is free, the same process has it.
        let pid = sandbox.wait_pid("web/0");
        drop(other);
        said(&sandbox, 0, "listening");
        assert_eq!(sandbox.pid("web/0"), pid);
    }
}

fn a_file_that_is_no_socket_is_left_alone(node: &Node) {
    let sandbox = Sandbox::new();
    sandbox.file("taken", "mine");
    let cluster = Cluster::inline(node, &sandbox, TELLS).at_path(&sandbox, "taken");
    sandbox.ecosystem(&cluster.toml());
    sandbox.pm(&["apply", "--detach"]).ok();
    assert_eq!(said(&sandbox, 0, "no"), "EADDRINUSE bind");
    wait_told(&sandbox, &["cannot listen at", "taken"]);
    sandbox.pm(&["stop", "web"]).ok();
    assert_eq!(sandbox.read("taken"), "mine");
    // Nor is the socket of somebody who lives.
    let living = std::os::unix::net::UnixListener::bind(sandbox.path("living")).unwrap();
    let cluster = Cluster::inline(node, &sandbox, TELLS).at_path(&sandbox, "living");
    sandbox.ecosystem(&cluster.toml());
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.pm(&["start", "web", "--detach"]).ok();
    wait_told(&sandbox, &["cannot listen at", "living"]);
    sandbox.pm(&["stop", "web"]).ok();
    drop(living);
    assert!(sandbox.path("living").exists());
}

fn an_app_of_another_user_opens_no_more_than_that_user_may(node: &Node) {
    if !is_root() {
        eprintln!("NOT RUN: only root can run an app as another user");
        return;
    }
    // The program has to be where that user can read it.
    let sandbox = Sandbox::open_to_all();
    let program = sandbox.path("node");
    let original = std::fs::canonicalize(&node.program);
    std::fs::copy(original.unwrap_or_else(|_| "/usr/bin/node".into()), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node { major: node.major, program };
    let private = sandbox.path("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let open = sandbox.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();

    let cluster = Cluster::inline(&node, &sandbox, TELLS).instances(2).rest("user = \"nobody\"");
    let low = (1..1024).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let at_low = cluster.clone().env("LISTEN", &format!("{{\"port\":{low}}}"));
    let at_private = cluster.clone().at_path(&sandbox, "private/web.sock");
    for (refused, place) in [(at_low, low.to_string()), (at_private, "private/web.sock".to_owned())] {
        sandbox.ecosystem(&refused.toml());
        sandbox.pm(&["apply", "--detach"]).ok();
        wait_until("both are refused", SOON, || (0..2).all(|slot| said(&sandbox, slot, "no") == "EACCES bind"));
        wait_told(&sandbox, &["cannot listen at", &place, "Permission denied"]);
        sandbox.pm(&["delete", "web"]).ok();
    }
    assert_eq!(std::fs::read_dir(private).unwrap().count(), 0);

    let at_open = cluster.clone().at_path(&sandbox, "open/web.sock");
    for good in [cluster.clone(), at_open] {
        sandbox.ecosystem(&good.toml());
        sandbox.pm(&["apply"]).ok();
        assert_eq!(good.target.ask("/").unwrap(), "up");
        sandbox.pm(&["reload", "web"]).ok();
        sandbox.kill_daemon();
        assert_eq!(good.target.ask("/").unwrap(), "up");
        sandbox.pm(&["delete", "web"]).ok();
        wait_until("connections are refused", SOON, || good.target.is_refused());
    }
}

fn a_path_behind_which_somebody_hangs_holds_up_no_other_app(node: &Node) {
    let sandbox = Sandbox::new();
    let path = sandbox.path("full.sock");
    let _hangs = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // Its queue is filled, by connections that do not wait.
    let _queue: Vec<_> = (0..5000).map_while(|_| connected(&path)).collect();
    let lines = format!(
        "const s = require('net').createServer(); s.on('error', (e) => console.log('no', e.code)); s.listen('{}');",
        path.display()
    );
    sandbox.file("other.js", &lines);
    let cluster = Cluster::new(node);
    let other = format!(
        "[[apps]]\nname = \"other\"\nscript = \"other.js\"\ninterpreter = {:?}\nexec_mode = \"cluster\"\nready = {{ listening = false }}\n",
        node.program.display().to_string()
    );
    sandbox.ecosystem(&format!("{}{other}", cluster.toml()));
    sandbox.pm(&["apply"]).ok();
    wait_until("it is told", SOON, || {
        String::from_utf8_lossy(&sandbox.log_text("other", "out", 0)).contains("no EADDRINUSE")
    });
    cluster.target.answers_of(3);
}

/// A connection to a listener that accepts none; `None`: its queue is full.
fn connected(path: &std::path::Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).ok().map(|()| socket)
}
