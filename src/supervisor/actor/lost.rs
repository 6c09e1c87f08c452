//! Rows that name a spec which the state does not hold: what lives in them is kept, what does not is forgotten.

use std::sync::Arc;

use super::{Instance, InstanceActor};
use crate::model::{App, Fact, InstanceId, Subject};
use crate::supervisor::host::{Record, Recovery, RowState};

/// What happens to a process whose spec was lost.
const LEFT_ALONE: &str = "it keeps running until an apply that declares its app replaces it, or `pm delete` ends it";
/// What happens to one that cannot be told from a stranger's.
const UNNAMED: &str =
    "it keeps running, and an apply may start a second process of its app; end it with `kill` before that";

/// The instance behind a living process, by what the process itself was told when it was started. `None` after
/// saying so, if it cannot be known, or is known by another row already.
pub(super) fn lost_instance<H: Recovery>(actor: &mut InstanceActor<H>, row: u32) -> Option<Instance> {
    let entry = actor.host.entry(row);
    if !matches!(entry.state, RowState::Spawning | RowState::Running) || !actor.host.is_main_alive(row) {
        forget_row(actor, row);
        return None;
    }
    let found = actor.host.identity(row).filter(|id| actor.registry.row_of(id).is_none());
    let pid = entry.pid.unwrap_or(0);
    let about = found.clone().map_or(Subject::Daemon, Subject::Instance);
    let message = match &found {
        Some(_) => format!("the spec of process {pid} was lost: {LEFT_ALONE}"),
        None => format!("the spec of process {pid} was lost, and its environment does not name its app: {UNNAMED}"),
    };
    actor.host.tell(about, Fact::Trouble { message });
    // The digests in the row stay: a state that is put back later may know them.
    let spec = |id: InstanceId| Arc::new(App::with_lost_spec(id.app));
    found.map(|id| Instance::recovered(&actor.host.record(row), entry.incarnation, spec(id), Arc::default()))
}

/// Nothing lives in it and nothing of it could be started again.
fn forget_row<H: Recovery>(actor: &mut InstanceActor<H>, row: u32) {
    if !actor.host.abandon(row) {
        actor.host.exited_unseen(row);
        let record = actor.host.record(row);
        actor.host.conclude(row, actor.host.entry(row).incarnation, &record);
    }
    // One that was only just claimed is of no spec.
    if actor.host.record(row) != Record::default() {
        let message = format!("freed entry {row} of the process table: its spec was lost, and it had no process");
        actor.host.tell(Subject::Daemon, Fact::Trouble { message });
    }
    if actor.host.free(row).is_ok() {
        actor.unmirrored.insert(row);
    }
}

/// What a person should be told of the instances that were found so.
pub(super) fn warning(lost: &[InstanceId]) -> Option<String> {
    const NAMED_MAX: usize = 5;
    if lost.is_empty() {
        return None;
    }
    let mut names: Vec<String> = lost.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if lost.len() > NAMED_MAX {
        names.push(format!("and {} more", lost.len() - NAMED_MAX));
    }
    let names = names.join(", ");
    Some(format!(
        "the spec of {names} was lost, and the processes keep running: an apply that declares them replaces them, \
         `pm delete` ends them"
    ))
}
