//! Servers that are gone, answer garbage, hang, or ask for a password.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pm::git::{GitTrouble, remote_head};
use pm::model::Millis;

use crate::origin::{Origin, PATIENCE, remote};

/// Answers every request with the same bytes and keeps what was asked. Returns the port.
fn server(answer: &'static [u8]) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let request = read_head(stream, answer);
            log.lock().unwrap().push_str(&request);
        }
    });
    (port, asked)
}

fn read_head(mut stream: TcpStream, answer: &[u8]) -> String {
    let (mut head, mut block) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut block) {
            Ok(length) if length > 0 && block.starts_with(b"GET") => head.extend_from_slice(&block[..length]),
            _ => break,
        }
    }
    let _client_may_be_gone = stream.write_all(answer);
    String::from_utf8_lossy(&head).into_owned()
}

/// What both a poll and a fetch say about an address.
fn trouble(url: &str) -> GitTrouble {
    let error = remote_head(&remote(url), PATIENCE).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let origin = Origin::new();
    let head = origin.commit_file("a", "1");
    let fetched = origin.open().fetch(&remote(url), &head, PATIENCE, &|| false).unwrap_err();
    assert_eq!(fetched.trouble, error.trouble, "{fetched}");
    error.trouble
}

#[test]
fn a_server_that_is_gone_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "https", "ssh", "git"] {
        assert_eq!(trouble(&format!("{scheme}://127.0.0.1:{port}/x")), GitTrouble::Unreachable, "{scheme}");
    }
}

#[test]
fn garbage_is_garbage() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 19\r\nConnection: close\r\n\r\n<html>hello</html>\n";
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 500\r\n\r\n001e# servic";
    let noise = b"\0\0\0\0\xff\xff what\r\n";
    for answer in [page.as_slice(), cut, noise] {
        let (port, _) = server(answer);
        let seen = trouble(&format!("http://127.0.0.1:{port}/x"));
        assert!(matches!(seen, GitTrouble::Garbage | GitTrouble::NoRepository), "{seen:?}");
    }
    let (port, _) = server(noise);
    assert_eq!(trouble(&format!("git://127.0.0.1:{port}/x")), GitTrouble::Garbage);
}

#[test]
fn a_password_is_never_asked_for_and_never_shown() {
    let answer = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (port, asked) = server(answer);
    assert_eq!(trouble(&format!("http://127.0.0.1:{port}/x")), GitTrouble::AuthenticationNeeded);
    assert!(!asked.lock().unwrap().contains("Authorization"));
    assert_eq!(trouble(&format!("http://me:s3cret@127.0.0.1:{port}/x")), GitTrouble::AuthenticationNeeded);
    // me:s3cret
    assert!(asked.lock().unwrap().contains("Authorization: Basic bWU6czNjcmV0\r\n"), "{}", asked.lock().unwrap());
    let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (port, _) = server(gone);
    assert_eq!(trouble(&format!("http://127.0.0.1:{port}/x")), GitTrouble::NoRepository);
}

#[test]
fn a_server_that_hangs_costs_no_more_than_the_patience() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["http", "ssh", "git"] {
        let began = Instant::now();
        let error = remote_head(&remote(&format!("{scheme}://127.0.0.1:{port}/x")), Millis(500)).unwrap_err();
        assert_eq!(error.trouble, GitTrouble::TimedOut, "{scheme}: {error}");
        assert!(began.elapsed().as_secs() < 10, "{scheme}: {:?}", began.elapsed());
    }
}
