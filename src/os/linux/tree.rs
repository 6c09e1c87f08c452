//! Processes that stopped or stopping instances have left running.

use std::collections::BTreeMap;

use super::pidfd::PidFd;
use super::proc::{ProcStat, children_of, pids, proc_stat};

/// Processes that one sweep looks at; a fork storm beyond that is met by the next sweep.
const PROCESSES_MAX: usize = 100_000;

/// A process that belongs to a row of the table and is not its main process.
#[derive(Debug)]
pub struct Leftover {
    /// The row.
    pub row: u32,
    /// Its process group.
    pub group: u32,
    /// The process itself: signal it through this.
    pub process: PidFd,
}

/// Opens processes that were found to belong to rows, with everything below them.
///
/// Guarantees: each answer was opened first and looked at afterwards, so no reused number can be among them.
/// Caveat: a process that hops faster than the look walks may be missed; look until two answers are empty.
pub fn open_leftovers(roots: &[(u32, ProcStat)]) -> Vec<Leftover> {
    let mut found = Vec::new();
    for (row, stat) in roots {
        if let Ok(process) = PidFd::open_verified(stat.pid, stat.start_ticks) {
            found.push(Leftover { row: *row, group: stat.pgrp, process });
        }
    }
    below(roots.iter().map(|(row, stat)| (*row, stat.pid)).collect(), &mut found);
    found
}

/// Every process of the machine by its session. A session keeps its number for as long as one of its processes lives,
/// also when the first one, which has the same number, is gone.
pub fn sessions() -> BTreeMap<u32, Vec<u32>> {
    let mut sessions: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for stat in pids().filter_map(|pid| proc_stat(pid).ok()).filter(|stat| !stat.is_zombie) {
        sessions.entry(stat.session).or_default().push(stat.pid);
    }
    sessions
}

/// Everything below a living process of `row`, wherever it put itself (another group, another session).
pub fn descendants(row: u32, pid: u32) -> Vec<Leftover> {
    let mut found = Vec::new();
    below(vec![(row, pid)], &mut found);
    found
}

fn below(mut open: Vec<(u32, u32)>, found: &mut Vec<Leftover>) {
    let mut seen = 0;
    while let Some((row, parent)) = open.pop() {
        for pid in children_of(parent) {
            seen += 1;
            if seen > PROCESSES_MAX {
                return;
            }
            let Some((process, stat)) = opened_child(pid, parent) else { continue };
            if !stat.is_zombie {
                open.push((row, pid));
                found.push(Leftover { row, group: stat.pgrp, process });
            }
        }
    }
}

/// Opens a process and then makes sure that it is the child which was listed.
fn opened_child(pid: u32, parent: u32) -> Option<(PidFd, ProcStat)> {
    let process = PidFd::open(pid).ok()?;
    let stat = proc_stat(pid).ok()?;
    // Reaped and reused between the two: the descriptor would be of the former, the text of the latter.
    (stat.ppid == parent && (stat.is_zombie || !process.has_exited())).then_some((process, stat))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::os::linux::census::unknown_children;
    use crate::os::linux::reaper::{become_subreaper, reap};

    /// Starts `script` in a session of its own with this cookie, and returns the pid of the shell.
    fn start(script: &str, cookie: &str) -> std::process::Child {
        let child =
            Command::new("setsid").args(["sh", "-c", script]).env("PM_ID", cookie).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut ready = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        child
    }

    fn end(leftovers: Vec<Leftover>) {
        for leftover in leftovers {
            leftover.process.signal(libc::SIGKILL).unwrap();
            while !leftover.process.has_exited() {
                std::thread::yield_now();
            }
            let _not_ours = reap(leftover.process.pid());
        }
    }

    fn sweep(cookie: &str) -> Vec<Leftover> {
        let seen = unknown_children(std::process::id(), Path::new("/"), &HashSet::new());
        let roots: Vec<_> =
            seen.iter().filter(|seen| seen.mark.as_deref() == Some(cookie)).map(|seen| (7, seen.stat)).collect();
        open_leftovers(&roots)
    }

    #[test]
    fn a_process_that_ran_away_with_a_session_of_its_own_is_found_by_its_cookie() {
        become_subreaper().unwrap();
        let mut main = start("setsid sh -c 'sleep 1000 & echo; wait' & wait $!; exit", "tree.1");
        let escaped = descendants(7, main.id());
        assert_eq!(escaped.len(), 2, "below the living main process: sh and sleep, but not the main process");
        main.kill().unwrap();
        main.wait().unwrap();
        let left = sweep("tree.1");
        assert_eq!(left.iter().map(|leftover| leftover.row).collect::<Vec<_>>(), [7, 7]);
        end(left);
        assert!(sweep("tree.1").is_empty(), "nothing is left, and the dead do not count");
    }

    #[test]
    fn strangers_are_never_in_a_sweep() {
        become_subreaper().unwrap();
        let mut stranger = start("echo; exec sleep 1000", "tree.2");
        assert!(sweep("tree.3").is_empty());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
