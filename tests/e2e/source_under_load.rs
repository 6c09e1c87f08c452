//! A bad commit under load: whoever dies meanwhile, every request is answered, and the good version goes on.

use crate::sources::{Origin, row};
use crate::support::{Load, Manner, SOON, Sandbox, Target, free_port, kill, wait_for, wait_until};

/// Rounds of one run; each has another fault. `PM_LOAD_ROUNDS` for more.
const ROUNDS: usize = 4;

/// A server on the socket that it was handed. It ends between two requests, never within one.
const SERVER: &str = r#"
import os, select, signal, socket, sys, time
ending, wake = socket.socketpair()
signal.signal(signal.SIGTERM, lambda *_: wake.send(b"x"))
if VERSION == "bad":
    sys.exit(3)
listener = socket.socket(fileno=3)
listener.setblocking(False)
print("up", flush=True)
dies = time.monotonic() + (0.7 if VERSION == "later" else 1e9)
while time.monotonic() < dies:
    ready, _, _ = select.select([listener, ending], [], [], 0.05)
    if ending in ready:
        sys.exit(0)
    if listener not in ready:
        continue
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        continue
    connection.setblocking(True)
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        if not piece:
            break
        request += piece
    body = VERSION.encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()
sys.exit(4)
"#;

/// Commits a version of the server; the commit.
fn serve(origin: &Origin, port: u16, version: &str, number: usize) -> String {
    origin.file("web/server.py", &format!("# {number}\nVERSION = \"{version}\"\n{SERVER}"));
    let file = format!(
        "project = \"shop\"\n[[apps]]\nname = \"web\"\ncwd = \"web\"\ncommand = \"python3 server.py\"\ninstances = 2\n\
         listen = [\"127.0.0.1:{port}\"]\nready = {{ log = \"^up$\" }}\nmax_restarts = 0\n\
         update = {{ strategy = \"rolling\", min_healthy_time = \"0s\" }}\n"
    );
    origin.file("ecosystem.toml", &file);
    origin.commit(&format!("{version} {number}"))
}

#[test]
fn no_request_fails_while_a_bad_commit_comes_and_is_gone_back_from() {
    let (sandbox, port) = (Sandbox::new(), free_port());
    let origin = Origin::new(&sandbox);
    serve(&origin, port, "good", 0);
    sandbox.pm(&["source", "add", "shop", origin.url(), "--interval", "1h", "--dwell", "2s"]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let load = Load::start(&Target::Tcp(([127, 0, 0, 1], port).into()), "/", 4, Manner::OneEach);
    load.wait_answers(50);
    let rounds = std::env::var("PM_LOAD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for round in 1..=rounds {
        // One that fails once it serves, so that there is time for a death of the worker, of the daemon, of both after each other;
        // and one that never serves.
        let (version, is_undisturbed) = if round % 4 == 0 { ("bad", true) } else { ("later", false) };
        let commit = serve(&origin, port, version, round);
        sandbox.pm(&["source", "sync", "shop", "--detach"]).ok();
        wait_until(&format!("round {round}: it is under way"), SOON, || {
            let row = row(&sandbox);
            row["under_way"]["commit"] == commit.as_str() || (is_undisturbed && row["attempted"] == commit.as_str())
        });
        if round % 4 == 1 || round % 4 == 3 {
            let is_worker = |args: &[String]| args.get(1).is_some_and(|word| word == "source-worker");
            let worker = wait_for("the worker", SOON, || {
                sandbox.processes().into_iter().find(|process| process.is_pm && is_worker(&process.args))
            });
            kill(worker.pid, libc::SIGKILL);
        }
        if round % 4 == 2 || round % 4 == 3 {
            sandbox.kill_daemon();
        }
        wait_until(&format!("round {round}: it is known as bad"), SOON, || {
            // After the death of a worker the next look goes on, however far away it is: here, at once.
            if row(&sandbox)["tick"]["is_running"] == false {
                sandbox.pm(&["source", "sync", "shop", "--detach"]);
            }
            let row = row(&sandbox);
            row["status"] == "failed" && row["attempted"] == commit.as_str() && row["under_way"].is_null()
        });
        load.wait_answers(50);
    }
    let report = load.stop();
    eprintln!("{rounds} bad commits under load: {} answers, {} failed", report.answered, report.failed());
    report.all_answered();
    wait_until("the good version serves alone", SOON, || {
        let target = Target::Tcp(([127, 0, 0, 1], port).into());
        (0..20).all(|_| target.ask("/").is_ok_and(|version| version == "good"))
    });
}
