//! `port = "auto"`: asks the machine which ports are free, and `plan` which of them an app gets.

use std::borrow::Cow;

use super::ReconcileError;
use super::run::Loop;
use crate::model::{ApplyOptions, Change, Desired, Note, ProjectName, Proposed};
use crate::os;
use crate::plan::{self, PortFacts};

/// What is proposed, with ports for the apps that want free ones, and what is to be said of them.
pub(super) fn chosen<'a>(
    state: &Loop,
    desired: &Desired,
    proposed: &'a Proposed,
    options: &ApplyOptions,
) -> Result<(Cow<'a, Proposed>, Vec<Note>), ReconcileError> {
    if proposed.apps.iter().all(|app| app.run.slot_variables.auto_port.is_none()) {
        return Ok((Cow::Borrowed(proposed), Vec::new()));
    }
    let mut proposed = proposed.clone();
    let home = state.deps.home.root.to_string_lossy();
    let facts = PortFacts { desired, live: &state.live, home: &home, is_free: &os::is_port_free };
    let notes = plan::assign_ports(&mut proposed, options, &facts).map_err(ReconcileError::Refused)?;
    Ok((Cow::Owned(proposed), notes))
}

/// Ports that somebody else has taken while an app was down are given up when a user starts it, and a `pm scale` that
/// needs one of somebody else is refused.
pub(super) fn moved(
    state: &Loop,
    desired: &Desired,
    changes: &mut [Change],
) -> Result<Vec<(ProjectName, Note)>, ReconcileError> {
    let home = state.deps.home.root.to_string_lossy();
    let facts = PortFacts { desired, live: &state.live, home: &home, is_free: &os::is_port_free };
    plan::move_ports(changes, &facts).map_err(ReconcileError::Refused)
}

/// Whether the ports of an app's further copies are free.
pub(super) fn has_room(state: &Loop, desired: &Desired, change: &Change) -> bool {
    moved(state, desired, &mut [change.clone()]).is_ok()
}
