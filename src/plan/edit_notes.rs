//! What an edit changes although no process is started or stopped for it.

use std::collections::BTreeSet;

use crate::model::{AppId, DesiredState, Edit, Note, Plan, Project};

use super::EditRequest;

/// Adds to the plan of an edit which builds before a start it has ended: those of `building` that nobody wants any more.
/// `after`: the project.
pub fn add_ended_builds(plan: &mut Plan, building: &BTreeSet<AppId>, after: &Project, request: &EditRequest) {
    let mut ended = BTreeSet::new();
    for (name, _) in request.targets {
        let is_wanted = after.apps.get(name).is_some_and(|app| (0..app.instances()).any(|slot| app.may_run(slot)));
        let is_building = building.contains(&AppId::new(request.project.clone(), name.clone()));
        if is_building && !is_wanted && ended.insert(name) {
            plan.notes.push(Note::BuildCalledOff { app: name.clone() });
        }
    }
}

/// Adds to the plan of an edit what a user should know of it; `before` and `after`: the project.
pub fn add_edit_notes(plan: &mut Plan, before: &Project, after: &Project, request: &EditRequest) {
    for (name, _) in request.targets {
        let (Some(was), Some(is)) = (before.apps.get(name), after.apps.get(name)) else { continue };
        let is_stopped = was.desired_state == DesiredState::Up && is.desired_state != DesiredState::Up;
        if matches!(request.edit, Edit::Stop { .. }) && is_stopped && is.spec.is_timed_task() {
            plan.notes.push(Note::ScheduleSuspended { app: name.clone() });
        }
        let is_later = is.desired_state != DesiredState::Up && was.instances() != is.instances();
        if matches!(request.edit, Edit::Scale { .. }) && is_later {
            plan.notes.push(Note::ScaledForLater { app: name.clone(), instances: is.instances() });
        }
    }
}
