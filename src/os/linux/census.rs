//! A look at processes that no list names: who is their parent, what mark do they carry, where does their output go.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::pipe::{OUTPUT_MODE, as_user};
use super::proc::{ENVIRON_BYTES_MAX, ProcStat, children_of, own_pid, pids, proc_stat};
use crate::os::this_process::{cpu_count, user_id};

/// What a process shows of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Number, parent, session, start.
    pub stat: ProcStat,
    /// The value of `PM_ID` that it was started with.
    pub mark: Option<String>,
    /// It was started with `PM_HOME` of this home.
    pub is_of_home: bool,
}

impl Seen {
    /// A start that has not executed its program yet: it still is a copy of the daemon that began it, which is dead.
    pub fn is_half_started(&self) -> bool {
        let pid = self.stat.pid;
        let is_leader = self.stat.session == pid && pid != own_pid();
        let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        is_leader && self.is_of_home && is_another_daemon(pid) && threads() == 1
    }
}

/// Whether a process executes our own program.
pub fn is_our_program(pid: u32) -> bool {
    static OURS: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let ours = OURS.get_or_init(|| program_of("self"));
    ours.is_some() && program_of(&pid.to_string()) == *ours
}

/// Whether a process was started as this one was: by an anchor, as its daemon.
pub fn is_another_daemon(pid: u32) -> bool {
    let words = |pid: u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid != own_pid() && is_our_program(pid) && words(pid) == words(own_pid())
}

/// The children of `parent`, but those that `known` names and those that have ended.
#[expect(clippy::implicit_hasher, reason = "there is one caller, with the usual set")]
pub fn unknown_children(parent: u32, home: &Path, known: &HashSet<u32>) -> Vec<Seen> {
    let pids = children_of(parent).into_iter().filter(|pid| !known.contains(pid));
    children_among(pids, parent, home)
}

/// The children of `parent` that live in one of these sessions or write into one of these pipes.
#[expect(clippy::implicit_hasher, reason = "there is one caller, with the usual set")]
pub fn linked_children(
    parent: u32,
    home: &Path,
    known: &HashSet<u32>,
    sessions: &HashSet<u32>,
    outputs: &HashSet<u64>,
) -> Vec<Seen> {
    let speaks = |pid| outputs_of(pid).iter().any(|pipe| *pipe != 0 && outputs.contains(pipe));
    let is_linked = |pid: &u32| !known.contains(pid) && (sessions.contains(&session_of(*pid)) || speaks(*pid));
    let pids = children_of(parent).into_iter().filter(is_linked);
    children_among(pids, parent, home)
}

fn children_among(pids: impl Iterator<Item = u32>, parent: u32, home: &Path) -> Vec<Seen> {
    let (home_variable, mut buffer) = (home_variable(home), Vec::new());
    pids.filter_map(|pid| look_at(pid, &home_variable, &mut buffer)).filter(|seen| seen.stat.ppid == parent).collect()
}

/// Every process of the machine whose mark begins with `prefix`, and those that were started with this home and have
/// no mark; but not those that `known` names.
///
/// One look costs some 20 microseconds per process of this home and half of that for any other, of which the kernel takes
/// nearly all; several threads share it. It is for when one of ours has died.
#[expect(clippy::implicit_hasher, reason = "there is one caller, with the usual set")]
pub fn processes_of_home(prefix: &str, home: &Path, known: &HashSet<u32>) -> Vec<Seen> {
    let mark = [b"PM_ID=", prefix.as_bytes()].concat();
    let home_variable = home_variable(home);
    let look = |pid: u32, buffer: &mut Vec<u8>| {
        let text = read_environment(pid, buffer);
        let is_of_interest = contains(text, &mark) || contains(text, &home_variable);
        if is_of_interest { see(pid, &home_variable, text) } else { None }
    };
    let pids: Vec<u32> = pids().filter(|pid| !known.contains(pid)).collect();
    shared_among_threads(&pids, &look)
}

/// Those of these processes that live.
pub fn living(pids: &[u32]) -> Vec<ProcStat> {
    shared_among_threads(pids, &|pid, _| proc_stat(pid).ok().filter(|stat| !stat.is_zombie))
}

/// What `look` finds at each of these; `buffer` is for the environment of one after the other. Each thread takes a few at a
/// time: some processes take longer than others.
fn shared_among_threads<T: Send>(pids: &[u32], look: &(impl Fn(u32, &mut Vec<u8>) -> Option<T> + Sync)) -> Vec<T> {
    let shares: Vec<&[u32]> = pids.chunks(SHARE).collect();
    let next = AtomicUsize::new(0);
    let look_at_shares = || {
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(share.iter().filter_map(|pid| look(*pid, &mut buffer)));
        }
        found
    };
    let helpers = cpu_count().min(LOOKERS_MAX).min(shares.len()).saturating_sub(1);
    std::thread::scope(|scope| {
        // Where no thread can be had, this one does all of it.
        let begin = || std::thread::Builder::new().spawn_scoped(scope, look_at_shares).ok();
        let threads: Vec<_> = (0..helpers).filter_map(|_| begin()).collect();
        let mut found = look_at_shares();
        for thread in threads {
            // What one thread has missed would be taken for gone.
            found.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

/// `None`: it has ended.
fn look_at(pid: u32, home_variable: &[u8], buffer: &mut Vec<u8>) -> Option<Seen> {
    let text = read_environment(pid, buffer);
    see(pid, home_variable, text)
}

/// The process whose environment this is.
fn see(pid: u32, home_variable: &[u8], text: &[u8]) -> Option<Seen> {
    let words = || text.split(|byte| *byte == 0);
    let is_of_home = words().any(|word| word == home_variable);
    let mark = words().find_map(|word| word.strip_prefix(b"PM_ID="));
    let mark = mark.and_then(|mark| String::from_utf8(mark.to_vec()).ok());
    // Last of all: what was read before belongs to the process that has this start time.
    let stat = proc_stat(pid).ok().filter(|stat| !stat.is_zombie)?;
    Some(Seen { stat, mark, is_of_home })
}

fn home_variable(home: &Path) -> Vec<u8> {
    [b"PM_HOME=", home.as_os_str().as_bytes()].concat()
}

/// Device and inode of the program that a process executes.
fn program_of(pid: &str) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/exe")).ok().map(|found| (found.dev(), found.ino()))
}

/// The inode numbers of standard output and standard error of a process, where these are pipes of ours; 0 = something
/// else.
pub fn outputs_of(pid: u32) -> [u64; 2] {
    [1, 2].map(|number| output_of(pid, number).unwrap_or(0))
}

/// The pipe behind one of the outputs of a process, if it was made by [`super::output_pipe`]: its mode says so.
fn output_of(pid: u32, number: u32) -> Option<u64> {
    let found = as_its_user(pid, || fs::metadata(format!("/proc/{pid}/fd/{number}"))).ok()?;
    let is_ours = found.file_type().is_fifo() && found.permissions().mode() & 0o777 == OUTPUT_MODE;
    is_ours.then(|| found.ino())
}

/// Threads of one look.
const LOOKERS_MAX: usize = 4;
/// So many processes a thread takes at a time.
const SHARE: usize = 32;

/// As much as most environments have: one call reads it whole.
const READ_BYTES: usize = 32 << 10;

/// How often a process is asked again that executes a program at this very moment: until that is done it shows nothing.
const EXECUTION_LOOKS: usize = 50;
/// How long is waited before each of these.
const EXECUTION_WAIT: Duration = Duration::from_millis(1);

/// Empty, if it cannot be read.
fn read_environment(pid: u32, buffer: &mut Vec<u8>) -> &[u8] {
    let mut length = read_environment_once(pid, buffer);
    for _ in 0..EXECUTION_LOOKS {
        if length > 0 || program_of(&pid.to_string()).is_none() {
            break;
        }
        let is_executing = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty());
        if is_executing {
            std::thread::sleep(EXECUTION_WAIT);
        }
        // In any case once more: perhaps it was done between the two looks.
        length = read_environment_once(pid, buffer);
        if !is_executing {
            break;
        }
    }
    &buffer[..length]
}

/// How many bytes of `buffer` it fills. Each call costs the kernel a walk through the memory of the process, so there are
/// few; the buffer grows with the longest environment and stays.
fn read_environment_once(pid: u32, buffer: &mut Vec<u8>) -> usize {
    let Ok(mut file) = as_its_user(pid, || fs::File::open(format!("/proc/{pid}/environ"))) else { return 0 };
    let mut length = 0;
    loop {
        if buffer.len() < length + READ_BYTES {
            buffer.resize(length + READ_BYTES, 0);
        }
        let room = buffer.len() - length;
        // What was read before an error counts: the process has ended.
        let read = file.read(&mut buffer[length..]).unwrap_or(0);
        length += read;
        if read < room || length >= ENVIRON_BYTES_MAX {
            return length;
        }
    }
}

/// By the C library, which looks at many bytes at once.
fn contains(text: &[u8], part: &[u8]) -> bool {
    // SAFETY: both are readable for their lengths.
    let found = unsafe { libc::memmem(text.as_ptr().cast(), text.len(), part.as_ptr().cast(), part.len()) };
    !found.is_null()
}

/// Root may look into processes of other users only with a capability that containers do not have; they may themselves.
fn as_its_user<T>(pid: u32, look: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match look() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && user_id() == 0 => {
            let owner = fs::metadata(Path::new("/proc").join(OsStr::new(&pid.to_string())))?;
            as_user(owner.uid(), owner.gid(), look)
        }
        found => found,
    }
}

/// 0: there is none, or its leader lives outside of this container: nothing follows from it.
fn session_of(pid: u32) -> u32 {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return 0 };
    // SAFETY: no pointers are passed.
    u32::try_from(unsafe { libc::getsid(pid) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::os::linux::pipe::{another_end, output_pipe, pipe_inode};

    fn start(mark: &str, home: &str, out: Stdio) -> Child {
        Command::new("sleep").arg("1000").env("PM_ID", mark).env("PM_HOME", home).stdout(out).spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn one_look_finds_what_carries_a_mark_and_says_where_its_output_goes() {
        let pipe = output_pipe().unwrap();
        let home = format!("/nowhere/{}", own_pid());
        let ours = start("census-a.1.2", &home, another_end(pipe.as_fd()).unwrap().into());
        let other = start("census-b.1.2", "/elsewhere", Stdio::piped());
        let found = loop {
            // Until the child has executed its program.
            let found = processes_of_home("census-a.", Path::new(&home), &HashSet::new());
            if found.first().is_some_and(|seen| outputs_of(seen.stat.pid)[0] != 0 && !is_our_program(seen.stat.pid)) {
                break found;
            }
        };
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].stat.pid, found[0].mark.as_deref()), (ours.id(), Some("census-a.1.2")));
        assert_eq!(outputs_of(ours.id())[0], pipe_inode(pipe.as_fd()).unwrap());
        assert!(found[0].is_of_home && !found[0].is_half_started());
        let children = unknown_children(own_pid(), Path::new(&home), &HashSet::from([ours.id()]));
        let stranger = children.iter().find(|seen| seen.stat.pid == other.id()).unwrap();
        assert_eq!((outputs_of(other.id()), stranger.is_of_home), ([0; 2], false), "a pipe of its own is not ours");
        assert!(children.iter().all(|seen| seen.stat.pid != ours.id()), "it is known");
        end(ours);
        end(other);
    }
}
