//! The resource usage of process trees: memory and CPU time.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;

use super::proc::{children_of, cookie_of, own_pid, proc_stat};
use crate::model::{Bytes, Millis};

/// Processes of one tree that are looked at.
const TREE_MAX: usize = 10_000;

/// Memory of some processes together: the private part of each, and the largest shared part once. For a single
/// process that is exactly its resident memory; for copies of one program it does not count the program again and
/// again.
///
/// Processes that are gone count nothing.
pub fn memory_of_all(pids: &[u32]) -> Bytes {
    let (mut private, mut shared_max) = (0, 0);
    for (resident, shared) in pids.iter().filter_map(|pid| pages_of(*pid)) {
        private += resident.saturating_sub(shared);
        shared_max = shared_max.max(shared);
    }
    Bytes((private + shared_max) * page())
}

/// Processor time that some processes and the children they have reaped have used so far.
pub fn cpu_of_all(pids: &[u32]) -> Millis {
    let ticks: u64 = pids.iter().filter_map(|pid| ticks_of(*pid).ok()).sum();
    // SAFETY: no pointers are passed.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    Millis(ticks * 1000 / per_second)
}

/// The trees of some main processes, which are children of `anchor`: everything below them, and what has left them and
/// still carries their session or their cookie.
pub fn trees(anchor: u32, mains: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let mut trees: BTreeMap<u32, Vec<u32>> = mains.iter().map(|main| (*main, below(*main))).collect();
    if mains.is_empty() {
        return trees;
    }
    let known: HashSet<u32> = mains.iter().copied().chain([own_pid()]).collect();
    let orphans: Vec<u32> = children_of(anchor).into_iter().filter(|pid| !known.contains(pid)).collect();
    if orphans.is_empty() {
        return trees;
    }
    let cookies: BTreeMap<String, u32> = mains.iter().filter_map(|main| Some((cookie_of(*main)?, *main))).collect();
    for orphan in orphans {
        let session = proc_stat(orphan).ok().map(|stat| stat.session).filter(|session| known.contains(session));
        let main = session.or_else(|| cookies.get(&cookie_of(orphan)?).copied());
        if let Some(tree) = main.and_then(|main| trees.get_mut(&main)) {
            tree.extend(below(orphan));
        }
    }
    trees
}

/// A process and everything below it, itself first.
fn below(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut next = 0;
    while next < tree.len() && tree.len() < TREE_MAX {
        tree.extend(children_of(tree[next]));
        next += 1;
    }
    tree
}

/// Resident and shared pages.
fn pages_of(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut words = text.split_ascii_whitespace().skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn ticks_of(pid: u32) -> io::Result<u64> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&text);
    let fields = text.rsplit_once(") ").map_or("", |halves| halves.1).split_ascii_whitespace();
    Ok(fields.skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum())
}

fn page() -> u64 {
    // SAFETY: no pointers are passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_process_and_what_it_started() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 1000 & wait"]).spawn().unwrap();
        let main = child.id();
        let tree = loop {
            let tree = trees(own_pid(), &[main]).remove(&main).unwrap();
            if tree.len() == 2 {
                break tree;
            }
        };
        let one = memory_of_all(&[main]);
        assert!(one.0 > 0 && memory_of_all(&tree) >= one && memory_of_all(&[u32::MAX]).0 == 0);
        assert!(cpu_of_all(&[own_pid()]) >= Millis(0));
        for pid in tree {
            // SAFETY: our own child and grandchild.
            unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
        }
        child.wait().unwrap();
    }
}
