//! A process counts as up when it says so, or when its probe says so: not before, and not because of a stranger.

use std::fs;
use std::net::TcpListener;

use crate::support::{SOON, Sandbox, finish, free_port, kill, wait_until};

/// A server that listens after `seconds` and then answers `GET /` with 200, or with what stands in the file `status`.
pub fn server(sandbox: &Sandbox, seconds: &str) -> String {
    let script = sandbox.file(
        "server.py",
        r#"
import os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
threading.Event().wait(float(sys.argv[1]))
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(open("status").read()) if os.path.exists("status") else 200)
        self.end_headers()
        self.wfile.write(b"all is well")
    def log_message(self, *words):
        pass
server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("listening", flush=True)
server.serve_forever()
"#,
    );
    format!("command = \"python3 {} {seconds}\"\nport = {}\n", script.display(), free_port())
}

#[test]
fn apply_returns_when_every_kind_of_probe_is_content() {
    let sandbox = Sandbox::new();
    let (http, tcp, unix) = (server(&sandbox, "0.3"), server(&sandbox, "0.2"), sandbox.path("app.sock"));
    let bind = "import socket, threading; s = socket.socket(socket.AF_UNIX); s.bind('app.sock'); s.listen(); threading.Event().wait()";
    sandbox.file("bind.py", bind);
    sandbox.ecosystem(&format!(
        r#"
        [[apps]]
        name = "http"
        {http}
        ready = {{ http = {{ url = "http://localhost:${{PORT}}/", status = 200, body = "all .* well" }} }}
        [[apps]]
        name = "tcp"
        {tcp}
        ready = {{ tcp = "${{PORT}}" }}
        [[apps]]
        name = "unix"
        command = "python3 bind.py"
        ready = {{ tcp = "unix:{}" }}
        [[apps]]
        name = "exec"
        command = "sh -c 'sleep 0.2; touch made; exec sleep 1000'"
        ready = {{ exec = "test -e made" }}
        [[apps]]
        name = "log"
        command = "sh -c 'echo early; sleep 0.2; echo now serving 3; exec sleep 1000'"
        ready = {{ log = "serving \\d" }}
        "#,
        unix.display()
    ));
    sandbox.pm(&["apply"]).ok();
    for app in ["http", "tcp", "unix", "exec", "log"] {
        let facts: Vec<String> = sandbox.events_of(app).into_iter().map(|event| event.fact).collect();
        assert!(facts.contains(&"ready".to_owned()), "{app}: {facts:?}");
        assert_eq!(sandbox.instance(&format!("{app}/0")).unwrap().phase, "running");
    }
}

#[test]
fn a_process_that_is_never_ready_fails_the_apply_with_the_words_of_its_probe() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.ecosystem(&format!(
        r#"
        [[apps]]
        name = "deaf"
        command = "sleep 1000"
        restart = "never"
        ready = {{ tcp = "127.0.0.1:{port}", timeout = "700ms" }}
        [[apps]]
        name = "asked"
        command = "sleep 1000"
        restart = "never"
        ready = {{ exec = "echo the cache is cold; exit 4", timeout = "700ms" }}
        [[apps]]
        name = "slow"
        command = "sleep 1000"
        restart = "never"
        ready = {{ exec = "sleep 1000", timeout = "700ms" }}
        "#
    ));
    let failed = sandbox.pm(&["apply"]).code(6);
    failed.says(&["connection refused", "exit code 4: the cache is cold", "timed out after"]);
    sandbox.pm(&["why", "deaf"]).ok().says(&["was not ready after", "connection refused"]);
    wait_until("no probe lives on", SOON, || sandbox.app_processes().is_empty());
}

#[test]
fn a_port_that_somebody_else_has_is_told_before_anything_is_done() {
    let sandbox = Sandbox::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nport = {port}\n"));
    let told = format!("port {port} of api is taken by process {} (", std::process::id());
    sandbox.pm(&["plan"]).ok().says(&[&told]);
    sandbox.pm(&["apply"]).ok().says(&[&told]);
    // It runs now, and what it does not do about its port is told by nobody.
    assert!(!sandbox.pm(&["plan"]).ok().stdout.contains("is taken"));
}

#[test]
fn an_apply_says_why_it_still_waits() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"deaf\"\ncommand = \"sleep 1000\"\nrestart = \"never\"\n\
         ready = {{ tcp = \"127.0.0.1:{port}\", timeout = \"1500ms\" }}\n"
    ));
    let failed = sandbox.pm(&["apply"]).code(6);
    let told = failed.stderr.matches("deaf/0 is not ready yet: connection refused").count();
    assert_eq!(told, 1, "{}", failed.stderr);
}

#[test]
fn a_line_of_the_process_before_does_not_count() {
    let sandbox = Sandbox::new();
    sandbox.file("once.sh", "[ -e once ] || { touch once; echo serving; exit 1; }; exec sleep 1000");
    sandbox.ecosystem(
        "[[apps]]\nname = \"once\"\ncommand = \"sh once.sh\"\nready = { log = \"serving\", timeout = \"1500ms\" }\n\
         restart_delay = \"0s\"\nmax_restarts = 2\n",
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the second one has waited in vain", SOON, || {
        sandbox.pm(&["why", "once"]).ok().stdout.contains("was not ready after")
    });
}

#[test]
fn somebody_else_on_the_port_is_named_and_is_no_success() {
    let sandbox = Sandbox::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    sandbox.ecosystem(&format!(
        r#"
        [[apps]]
        name = "late"
        command = "sleep 1000"
        restart = "never"
        ready = {{ tcp = "127.0.0.1:{port}", timeout = "1s" }}
        "#
    ));
    let belongs = format!("port {port} is used by process {}", std::process::id());
    sandbox.pm(&["apply"]).code(6).says(&[&belongs]);
}

#[test]
fn a_crash_before_it_is_ready_fails_the_apply_at_once() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "fragile"
        command = "sh -c 'echo no database; exit 7'"
        restart = "never"
        ready = { log = "never printed", timeout = "1m" }
        "#,
    );
    sandbox.pm(&["apply"]).code(6).says(&["exit code 7", "no database"]);
}

#[test]
fn a_daemon_that_dies_while_waiting_does_not_give_more_time() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.ecosystem(&format!(
        r#"
        [[apps]]
        name = "deaf"
        command = "sleep 1000"
        restart = "never"
        ready = {{ tcp = "127.0.0.1:{port}", timeout = "4s" }}
        "#
    ));
    sandbox.pm(&["apply", "--detach"]).ok();
    let pid = sandbox.wait_pid("deaf/0");
    kill(sandbox.daemon_pid(), libc::SIGKILL);
    assert_eq!(sandbox.wait_phase("deaf/0", "starting").pid, Some(pid), "it goes on waiting for the same process");
    sandbox.wait_phase("deaf/0", "errored");
    let told = sandbox.pm(&["events", "deaf", "--json"]).ok().json();
    let events = told["events"].as_array().unwrap();
    let not_ready = events.iter().find(|event| event["event"] == "not_ready").expect("it says why");
    let after = not_ready["after"].as_u64().unwrap();
    assert!((4000..6000).contains(&after), "{after} ms: the deadline is that of the first daemon");
}

#[test]
fn what_was_ready_once_is_not_asked_again_by_the_next_daemon() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "once"
        command = "sleep 1000"
        ready = { exec = "echo asked >>asked", timeout = "10s" }
        "#,
    );
    sandbox.pm(&["apply"]).ok();
    let asked = sandbox.read("asked");
    sandbox.kill_daemon();
    assert_eq!(sandbox.instance("once/0").unwrap().phase, "running");
    assert_eq!(sandbox.read("asked"), asked);
}

#[test]
fn a_line_that_was_printed_while_no_daemon_lived_counts() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "log"
        command = "sh -c 'while ! test -e go; do sleep 0.01; done; echo open for business; exec sleep 1000'"
        ready = { log = "open for business" }
        "#,
    );
    let apply = sandbox.start(&["apply", "--detach"]);
    finish(apply, "pm apply --detach").ok();
    sandbox.wait_pid("log/0");
    let daemon = sandbox.daemon_pid();
    kill(daemon, libc::SIGSTOP);
    sandbox.file("go", "");
    kill(daemon, libc::SIGKILL);
    sandbox.wait_phase("log/0", "running");
    assert_eq!(fs::read(sandbox.path("go")).unwrap(), b"");
}

/// An app that is ready as soon as the file `go` exists.
fn gated(timeout: &str, rest: &str) -> String {
    format!(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n\
         ready = {{ exec = \"echo the cache is cold; test -e go\", timeout = \"{timeout}\" }}\n{rest}\n"
    )
}

#[test]
fn an_apply_waits_for_what_is_starting_already_and_tells_how_that_ends() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&gated("4s", "restart = \"never\""));
    sandbox.pm(&["apply", "--detach"]).ok();
    let pid = sandbox.wait_pid("api/0");
    wait_until("the plan says why it is not ready", SOON, || {
        sandbox.pm(&["plan", "--detailed-exitcode"]).ok().stdout.contains("api/0 is not ready yet: exit code 1")
    });
    assert_eq!(sandbox.pm(&["diff"]).ok().stdout, "", "nothing differs");
    sandbox.pm(&["apply", "--detach"]).ok();
    assert_eq!(sandbox.instance("api/0").unwrap().pid, Some(pid), "who detaches does not wait");
    sandbox.pm(&["apply", "--timeout", "10ms"]).code(7);
    let started = sandbox.start(&["start", "api"]);
    let told = sandbox.pm(&["apply", "--json"]).code(6).json();
    assert_eq!(told["plans"][0]["notes"][0]["note"], "not_ready");
    assert_eq!(told["plans"][0]["summary"]["unchanged"], 1);
    let report = &told["reports"][0];
    assert_eq!((&report["generation"], &report["operations"][0]["verb"]), (&1.into(), &"wait".into()));
    let words = ["api: wait failed: api/0 was not ready after", "exit code 1: the cache is cold"];
    finish(started, "pm start api").code(6).says(&words);
    assert_eq!(sandbox.starts_of("api/0"), 1, "nothing of it was touched");
}

#[test]
fn an_apply_that_waits_ends_well_as_soon_as_it_is_ready() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&gated("1m", ""));
    sandbox.pm(&["apply", "--detach"]).ok();
    let pid = sandbox.wait_pid("api/0");
    let again = sandbox.start(&["apply", "--wait"]);
    wait_until("it is asked", SOON, || sandbox.pm(&["list"]).ok().stdout.contains("exit code 1"));
    sandbox.file("go", "");
    finish(again, "pm apply --wait").ok();
    let ready = sandbox.instance("api/0").unwrap();
    assert_eq!((ready.phase.as_str(), ready.pid), ("running", Some(pid)));
    sandbox.pm(&["apply"]).ok().says(&["nothing to do"]);
}

#[test]
fn who_needs_what_is_starting_already_is_skipped_when_that_fails() {
    let sandbox = Sandbox::new();
    let web = "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\ndepends_on = { api = \"ready\" }";
    sandbox.ecosystem(&gated("1500ms", ""));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_pid("api/0");
    sandbox.ecosystem(&gated("1500ms", web));
    sandbox.pm(&["apply"]).code(6).says(&["api/0 was not ready after", "web: start: a dependency did not"]);
}

#[test]
fn a_ready_line_counts_however_it_is_printed() {
    let sandbox = Sandbox::new();
    sandbox.file("buffered.py", "import threading\nprint('ready on port 3')\nthreading.Event().wait()\n");
    let shell = |name: &str, prints: &str| {
        let line = format!("{prints}; exec sleep 1000");
        format!("[[apps]]\nname = \"{name}\"\nscript = \"sh\"\nargs = [\"-c\", {line:?}]\n")
    };
    let apps = [
        shell("pieces", "printf 'ready on '; sleep 0.5; echo 'port 3'"),
        shell("crlf", r"printf 'ready on port 3\r\n'"),
        shell("colours", r"printf '\033[32mready on \033[1mport 3\033[0m\n'"),
        shell("no-end", "printf 'ready on port 3'"),
        "[[apps]]\nname = \"python\"\nscript = \"buffered.py\"\n".to_owned(),
    ];
    let ready = "ready = { log = \"^ready on port 3$\", timeout = \"30s\" }\n";
    sandbox.ecosystem(&apps.map(|app| format!("{app}{ready}")).concat());
    sandbox.pm(&["apply"]).ok();
}
