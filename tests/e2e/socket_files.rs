//! Unix sockets that are held open: whoever connects to the path comes to a process, or somebody is told.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::support::{SOON, Sandbox, fixture, kill, wait_until};

fn ask(path: &Path) -> std::io::Result<String> {
    let mut connection = UnixStream::connect(path)?;
    connection.set_read_timeout(Some(SOON))?;
    connection.write_all(b"ping")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    if text.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
}

/// An app that answers at `web.sock`.
fn ecosystem(sandbox: &Sandbox, version: u32, rest: &str) {
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"web\"\nscript = \"{}\"\nlisten = [\"unix:web.sock\"]\nready = {{ log = \"^up$\" }}\n\
         update = {{ min_healthy_time = \"0s\" }}\n{rest}\n[apps.env]\nVERSION = \"{version}\"\n",
        fixture("listens_plainly.py")
    ));
}

fn applied(rest: &str) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    ecosystem(&sandbox, 1, rest);
    sandbox.pm(&["apply"]).ok();
    let socket = sandbox.path("web.sock");
    assert!(ask(&socket).unwrap().starts_with('1'));
    (sandbox, socket)
}

#[test]
fn a_socket_whose_file_was_removed_is_opened_again_by_whatever_starts_a_process() {
    for action in ["apply", "restart", "reload", "update", "crash", "next daemon"] {
        let (sandbox, socket) = applied("");
        let old = sandbox.pid("web/0");
        fs::remove_file(&socket).unwrap();
        let list = sandbox.pm(&["list"]).ok();
        assert!(list.stdout.contains("running, unreachable"), "{action}: {list}");
        sandbox.pm(&["why", "web"]).ok().says(&["nobody can connect to its socket"]);
        match action {
            "restart" | "reload" => drop(sandbox.pm(&[action, "web"]).ok()),
            "crash" => {
                kill(old, libc::SIGKILL);
                wait_until("there is another process", SOON, || sandbox.pid("web/0") != old);
                sandbox.wait_phase("web/0", "running");
            }
            "update" => {
                ecosystem(&sandbox, 2, "");
                sandbox.pm(&["apply"]).ok();
            }
            "next daemon" => {
                sandbox.kill_daemon();
                sandbox.pm(&["apply"]).ok();
            }
            _ => drop(sandbox.pm(&["apply"]).ok().says(&["nobody can connect to its socket"])),
        }
        let answer = ask(&socket).unwrap_or_else(|error| panic!("after {action}: {error}"));
        assert_eq!(answer.split_once(' ').unwrap().1, sandbox.pid("web/0").to_string(), "{action}");
        assert!(!sandbox.pm(&["list"]).ok().stdout.contains("unreachable"), "{action}");
        sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    }
}

#[test]
fn every_copy_gets_the_new_socket_when_one_of_them_was_replaced() {
    let (sandbox, socket) = applied("instances = 2");
    fs::remove_file(&socket).unwrap();
    sandbox.pm(&["restart", "web/0"]).ok();
    let list = sandbox.pm(&["list", "--json"]).ok().json();
    let rows = list["apps"].as_array().unwrap();
    let unreachable: Vec<bool> = rows.iter().map(|row| row["is_unreachable"] == true).collect();
    assert_eq!(unreachable, [false, true], "{list:#}");
    let first = sandbox.pid("web/0");
    sandbox.pm(&["apply"]).ok().says(&["roll 1"]);
    assert_eq!(sandbox.pid("web/0"), first, "it had the new one already");
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn a_server_that_removes_or_shuts_its_socket_as_it_leaves_is_reached_after_a_restart() {
    for leaves in ["unlink", "shutdown"] {
        let (sandbox, socket) = applied("");
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"web\"\nscript = \"{}\"\nlisten = [\"unix:web.sock\"]\nready.log = \"^up$\"\n\
             env = {{ LEAVES = \"{leaves}\" }}\nupdate.strategy = \"restart\"\n",
            fixture("listens_plainly.py")
        ));
        sandbox.pm(&["apply"]).ok();
        for _ in 0..2 {
            sandbox.pm(&["restart", "web"]).ok();
            let answer = ask(&socket).unwrap_or_else(|error| panic!("{leaves}: {error}"));
            assert!(answer.ends_with(&sandbox.pid("web/0").to_string()), "{leaves}");
        }
    }
}

#[test]
fn what_somebody_else_put_in_its_place_is_left_alone() {
    for other in ["file", "socket", "link", "folder"] {
        let (sandbox, socket) = applied("");
        fs::remove_file(&socket).unwrap();
        let elsewhere = sandbox.path("elsewhere.sock");
        let _listener = UnixListener::bind(if other == "socket" { &socket } else { &elsewhere }).unwrap();
        match other {
            "file" => fs::write(&socket, "mine").unwrap(),
            "link" => std::os::unix::fs::symlink(&elsewhere, &socket).unwrap(),
            "folder" => fs::create_dir(&socket).unwrap(),
            _ => {}
        }
        let before = fs::symlink_metadata(&socket).unwrap().ino();
        assert!(sandbox.pm(&["list"]).ok().stdout.contains("unreachable"), "{other}");
        sandbox.pm(&["reload", "web"]).code(6).says(&["cannot listen on", "use another path"]);
        assert_eq!(fs::symlink_metadata(&socket).unwrap().ino(), before, "{other} is as it was");
        if other == "folder" { fs::remove_dir(&socket) } else { fs::remove_file(&socket) }.unwrap();
        sandbox.pm(&["apply"]).ok();
        assert!(ask(&socket).is_ok(), "{other}");
    }
}

#[test]
fn the_folder_of_a_socket_may_be_replaced() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"web\"\nscript = \"{}\"\nlisten = [\"unix:run/web.sock\"]\nready.log = \"^up$\"\n",
        fixture("listens_plainly.py")
    ));
    sandbox.pm(&["apply"]).ok();
    fs::rename(sandbox.path("run"), sandbox.path("old")).unwrap();
    assert!(sandbox.pm(&["list"]).ok().stdout.contains("unreachable"));
    fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.pm(&["apply"]).ok();
    assert!(ask(&sandbox.path("run/web.sock")).is_ok());
}

#[test]
fn the_mode_of_a_socket_is_what_the_file_says() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("web.sock");
    let mode = || fs::metadata(&socket).unwrap().permissions().mode() & 0o7777;
    for (line, expected) in [("", 0o660), ("socket_mode = \"0600\"", 0o600), ("socket_mode = \"0666\"", 0o666)] {
        ecosystem(&sandbox, 1, line);
        sandbox.pm(&["apply"]).ok();
        assert_eq!(mode(), expected, "{line}");
        assert!(ask(&socket).is_ok());
    }
}

/// As root, `nobody` stands for the user of an app; for anybody else, themselves: the file always belongs to the app.
#[test]
fn a_socket_belongs_to_the_user_and_group_of_its_app() {
    let sandbox = Sandbox::new();
    let us = fs::metadata(sandbox.path("")).unwrap();
    let is_root = us.uid() == 0;
    let socket = sandbox.path("web.sock");
    let owner = || fs::metadata(&socket).map(|found| (found.uid(), found.gid())).unwrap();
    let app = |lines: &str| {
        // It need not be able to read the sandbox.
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\ncwd = \"/\"\nlisten = [\"unix:web.sock\"]\n{lines}\n"
        ));
        sandbox.pm(&["apply"]).ok();
    };
    let (user, group) = if is_root { (65534, 65534) } else { (us.uid(), us.gid()) };
    app(&format!("user = {user}\ngroup = {group}"));
    assert_eq!(owner(), (user, group));
    if is_root {
        app("user = 65534\ngroup = 65534\nsocket_group = 12345");
        assert_eq!(owner(), (65534, 12345));
        app("socket_user = 23456");
        assert_eq!(owner().0, 23456);
    }
    app(&format!("socket_user = {}\nsocket_group = {}", us.uid(), us.gid()));
    assert_eq!(owner(), (us.uid(), us.gid()));
}

#[test]
fn a_process_finds_its_socket_as_the_first_one_did() {
    let (sandbox, socket) = applied("");
    // Old before new: in a rolling update the old process has the socket, too, and what it has set must stay.
    let in_place = |env: &str| {
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"web\"\nscript = \"{}\"\nlisten = [\"unix:web.sock\"]\nready.log = \"^up$\"\n\
             env = {{ {env} }}\nupdate.strategy = \"restart\"\n",
            fixture("listens_plainly.py")
        ));
        sandbox.pm(&["apply"]).ok();
    };
    in_place("LEAVES = \"nonblocking\"");
    sandbox.pm(&["restart", "web"]).ok();
    kill(sandbox.pid("web/0"), libc::SIGKILL);
    wait_until("the third one is up", SOON, || {
        String::from_utf8_lossy(&sandbox.log_text("web", "out", 0)).matches("up\n").count() == 4
    });
    let said = String::from_utf8_lossy(&sandbox.log_text("web", "out", 0)).into_owned();
    assert_eq!(said, "blocking\nup\n".repeat(4), "each of them found it blocking");
    in_place("VERSION = \"7\"");
    assert!(ask(&socket).unwrap().starts_with('7'), "a plain accept waits");
}
