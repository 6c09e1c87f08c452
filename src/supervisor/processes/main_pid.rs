//! `MAINPID=`: a process of the app's own tree becomes its main process, once it is proven to be one.

use super::Processes;
use crate::anchor::Row;
use crate::os::{self, PidFd};
use crate::rules::StartMark;
use crate::supervisor::host::token;
use crate::supervisor::world::World;

/// A process that may become the main one.
struct Candidate {
    process: PidFd,
    start_ticks: u64,
}

/// Makes the process with this number the main one of a row; the number of the one before.
///
/// # Errors
/// Why it is refused, in words.
pub(in crate::supervisor) fn succeed(processes: &mut Processes, row: u32, pid: u32) -> Result<u32, String> {
    let entry = processes.world.table.row(row).ok_or("the process table has no such entry")?;
    let before = entry.pid().unwrap_or(0);
    let Candidate { process, start_ticks } = candidate(processes, entry, pid)?;
    let hosted = processes.hosted.get_mut(&row).ok_or("the app has no process")?;
    let watch = processes.exits.add(&process, token(row, entry.incarnation()));
    watch.map_err(|error| format!("it cannot be watched: {error}"))?;
    if let Err(error) = entry.succeed(&process, start_ticks) {
        let _ = processes.exits.remove(&process);
        return Err(error.to_string());
    }
    processes.mains.insert(pid);
    if let Some(former) = hosted.main.replace(process) {
        processes.mains.remove(&former.pid());
        // Before the pidfd is closed, as ever.
        let _ = processes.exits.remove(&former);
    }
    hosted.was_seen_alive = true;
    processes.lineage.succeeded(row);
    Ok(before)
}

/// The same for a row that an earlier daemon has left, before its process is opened.
///
/// # Errors
/// Why it is refused, in words.
pub(in crate::supervisor) fn succeed_unopened(processes: &Processes, row: Row, pid: u32) -> Result<u32, String> {
    let before = row.pid().unwrap_or(0);
    let Candidate { process, start_ticks } = candidate(processes, row, pid)?;
    row.succeed(&process, start_ticks).map_err(|error| error.to_string())?;
    Ok(before)
}

/// Opened first and looked at afterwards, so that no reused number can pass.
fn candidate(processes: &Processes, row: Row, pid: u32) -> Result<Candidate, String> {
    let gone = || "no such process".to_owned();
    let process = PidFd::open(pid).map_err(|_| gone())?;
    let stat = os::proc_stat(pid).map_err(|_| gone())?;
    if stat.is_zombie || process.has_exited() {
        return Err("that process has ended".to_owned());
    }
    let is_our_own = pid == os::own_pid() || pid == processes.world.table.anchor_pid();
    if is_our_own || processes.mains.contains(&pid) || !is_of_app(&processes.world, row, pid) {
        return Err("that process does not belong to this app".to_owned());
    }
    Ok(Candidate { process, start_ticks: stat.start_ticks })
}

/// Whether a living process provably is of the app in this row: of the tree of its main process or of its first one, by the mark
/// or the session of its start, or by its control group.
pub(in crate::supervisor) fn is_of_app(world: &World, row: Row, pid: u32) -> bool {
    let (first, ticks) = row.first_process();
    let Ok(stat) = os::proc_stat(pid) else { return false };
    if first == 0 || stat.start_ticks < ticks {
        return false;
    }
    let is_below = |root: u32| os::belongs_to_tree(pid, root) == Some(true);
    let is_first_alive = PidFd::open_verified(first, ticks).is_ok();
    if row.pid().is_some_and(|main| main != first && is_below(main)) || is_first_alive && is_below(first) {
        return true;
    }
    // The first process is gone: a number alone proves nothing any more. What comes from this home is below the anchor.
    let is_ours = world.table.is_replacement() || is_below(world.table.anchor_pid());
    let has_mark = || {
        let mark = os::cookie_of(pid).and_then(|mark| mark.parse::<StartMark>().ok());
        let is_its = |mark: &StartMark| (mark.row, mark.incarnation) == (row.index(), row.incarnation());
        mark.is_some_and(|mark| {
            mark.home == world.table.home_id() && is_its(&mark) && mark.start == row.started().0 && !mark.is_helper
        })
    };
    let is_in_group = || {
        let groups = world.groups.get().and_then(|groups| groups.as_ref().ok());
        groups.is_some_and(|groups| groups.members(row.index()).iter().any(|member| member.process.pid() == pid))
    };
    is_ours && (stat.session == first || has_mark()) || is_in_group()
}
