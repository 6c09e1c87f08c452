//! All limits of a process as the kernel has them: those that children of this process get, and taking on those of an app.

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::{fs, io, ptr};

use super::spawn::{child_oom_score, child_open_files};
use crate::model::{ExecLimits, Limits, ProcessLimits, ResourceLimit};

/// The resources of `getrlimit(2)` by the names of `limits.conf(5)`.
fn resources() -> [(&'static str, c_long); 16] {
    [
        ("as", libc::RLIMIT_AS.into()),
        ("core", libc::RLIMIT_CORE.into()),
        ("cpu", libc::RLIMIT_CPU.into()),
        ("data", libc::RLIMIT_DATA.into()),
        ("fsize", libc::RLIMIT_FSIZE.into()),
        ("locks", libc::RLIMIT_LOCKS.into()),
        ("memlock", libc::RLIMIT_MEMLOCK.into()),
        ("msgqueue", libc::RLIMIT_MSGQUEUE.into()),
        ("nice", libc::RLIMIT_NICE.into()),
        ("nofile", libc::RLIMIT_NOFILE.into()),
        ("nproc", libc::RLIMIT_NPROC.into()),
        ("rss", libc::RLIMIT_RSS.into()),
        ("rtprio", libc::RLIMIT_RTPRIO.into()),
        ("rttime", libc::RLIMIT_RTTIME.into()),
        ("sigpending", libc::RLIMIT_SIGPENDING.into()),
        ("stack", libc::RLIMIT_STACK.into()),
    ]
}

/// The kernel's `struct rlimit64`: soft, hard; all bits set = unlimited.
type Pair = [u64; 2];

/// What a child of this process with these limits has.
///
/// # Errors
/// The kernel does not say.
pub fn limits_of_children(limits: &Limits) -> io::Result<ProcessLimits> {
    let mut own = own_limits()?;
    let mut set = |name: &str, limit: ResourceLimit| own.resources.insert(name.to_owned(), limit);
    if let Some(soft) = child_open_files() {
        let hard = prlimit(libc::RLIMIT_NOFILE.into(), None)?[1];
        set("nofile", limit_of([soft.min(hard), hard]));
    }
    for (name, value) in [("nofile", limits.nofile), ("nproc", limits.nproc)] {
        if let Some(value) = value {
            set(name, limit_of([value, value]));
        }
    }
    own.nice = limits.nice.unwrap_or(own.nice);
    own.oom_score_adj = limits.oom_score_adj.or_else(child_oom_score).unwrap_or(own.oom_score_adj);
    Ok(own)
}

/// Makes the limits of this process the wanted ones as far as the kernel allows; gives the names of the others.
pub(super) fn take_limits_on(wanted: &ProcessLimits) -> io::Result<Vec<String>> {
    let own = own_limits()?;
    let mut refused = Vec::new();
    let mut note = |name: &str, taken: io::Result<()>| {
        if taken.is_err() {
            refused.push(name.to_owned());
        }
    };
    if own.oom_score_adj != wanted.oom_score_adj {
        note("oom_score_adj", fs::write(OOM_SCORE, wanted.oom_score_adj.to_string()));
    }
    if own.nice != wanted.nice {
        // SAFETY: passes no pointers.
        note("nice", done(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, wanted.nice) }));
    }
    for (name, resource) in resources() {
        let limit = wanted.resources.get(name).filter(|limit| own.resources.get(name) != Some(limit));
        if let Some(ResourceLimit { soft, hard }) = limit {
            let pair = [soft, hard].map(|value| value.unwrap_or(u64::MAX));
            note(name, prlimit(resource, Some(&pair)).map(drop));
        }
    }
    Ok(refused)
}

/// The most open files that the kernel gives anybody.
pub fn open_files_max() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// Arguments and environment of any program, however large its stack may be.
pub const EXEC_BYTES_MAX: u64 = 6 << 20;

/// How large what a child starts with may be, `execve(2)`: 32 pages for one string; for all of them a quarter of the
/// stack, at most 6 MiB, and never less than 128 KiB.
pub fn exec_limits() -> ExecLimits {
    const LEAST: u64 = 128 << 10;
    let stack = prlimit(libc::RLIMIT_STACK.into(), None).map_or(u64::MAX, |pair| pair[0]);
    ExecLimits { string_bytes: exec_string_bytes(), total_bytes: (stack / 4).clamp(LEAST, EXEC_BYTES_MAX) }
}

/// How long one argument or variable of a child may be. Asks the kernel nothing.
pub fn exec_string_bytes() -> u64 {
    // SAFETY: passes no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    32 * u64::try_from(page).unwrap_or(4096)
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

fn own_limits() -> io::Result<ProcessLimits> {
    let mut own = BTreeMap::new();
    for (name, resource) in resources() {
        own.insert(name.to_owned(), limit_of(prlimit(resource, None)?));
    }
    // SAFETY: passes no pointers. The kernel's answer is 20 less the value, so that it is never negative.
    let priority = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    done(priority)?;
    let score = fs::read_to_string(OOM_SCORE)?.trim().parse().unwrap_or(0);
    Ok(ProcessLimits { resources: own, nice: 20 - i32::try_from(priority).unwrap_or(20), oom_score_adj: score })
}

fn limit_of(pair: Pair) -> ResourceLimit {
    let [soft, hard] = pair.map(|value| Some(value).filter(|value| *value != u64::MAX));
    ResourceLimit { soft, hard }
}

/// Sets a new limit if there is one; gives the old one.
fn prlimit(resource: c_long, new: Option<&Pair>) -> io::Result<Pair> {
    let mut old = [0; 2];
    // SAFETY: both are structures of the kernel's size, or null.
    done(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, new.map_or(ptr::null(), ptr::from_ref), &raw mut old)
    })?;
    Ok(old)
}

fn done(returned: c_long) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_limits_are_those_of_proc() {
        let text = fs::read_to_string("/proc/self/limits").unwrap();
        let own = own_limits().unwrap();
        for (line, name) in [("Max open files", "nofile"), ("Max processes", "nproc"), ("Max stack size", "stack")] {
            let line = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
            let numbers: Vec<Option<u64>> = line.split_whitespace().take(2).map(|word| word.parse().ok()).collect();
            let limit = own.resources[name];
            assert_eq!(numbers, [limit.soft, limit.hard], "{name}");
        }
    }

    #[test]
    fn a_child_has_the_declared_limits_and_ours_besides() {
        let limits = Limits { nofile: Some(100), nice: Some(7), ..Limits::default() };
        let (own, child) = (own_limits().unwrap(), limits_of_children(&limits).unwrap());
        assert_eq!(child.resources["nofile"], ResourceLimit { soft: Some(100), hard: Some(100) });
        assert_eq!((child.nice, &child.resources["stack"]), (7, &own.resources["stack"]));
    }

    #[test]
    fn the_kernel_agrees_on_how_large_is_too_large() {
        let limits = exec_limits();
        let runs = |words: &[String], env: &[(String, String)]| {
            let mut command = std::process::Command::new("/bin/true");
            match command.args(words).env_clear().envs(env.iter().cloned()).status() {
                Ok(status) => status.success(),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
                    false
                }
            }
        };
        let word = |bytes: u64| vec!["x".repeat(usize::try_from(bytes).unwrap())];
        assert!(runs(&word(limits.string_bytes - 1), &[]));
        assert!(!runs(&word(limits.string_bytes), &[]));
        let value = |bytes: u64| [("A".to_owned(), word(bytes).remove(0))];
        assert!(runs(&[], &value(limits.string_bytes - 3)));
        assert!(!runs(&[], &value(limits.string_bytes - 2)));
        let many = |bytes: u64| vec!["x".repeat(991); usize::try_from(bytes / 1000).unwrap()]; // 992 and an address
        assert!(runs(&many(limits.total_bytes - 4096), &[]));
        assert!(!runs(&many(limits.total_bytes + 1000), &[]));
    }

    #[test]
    fn limits_that_we_have_already_are_taken_on_without_a_word() {
        assert_eq!(take_limits_on(&own_limits().unwrap()).unwrap(), Vec::<String>::new());
    }
}
