//! Webhooks: a push is deployed at once, nobody without the secret gets anything, and the setting survives every death.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::sources::{Origin, add, row};
use crate::support::{SOON, Sandbox, kill_both_now, wait_for, wait_until};

const SECRET: &str = "zq7x-a-secret-of-a-webhook";

/// A source whose first commit is deployed, with a webhook at a port that the kernel has chosen.
fn called() -> (Sandbox, Origin, SocketAddr) {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let secret = sandbox.file("secret", format!("{SECRET}\n"));
    let words = ["source", "webhook", "shop", "--listen", "127.0.0.1:0", "--secret-file", secret.to_str().unwrap()];
    let added = sandbox.pm(&words).ok().says(&["http://127.0.0.1:", "/hooks/shop"]);
    assert!(!added.stdout.contains(SECRET) && !added.stderr.contains(SECRET));
    let address = address(&sandbox);
    (sandbox, origin, address)
}

fn address(sandbox: &Sandbox) -> SocketAddr {
    wait_for("the webhook listens", SOON, || row(sandbox)["webhook"]["listens_at"].as_str()?.parse().ok())
}

fn signature(secret: &str, body: &[u8]) -> String {
    let bytes = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Sends this, whatever it is; the answer, or nothing if there is none.
fn send(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect_timeout(&address, SOON).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // The other end may have answered before all was sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    let answer = send(address, format!("{head}\r\n{body}").as_bytes());
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer to {head}: {answer:?}"))
}

/// A path, the answer that it gets, the headers, and the body.
type Call<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], &'a str);

/// As GitHub sends a push.
fn push(address: SocketAddr, branch: &str) -> u16 {
    let body = format!("{{\"ref\":\"refs/heads/{branch}\"}}");
    let signature = signature(SECRET, body.as_bytes());
    post(address, "/hooks/shop", &[("X-GitHub-Event", "push"), ("X-Hub-Signature-256", &signature)], &body)
}

fn looks(sandbox: &Sandbox) -> u64 {
    row(sandbox)["tick"]["number"].as_u64().unwrap_or(0)
}

#[test]
fn a_push_is_deployed_at_once_and_a_repeated_call_does_nothing() {
    let (sandbox, origin, address) = called();
    let old = sandbox.pid("api/0");
    let second = origin.apps(&[("api", "2")]);
    let began = Instant::now();
    assert_eq!(push(address, "main"), 202);
    wait_until("a new process runs", SOON, || {
        sandbox.instance("api/0").and_then(|api| api.pid).is_some_and(|pid| pid != old)
    });
    eprintln!("webhook to new process, built for tests: {} ms", began.elapsed().as_millis());
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "20s"]).ok();
    let pid = sandbox.pid("api/0");
    // A branch that is not followed is no reason to look.
    let before = looks(&sandbox);
    assert_eq!(push(address, "other"), 200);
    assert_eq!(looks(&sandbox), before);
    // Many calls, the same again and again: looks that find nothing, and not one for each.
    for _ in 0..20 {
        assert_eq!(push(address, "main"), 202);
    }
    wait_until("it was looked at", SOON, || looks(&sandbox) > before && row(&sandbox)["tick"]["is_running"] == false);
    assert!(looks(&sandbox) < before + 10, "calls are taken together");
    assert_eq!(sandbox.pid("api/0"), pid);
    // Its server proves itself by a token as well, and a body that says nothing is a reason to look.
    let before = looks(&sandbox);
    assert_eq!(post(address, "/hooks/shop", &[("X-Gitlab-Token", SECRET)], ""), 202);
    wait_until("it was looked at", SOON, || looks(&sandbox) > before);
    assert_eq!(row(&sandbox)["webhook"]["calls"], 23);
    sandbox.pm(&["source", "status", "shop"]).ok().says(&["webhook", "23 calls, the last"]);
}

#[test]
fn who_does_not_know_the_secret_gets_nothing() {
    let (sandbox, origin, address) = called();
    let pid = sandbox.pid("api/0");
    let before = looks(&sandbox);
    origin.apps(&[("api", "2")]);
    let body = "{\"ref\":\"refs/heads/main\"}";
    let (good, other) = (signature(SECRET, body.as_bytes()), signature("another secret of 16", body.as_bytes()));
    let unsigned: [Call<'_>; 8] = [
        ("/hooks/shop", 401, &[], body),
        ("/hooks/shop", 401, &[("X-Hub-Signature-256", &other)], body),
        ("/hooks/shop", 401, &[("X-Hub-Signature-256", &good)], "{\"ref\":\"refs/heads/mains\"}"),
        ("/hooks/shop", 401, &[("X-Gitlab-Token", "")], body),
        // Whether there is such a source is told to nobody.
        ("/hooks/none", 401, &[("X-Hub-Signature-256", &good)], body),
        ("/hooks/..%2fshop", 404, &[("X-Hub-Signature-256", &good)], body),
        ("/hooks/", 404, &[], body),
        ("/v1/list", 404, &[("X-Hub-Signature-256", &good)], body),
    ];
    for (path, status, headers, body) in unsigned {
        assert_eq!(post(address, path, headers, body), status, "{path} {headers:?}");
    }
    assert!(send(address, b"GET /hooks/shop HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
    let large = format!("POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 26 << 20);
    assert!(send(address, large.as_bytes()).starts_with("HTTP/1.1 413"));
    let endless = format!("POST /hooks/shop HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    for garbage in [&b"\x00\x01\x02\r\n\r\n"[..], b"SSH-2.0-x\r\n\r\n", endless.as_bytes()] {
        assert!(!send(address, garbage).starts_with("HTTP/1.1 2"));
    }
    // Connections that say nothing keep nobody else out for good, and the daemon answers its users.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect_timeout(&address, SOON).unwrap()).collect();
    assert_eq!((looks(&sandbox), sandbox.pid("api/0")), (before, pid), "nothing was done");
    assert_eq!(row(&sandbox)["webhook"]["refused"], 4);
    drop(silent);
    assert_eq!(push(address, "main"), 202);
}

#[test]
fn the_setting_outlives_every_death_and_the_secret_is_nowhere_to_be_seen() {
    let (sandbox, origin, address) = called();
    kill_both_now(&sandbox);
    let second = origin.apps(&[("api", "2")]);
    sandbox.pm(&["source", "list"]).ok();
    // Another port: that of the kernel's choice.
    let address_after = self::address(&sandbox);
    assert!(TcpStream::connect(address).is_err() || address == address_after);
    // A call that was answered, and a daemon that dies at once: the next one looks.
    assert_eq!(push(address_after, "main"), 202);
    sandbox.kill_daemon();
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "20s"]).ok();
    // The options of the source do not touch it.
    add(&sandbox, &origin, &["--env", "none"]).ok();
    assert!(!row(&sandbox)["webhook"].is_null());
    let mut shown = String::new();
    for words in [&["source", "status", "shop"][..], &["source", "list", "--json"], &["events", "-A"]] {
        let output = sandbox.pm(words).ok();
        shown = shown + &output.stdout + &output.stderr;
    }
    shown.push_str(&fs::read_to_string(sandbox.home().join("logs/daemon.log")).unwrap_or_default());
    for process in sandbox.processes() {
        shown.push_str(&fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default());
        shown.push_str(&fs::read_to_string(format!("/proc/{}/environ", process.pid)).unwrap_or_default());
    }
    assert!(!shown.contains(SECRET), "{shown}");
    for entry in fs::read_dir(sandbox.home().join("state")).unwrap() {
        let entry = entry.unwrap();
        let holds =
            fs::read(entry.path()).is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
        assert!(!holds || entry.metadata().unwrap().permissions().mode() & 0o777 == 0o600, "{entry:?}");
    }
    sandbox.pm(&["source", "webhook", "shop", "--off"]).ok().says(&["has no webhook any more"]);
    wait_until("nobody listens", SOON, || TcpStream::connect(address_or(&sandbox, address_after)).is_err());
}

fn address_or(sandbox: &Sandbox, known: SocketAddr) -> SocketAddr {
    row(sandbox)["webhook"]["listens_at"].as_str().and_then(|text| text.parse().ok()).unwrap_or(known)
}

#[test]
fn a_secret_is_made_and_shown_once_and_an_address_that_is_taken_is_told() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    let listen = ["source", "webhook", "shop", "--listen", "127.0.0.1:0"];
    let made = sandbox.pm(&listen).ok();
    let secret = made.stdout.trim().to_owned();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    let same = sandbox.pm(&listen).ok();
    assert_eq!(same.stdout, "", "it is not shown again");
    let body = "{}";
    let headers = [("X-Hub-Signature-256", signature(&secret, body.as_bytes()))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(post(address(&sandbox), "/hooks/shop", &headers, body), 202);
    sandbox.pm(&[&listen[..], &["--new-secret"]].concat()).ok();
    assert_eq!(post(address(&sandbox), "/hooks/shop", &headers, body), 401, "another secret counts now");
    let short = sandbox.file("short", "too short\n");
    let refused = sandbox.pm(&[&listen[..], &["--secret-file", short.to_str().unwrap()]].concat()).code(64);
    refused.says(&["holds no secret", "16 to 512"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    sandbox.pm(&["source", "webhook", "shop", "--listen", &at]).code(1).says(&["cannot listen", &at]);
    sandbox.pm(&["source", "status", "shop"]).ok().says(&["cannot listen"]);
    drop(taken);
    wait_until("it listens once the address is free", SOON, || row(&sandbox)["webhook"]["listens_at"] == at.as_str());
    sandbox.pm(&["source", "webhook", "none", "--listen", "127.0.0.1:0"]).code(64).says(&["no source `none`"]);
    sandbox.pm(&["source", "webhook", "shop", "--listen", "localhost"]).code(64).says(&["IP address and a port"]);
}
