//! The anchor as a separate process, with shell scripts in place of the daemon.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use super::link::{FIXED_END, LISTENER, LOCK, RESERVED, TABLE};
use super::run::live;
use super::*;
use crate::model::{Exit, Millis};
use crate::os::{self, DaemonLauncher, Home};

/// A running anchor in a home of its own; ended with everything below it when dropped.
struct Running {
    folder: tempfile::TempDir,
    pid: u32,
    word: String,
}

/// Waits for something that must come true.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = os::now().after(Millis(20_000));
    while !is_so() {
        assert!(os::now() < give_up, "waited in vain: {what}");
        os::pause(Millis(1));
    }
}

/// Starts an anchor whose daemon is `script`, and waits for its word.
fn anchor(script: &str) -> Running {
    anchor_in(tempfile::tempdir().unwrap(), script)
}

fn anchor_in(folder: tempfile::TempDir, script: &str) -> Running {
    let home = Home::at(folder.path());
    let words = ["sh", "-c", script].map(|word| CString::new(word).unwrap()).to_vec();
    let variable = CString::new([b"H=", folder.path().as_os_str().as_bytes()].concat()).unwrap();
    let launcher = DaemonLauncher::new(c"/bin/sh".to_owned(), words, vec![variable, c"PATH=/usr/bin:/bin".to_owned()]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child calls nothing that another thread of ours could have left locked but the allocator, which
    // glibc keeps usable; it first closes what it inherited from tests that run beside this one.
    let pid = unsafe {
        match libc::fork() {
            0 => {
                libc::dup2(writer.as_raw_fd(), 3);
                libc::syscall(libc::SYS_close_range, 4, libc::c_int::MAX, 0);
                libc::_exit(i32::from(live(&home, Some(3), Ok(launcher))));
            }
            pid => u32::try_from(pid).unwrap(),
        }
    };
    drop(writer);
    let mut word = String::new();
    reader.read_to_string(&mut word).unwrap();
    Running { folder, pid, word }
}

impl Running {
    fn home(&self) -> Home {
        Home::at(self.folder.path())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The anchor's table, as a daemon would have it.
    fn table(&self) -> Table {
        let path = format!("/proc/{}/fd/4", self.pid);
        Table::inherit(File::options().read(true).write(true).open(path).unwrap().into()).unwrap()
    }

    fn daemon_pid(&self) -> u32 {
        let mut pid = 0;
        until("a daemon", || {
            pid = self.table().header().daemon_pid.load(std::sync::atomic::Ordering::Acquire);
            pid != 0
        });
        u32::try_from(pid).unwrap()
    }

    fn exit_code(&self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        unsafe { libc::waitpid(self.pid.cast_signed(), &raw mut status, 0) };
        libc::WEXITSTATUS(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for pid in os::children_of(self.pid).into_iter().chain([self.pid]) {
            let _gone = os::signal_child(pid, libc::SIGKILL);
        }
        let _reaped = os::reap(self.pid);
    }
}

fn kill(pid: u32) {
    os::signal_child(pid, libc::SIGKILL).unwrap();
}

#[test]
fn a_killed_daemon_is_back_with_the_same_inheritance() {
    let running = anchor("(ls -l /proc/$$/fd > $H/list); mv $H/list $H/$$; exec sleep 1000");
    assert_eq!(running.word, "ok\n");
    // Were the place of the socket empty, the next descriptor that is held would get it.
    assert_eq!(fs::read_link(format!("/proc/{}/fd/3", running.pid)).unwrap(), std::path::Path::new("/dev/null"));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let pid = running.daemon_pid();
        until("its list", || !running.read(&pid.to_string()).is_empty());
        let list = running.read(&pid.to_string());
        let target = |line: &str| {
            let (left, target) = line.split_once(" -> ")?;
            Some((left.rsplit(' ').next()?.parse::<i32>().ok()?, target.to_owned()))
        };
        let inherited: BTreeMap<i32, String> = list.lines().filter_map(target).collect();
        assert!(inherited.keys().copied().eq(0..FIXED_END), "{inherited:?}");
        assert!(inherited[&TABLE].contains("memfd:pm-table") && inherited[&LISTENER].contains("socket:"));
        assert!(
            (RESERVED..FIXED_END).all(|number| inherited[&number] == "/dev/null"),
            "reserved numbers are free: {inherited:?}"
        );
        seen.push((inherited[&TABLE].clone(), inherited[&LISTENER].clone(), inherited[&LOCK].clone()));
        kill(pid);
        until("another daemon", || running.daemon_pid() != pid);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the very same descriptors");
    assert!(running.table().daemon_starts() >= 4);
    assert!(running.read("logs/daemon.log").contains("the daemon ended with signal SIGKILL; restarting it"));
}

#[test]
fn a_daemon_that_leaves_takes_the_anchor_and_the_socket_along() {
    let running = anchor("read x < $H/gate");
    let gate = running.folder.path().join("gate");
    assert!(os::connect(&running.home().socket()).is_ok(), "clients queue before the daemon accepts");
    // The daemon dies for want of a gate and is started again, ever more slowly; then there is one.
    until("restarts", || running.table().daemon_starts() > 2);
    fs::write(&gate, "x\n").unwrap();
    assert_eq!(running.exit_code(), 0);
    assert!(!running.home().socket().exists());
}

#[test]
fn there_is_only_one_anchor_in_a_home() {
    let first = anchor("exec sleep 1000");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    drop(folder);
    std::os::unix::fs::symlink(first.folder.path(), &path).unwrap();
    let second = anchor_in_existing(&path);
    assert_eq!((second.0.as_str(), second.1), ("held\n", i32::from(ALREADY_RUNNING)));
    fs::remove_file(&path).unwrap();
    assert!(os::connect(&first.home().socket()).is_ok(), "the first one was not disturbed");
}

/// Another anchor in a home that has one: its word and exit code.
fn anchor_in_existing(path: &std::path::Path) -> (String, i32) {
    let home = Home::at(path);
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: as in `anchor_in`.
    let pid = unsafe {
        match libc::fork() {
            0 => {
                libc::dup2(writer.as_raw_fd(), 3);
                libc::syscall(libc::SYS_close_range, 4, libc::c_int::MAX, 0);
                let launcher = DaemonLauncher::new(c"/bin/true".to_owned(), vec![c"true".to_owned()], vec![]);
                libc::_exit(i32::from(live(&home, Some(3), Ok(launcher))));
            }
            pid => pid,
        }
    };
    drop(writer);
    let mut word = String::new();
    reader.read_to_string(&mut word).unwrap();
    let mut status = 0;
    // SAFETY: a child of ours, waited for once.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    (word, libc::WEXITSTATUS(status))
}

#[test]
fn an_exit_is_in_the_table_although_no_daemon_was_there_to_see_it() {
    let script = "mkfifo $H/gate; sh -c 'echo $$ > $H/app; read x < $H/gate; exit 7' & exec sleep 1000";
    let running = anchor(script);
    until("the app", || running.read("app").ends_with('\n'));
    let app: u32 = running.read("app").trim().parse().unwrap();
    let table = running.table();
    let row = table.claim_free_row().unwrap();
    row.set_record(&Record::default());
    row.begin(1, os::now()).unwrap();
    row.mailbox().pid.store(app.cast_signed(), std::sync::atomic::Ordering::Release);
    kill(running.daemon_pid());
    until("adoption", || os::proc_stat(app).is_ok_and(|stat| stat.ppid == running.pid));
    fs::write(running.folder.path().join("gate"), "x\n").unwrap();
    until("the exit", || row.state() == RowState::Exited);
    assert_eq!((row.exit().unwrap().0, row.incarnation()), (Exit::Code(7), 1));
    until("reaping", || os::proc_stat(app).is_err());
}

#[test]
fn told_to_end_the_anchor_passes_it_on_and_the_daemon_cannot_miss_it() {
    let running = anchor("exec sleep 1000");
    let daemon = running.daemon_pid();
    os::signal_child(running.pid, libc::SIGTERM).unwrap();
    // It waits in the daemon, who has not asked for it yet.
    until("the signal", || {
        let status = fs::read_to_string(format!("/proc/{daemon}/status")).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t"));
        pending.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap_or(0) & 1 << (libc::SIGTERM - 1) != 0)
    });
    assert!(os::proc_stat(daemon).is_ok_and(|stat| !stat.is_zombie));
}

#[test]
fn a_home_that_cannot_be_used_is_told_to_the_starter() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run"), "a file in the place of a folder").unwrap();
    let running = anchor_in(folder, "exit 0");
    assert!(running.word.starts_with("cannot use folder `/"), "{}", running.word);
    assert_eq!(running.exit_code(), 1);
}

#[test]
fn a_daemon_that_says_nothing_before_it_ends_is_told_of_by_its_exit_and_the_anchor_does_not_stay_for_it() {
    let running = anchor("exit 3");
    let mut caller = os::connect(&running.home().socket()).unwrap();
    std::io::Write::write_all(&mut caller, b"GET /v1/list HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("pm-anchor: failed\r\n"), "{answer}");
    assert!(answer.contains("it ended with exit code 3; see `/") && answer.contains("daemon.log"), "{answer}");
    assert_eq!(running.exit_code(), 0);
    assert!(!running.home().socket().exists());
}
