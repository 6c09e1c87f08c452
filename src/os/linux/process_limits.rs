//! All limits of a process as the kernel has them: those that children of ours get, and taking on those of an app.

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::{fs, io, ptr};

use super::spawn::{child_oom_score, child_open_files};
use crate::model::{Limits, ProcessLimits, ResourceLimit};

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

/// What a child of ours with these limits has.
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
    fn limits_that_we_have_already_are_taken_on_without_a_word() {
        assert_eq!(take_limits_on(&own_limits().unwrap()).unwrap(), Vec::<String>::new());
    }
}
