//! Information about processes from `/proc`.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use crate::model::{Bytes, Exit, Millis, Moment};

use super::pidfd::exit_of;

/// Longest environment that is searched for a cookie; the kernel itself allows more only by raised limits.
pub(super) const ENVIRON_BYTES_MAX: usize = 4 << 20;

/// The part of `/proc/PID/stat` that identity and trees are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcStat {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub ppid: u32,
    /// Its process group.
    pub pgrp: u32,
    /// Its session.
    pub session: u32,
    /// When it was started, in clock ticks since boot. Together with the pid and the boot: an identity.
    pub start_ticks: u64,
    /// It has ended and waits to be reaped.
    pub is_zombie: bool,
    /// A signal has suspended it.
    pub is_suspended: bool,
    /// The wait status of a zombie; 0 also where we may not know it.
    status: i32,
}

/// Looks a process up.
///
/// # Errors
/// `ENOENT` or `ESRCH`: there is none.
pub fn proc_stat(pid: u32) -> io::Result<ProcStat> {
    let mut buffer = [0; 1024];
    let length = fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut buffer)?;
    parse_stat(&buffer[..length]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// How a process has ended that was started at `start_ticks` and waits to be reaped by somebody else. `None`: it is no
/// such process (any more), or it is none of our business.
pub fn exit_of_zombie(pid: u32, start_ticks: u64) -> Option<Exit> {
    let stat = proc_stat(pid).ok().filter(|stat| stat.is_zombie && stat.start_ticks == start_ticks)?;
    // The kernel says 0 to those who may not know; who may read this file may know.
    let may_know = || fs::read(format!("/proc/{pid}/io")).is_ok();
    (stat.status != 0 || may_know()).then(|| exit_of(stat.status))
}

/// When a process was started that came to be at `earliest` or later ([`ticks_now`], read before it was created). Nobody
/// needs to be asked if that is still now.
///
/// # Errors
/// `ENOENT` or `ESRCH`: there is none any more.
pub fn start_ticks(pid: u32, earliest: u64) -> io::Result<u64> {
    if ticks_now() == earliest { Ok(earliest) } else { Ok(proc_stat(pid)?.start_ticks) }
}

/// Clock ticks since boot. The kernel notes this as the start time of a process that is created now.
pub fn ticks_now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * ticks_per_second() + nanoseconds / (1_000_000_000 / ticks_per_second())
}

/// A start time in clock ticks since boot as a moment, rounded down.
pub fn moment_of_ticks(ticks: u64) -> Moment {
    Moment(ticks.saturating_mul(1000) / ticks_per_second())
}

fn ticks_per_second() -> u64 {
    // SAFETY: no pointers are passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// The name stands in parentheses and may itself hold spaces and parentheses: the last `)` ends it.
fn parse_stat(text: &[u8]) -> Option<ProcStat> {
    let text = String::from_utf8_lossy(text);
    let (pid, rest) = text.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let small = |index: usize| number(index).and_then(|value| u32::try_from(value).ok());
    Some(ProcStat {
        pid: pid.parse().ok()?,
        ppid: small(1)?,
        pgrp: small(2)?,
        session: small(3)?,
        start_ticks: number(19)?,
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        is_suspended: fields.first() == Some(&"T"),
        status: small(49).and_then(|status| i32::try_from(status).ok()).unwrap_or(0),
    })
}

/// The value of `PM_ID` that the process was started with.
pub fn cookie_of(pid: u32) -> Option<String> {
    let [cookie] = variables_of(pid, ["PM_ID"]);
    cookie
}

/// Variables that the process was started with; `None` for those that it has not, or may not be read. A process can
/// overwrite them: what must be true needs a proof.
pub fn variables_of<const COUNT: usize>(pid: u32, names: [&str; COUNT]) -> [Option<String>; COUNT] {
    // As much as most have: few reads.
    let mut text = Vec::with_capacity(8 << 10);
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) {
        // What was read before an error counts for nothing: the process has ended.
        let _ = file.take(ENVIRON_BYTES_MAX as u64).read_to_end(&mut text);
    }
    names.map(|name| {
        let is_it = |variable: &[u8]| Some(variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
        text.split(|byte| *byte == 0).find_map(is_it).and_then(|value| String::from_utf8(value).ok())
    })
}

/// The children of all threads of a process; one scan of `/proc` where the kernel keeps no list.
pub fn children_of(pid: u32) -> Vec<u32> {
    let threads = format!("/proc/{pid}/task");
    let mut children = Vec::new();
    // Nearly every process has one thread only, and its folder says so without being read.
    if fs::metadata(&threads).is_ok_and(|folder| folder.nlink() == LINKS_OF_FOLDER + 1)
        && read_children(&format!("{threads}/{pid}/children"), &mut children).is_ok()
    {
        return children;
    }
    for thread in fs::read_dir(&threads).into_iter().flatten().flatten() {
        let thread = thread.path();
        match read_children(&format!("{}/children", thread.display()), &mut children) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && thread.exists() => {
                return pids().filter(|child| proc_stat(*child).is_ok_and(|stat| stat.ppid == pid)).collect();
            }
            Ok(()) | Err(_) => {}
        }
    }
    children
}

/// Those of a folder itself; each folder in it adds one.
const LINKS_OF_FOLDER: u64 = 2;

/// The numbers in the list of children of a thread.
fn read_children(path: &str, children: &mut Vec<u32>) -> io::Result<()> {
    let mut file = fs::File::open(path)?;
    let mut buffer = [0; 4096];
    let (mut number, mut length) = (0_u32, file.read(&mut buffer)?);
    // Every number is followed by a space; one read may end within it.
    while length > 0 {
        for byte in &buffer[..length] {
            match byte {
                b'0'..=b'9' => number = number.saturating_mul(10).saturating_add(u32::from(byte - b'0')),
                _ if number > 0 => children.push(std::mem::take(&mut number)),
                _ => {}
            }
        }
        length = file.read(&mut buffer)?;
    }
    Ok(())
}

/// Every process of the machine.
pub(super) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Names this boot of the machine. All zero where the kernel does not say.
pub fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    id
}

/// This process.
pub fn own_pid() -> u32 {
    std::process::id()
}

/// The parent of this process.
pub fn parent_pid() -> u32 {
    std::os::unix::process::parent_id()
}

/// How many processes the kernel's out-of-memory killer has ended since boot; 0 where it does not say.
pub fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Resident memory of one process.
///
/// # Errors
/// There is no such process.
pub fn memory_of(pid: u32) -> io::Result<Bytes> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    // SAFETY: no pointers are passed.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Ok(Bytes(pages * page))
}

/// Processor time that a process has used, in user and kernel mode together.
///
/// # Errors
/// There is no such process.
pub fn cpu_of(pid: u32) -> io::Result<Millis> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&text);
    let fields = text.rsplit_once(") ").map_or("", |halves| halves.1).split_ascii_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(Millis(ticks * 1000 / ticks_per_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_confuse_the_reader() {
        let text = b"42 (a) Z 1 (b) ) S 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1 18446744073709551615";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.pid, stat.ppid, stat.pgrp, stat.session, stat.start_ticks), (42, 7, 42, 43, 12345));
        assert!(!stat.is_zombie);
        assert!(parse_stat(b"42 (x").is_none());
    }

    #[test]
    fn a_process_that_nobody_has_reaped_yet_says_how_it_ended() {
        for (script, exit) in [("exit 7", Exit::Code(7)), ("exit 0", Exit::Code(0)), ("kill -9 $$", Exit::Signal(9))] {
            let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let started = proc_stat(child.id()).unwrap().start_ticks;
            while !proc_stat(child.id()).unwrap().is_zombie {
                std::thread::yield_now();
            }
            assert_eq!(exit_of_zombie(child.id(), started), Some(exit));
            assert_eq!(exit_of_zombie(child.id(), started + 1), None, "another process of that number");
            child.wait().unwrap();
            assert_eq!(exit_of_zombie(child.id(), started), None);
        }
        let me = proc_stat(std::process::id()).unwrap();
        assert_eq!(exit_of_zombie(me.pid, me.start_ticks), None, "it lives");
    }

    #[test]
    fn the_children_of_one_thread_and_of_many_are_found() {
        // More numbers than one read brings.
        const MANY: usize = 700;
        let script = format!("for i in $(seq {MANY}); do sleep 1000 & done; echo; wait");
        let start = |script: String| {
            std::thread::spawn(move || {
                let mut shell = std::process::Command::new("sh");
                let mut shell = shell.args(["-c", &script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
                shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
                shell
            })
        };
        let mut shell = start(script).join().unwrap();
        // Its thread has ended: it is the child of another one of ours now.
        assert!(children_of(own_pid()).contains(&shell.id()));
        let sleeping = children_of(shell.id());
        assert_eq!(sleeping.len(), MANY);
        for pid in sleeping {
            assert_eq!(proc_stat(pid).unwrap().ppid, shell.id());
            // SAFETY: no pointers are passed; a grandchild, whose parent has not reaped it.
            unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
        }
        shell.wait().unwrap();
        assert!(children_of(shell.id()).is_empty());
    }

    #[test]
    fn we_find_ourselves() {
        let me = std::process::id();
        let stat = proc_stat(me).unwrap();
        assert_eq!((stat.pid, stat.ppid), (me, parent_pid()));
        assert!(children_of(stat.ppid).contains(&me));
        assert!(memory_of(me).unwrap().0 > 0);
        assert_ne!(boot_id(), [0; 16]);
        assert!(proc_stat(u32::MAX >> 1).is_err());
    }
}
