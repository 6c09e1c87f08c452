//! Changes without a file: edits of the stored state. A wake-up then plans the rest.

use std::collections::BTreeMap;

use crate::model::{
    AppId, AppName, Change, Declared, DesiredState, Edit, Kind, Live, LiveInstance, Phase, Project, ProjectName,
    Refusal, RefusalKind, WallTime,
};

use super::slots::is_up;
use super::{INSTANCES_MAX, forgotten, rollouts, target, usage};

/// One edit of some apps of one project.
#[derive(Clone, Debug)]
pub struct EditRequest<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// Its apps, or single slots of them (start, stop, restart, reload).
    pub targets: &'a [(AppName, Option<u32>)],
    /// What is to be done with each.
    pub edit: &'a Edit,
    /// Who asks, by name.
    pub by: &'a str,
    /// Wall clock; kept with the change.
    pub at: WallTime,
}

/// The changes that an edit means; none if everything is so already. Without apps left, the project goes too.
///
/// # Errors
/// Unknown apps and slots; starting what is held; an edit that makes no sense for one slot.
pub fn edit(stored: &Project, live: &Live, request: &EditRequest) -> Result<Vec<Change>, Refusal> {
    let mut edited = stored.clone();
    let stopped = stopped_dependencies(stored, request);
    for (name, slot) in request.targets {
        if forgotten::is_forgotten(stored, name, live, request) {
            forgotten::check(name, request)?;
            continue;
        }
        let Some(declared) = edited.apps.get_mut(name) else {
            return Err(usage(format!("project `{}` has no app `{name}`", request.project), None));
        };
        if declared.is_leaving && *request.edit != Edit::Delete {
            if request.targets.len() == 1 {
                let hint = "wait for that apply to finish, or declare the app again".to_owned();
                return Err(usage(format!("an apply is deleting `{name}`"), Some(hint)));
            }
            continue;
        }
        if let Some(slot) = slot.filter(|slot| *slot >= declared.instances()) {
            return Err(usage(format!("`{name}` has no slot {slot}"), Some(declared.slots_text())));
        }
        match (request.edit, slot) {
            (Edit::Start | Edit::Restart, _) if is_held(declared) => {
                // Among several apps a held one is left out; requested alone, it deserves an answer.
                if request.targets.len() == 1 {
                    return Err(held(name, declared));
                }
            }
            (Edit::Start | Edit::Restart, _) if let Some(stopped) = stopped.get(name) => {
                if request.targets.len() == 1 {
                    return Err(not_without(name, stopped));
                }
            }
            (Edit::Start, slot) => start(declared, *slot, &instances(request.project, name, live)),
            (Edit::Restart, slot) => restart(declared, *slot, &instances(request.project, name, live)),
            (Edit::Run, None) => run(name, declared, &instances(request.project, name, live))?,
            (Edit::Reload, _) if declared.spec.kind == Kind::Task => {
                if request.targets.len() == 1 {
                    return Err(no_service(name));
                }
            }
            (Edit::AutoRestart | Edit::Reload, slot) => {
                request_restart(declared, *slot, &instances(request.project, name, live));
            }
            (Edit::Stop { is_held }, None) => stop(declared, *is_held, request),
            (Edit::Stop { is_held: false }, Some(slot)) => stop_slot(declared, *slot, request),
            (Edit::Delete, None) => drop(edited.apps.remove(name)),
            (Edit::Scale { to }, None) => scale(name, declared, (*to, request.at))?,
            (Edit::Unhold, None) => unhold(declared),
            (Edit::Stop { is_held: true } | Edit::Delete | Edit::Scale { .. } | Edit::Unhold | Edit::Run, Some(_)) => {
                let message = format!("you can hold, delete, scale or run only the whole app `{name}`, not one slot");
                return Err(usage(message, Some(format!("use `{name}` without a slot"))));
            }
        }
    }
    rollouts::release(&mut edited);
    Ok(changes(stored, edited, request.project))
}

/// Apps that the request is to bring up and that cannot come up, with what they depend on: it was stopped by a user, or
/// is not started on its own, and the request does not start it either.
fn stopped_dependencies(stored: &Project, request: &EditRequest) -> BTreeMap<AppName, AppName> {
    let is_meant = |app: &AppName| request.targets.iter().any(|(target, _)| target == app);
    let is_down = |app: &AppName| {
        !is_meant(app) && stored.apps.get(app).is_some_and(|declared| declared.desired_state != DesiredState::Up)
    };
    let stopped = |(app, _): &(AppName, Option<u32>)| {
        let other = stored.apps.get(app)?.spec.depends_on.keys().find(|other| is_down(other))?;
        Some((app.clone(), other.clone()))
    };
    request.targets.iter().filter_map(stopped).collect()
}

fn changes(stored: &Project, mut edited: Project, name: &ProjectName) -> Vec<Change> {
    if edited == *stored {
        return Vec::new();
    }
    if edited.apps.is_empty() {
        return vec![Change::ProjectRemoved { name: name.clone() }];
    }
    edited.generation += 1;
    let mut changes = target::changes(name, Some(stored), &edited);
    changes.extend(rollouts::released(name, stored, &edited));
    changes
}

/// The instances of one app by slot.
pub(super) fn instances<'a>(project: &ProjectName, name: &AppName, live: &'a Live) -> BTreeMap<u32, &'a LiveInstance> {
    let app = AppId::new(project.clone(), name.clone());
    let all = live.instances.range(app.instance(0)..=app.instance(u32::MAX));
    all.filter(|(id, _)| !id.is_successor).map(|(id, instance)| (id.slot, instance)).collect()
}

/// Running copies are kept; copies that wait, ended or were given up get a new process now.
fn start(declared: &mut Declared, slot: Option<u32>, live: &BTreeMap<u32, &LiveInstance>) {
    if let Some(slot) = slot {
        start_slot(declared, slot);
    } else {
        declared.desired_state = DesiredState::Up;
        declared.stopped_slots.clear();
    }
    if declared.spec.is_timed_task() {
        return;
    }
    for (&each, instance) in
        live.range(..declared.instances()).filter(|(each, _)| slot.is_none_or(|slot| slot == **each))
    {
        if matches!(instance.phase, Phase::Backoff { .. } | Phase::Errored { .. } | Phase::Done { .. }) {
            ask_restart(declared, each, live);
        }
    }
}

/// Puts the restart counter of one slot ahead of its process. A process may have been started under a higher one
/// than what is declared now: deleting and declaring an app again begins at zero.
fn ask_restart(declared: &mut Declared, slot: u32, live: &BTreeMap<u32, &LiveInstance>) {
    let started_under = live.get(&slot).map_or(0, |instance| instance.restart_requests);
    let next = declared.restart_requests_of(slot).max(started_under) + 1;
    declared.slot_restart_requests.insert(slot, next);
}

/// One slot of an app that is down is started alone: the other slots stay down.
fn start_slot(declared: &mut Declared, slot: u32) {
    if declared.desired_state != DesiredState::Up {
        declared.desired_state = DesiredState::Up;
        declared.stopped_slots = (0..declared.instances()).collect();
    }
    declared.stopped_slots.remove(&slot);
}

fn restart(declared: &mut Declared, slot: Option<u32>, live: &BTreeMap<u32, &LiveInstance>) {
    if declared.spec.is_timed_task() {
        // A run is not a lasting state: it needs no counter, and is not made up for.
        return start(declared, slot, live);
    }
    if let Some(slot) = slot {
        start_slot(declared, slot);
        ask_restart(declared, slot, live);
        return;
    }
    let ahead = declared.slot_restart_requests.values().copied();
    let ahead = ahead.chain(live.values().map(|instance| instance.restart_requests)).max().unwrap_or(0);
    declared.restart_requests = declared.restart_requests.max(ahead) + 1;
    declared.slot_restart_requests.clear();
    declared.stopped_slots.clear();
    declared.desired_state = DesiredState::Up;
}

fn request_restart(declared: &mut Declared, slot: Option<u32>, live: &BTreeMap<u32, &LiveInstance>) {
    let meant = live.keys().copied().filter(|each| slot.is_none_or(|slot| slot == *each));
    let slots: Vec<u32> = meant.filter(|slot| declared.should_run(*slot)).collect();
    for slot in slots {
        ask_restart(declared, slot, live);
    }
}

/// What the clock would do. A user is told where the clock would do nothing.
fn run(name: &AppName, declared: &mut Declared, live: &BTreeMap<u32, &LiveInstance>) -> Result<(), Refusal> {
    let refused = |message: String, hint: String| {
        Err(Refusal { kind: RefusalKind::Safety, message, hint: Some(hint), confirm: None })
    };
    if declared.spec.schedule.cron_restart.is_none() {
        let hint = format!("add `cron_restart` to it; `pm restart {name}` restarts it now");
        return Err(usage(format!("`{name}` has no schedule"), Some(hint)));
    }
    if declared.desired_state != DesiredState::Up {
        let message = format!("`{name}` is stopped, so its schedule is suspended");
        return refused(message, format!("`pm start {name}` resumes it, and runs a task at once"));
    }
    if !declared.spec.is_timed_task() {
        request_restart(declared, None, live);
    } else if live.values().any(|instance| is_up(&instance.phase)) {
        return refused(format!("`{name}` is already running"), format!("`pm restart {name}` replaces that run"));
    }
    Ok(())
}

fn stop(declared: &mut Declared, is_held: bool, request: &EditRequest) {
    match &mut declared.desired_state {
        DesiredState::Stopped { is_held: was_held, .. } => *was_held |= is_held,
        // Nothing runs of an app that is not started, and an apply does not start it either.
        DesiredState::NotStarted if !is_held => {}
        DesiredState::Up | DesiredState::NotStarted => {
            declared.desired_state = DesiredState::Stopped { by: request.by.to_owned(), at: request.at, is_held };
        }
    }
    declared.stopped_slots.clear();
}

fn stop_slot(declared: &mut Declared, slot: u32, request: &EditRequest) {
    if declared.desired_state != DesiredState::Up {
        return;
    }
    declared.stopped_slots.insert(slot);
    if (0..declared.instances()).all(|slot| declared.stopped_slots.contains(&slot)) {
        stop(declared, false, request);
    }
}

fn scale(name: &AppName, declared: &mut Declared, (to, at): (u32, WallTime)) -> Result<(), Refusal> {
    if to > INSTANCES_MAX {
        return Err(usage(format!("`{name}` cannot have more than {INSTANCES_MAX} instances"), None));
    }
    let last_port = declared.spec.run.port.map(|port| u64::from(port) + u64::from(to.saturating_sub(1)));
    if let Some(port) = last_port.filter(|port| *port > u64::from(u16::MAX)) {
        return Err(usage(format!("slot {} of `{name}` would need port {port}", to.saturating_sub(1)), None));
    }
    let scaled = Some(to).filter(|_| declared.spec.instances != Some(to));
    if declared.scaled != scaled {
        (declared.scaled, declared.scaled_at) = (scaled, scaled.map(|_| at));
    }
    declared.stopped_slots.retain(|slot| *slot < to);
    declared.slot_restart_requests.retain(|slot, _| *slot < to);
    Ok(())
}

fn unhold(declared: &mut Declared) {
    if let DesiredState::Stopped { is_held, .. } = &mut declared.desired_state {
        *is_held = false;
    }
}

fn is_held(declared: &Declared) -> bool {
    matches!(declared.desired_state, DesiredState::Stopped { is_held: true, .. })
}

/// A task that has run is not to run again because everything is reloaded; requested alone, it deserves an answer.
fn no_service(name: &AppName) -> Refusal {
    let hint = format!("`pm restart {name}` runs it again");
    usage(format!("`{name}` is a task; only services can be reloaded"), Some(hint))
}

fn not_without(name: &AppName, stopped: &AppName) -> Refusal {
    Refusal {
        kind: RefusalKind::Safety,
        message: format!("`{name}` depends on `{stopped}`, which is stopped"),
        hint: Some(format!("start both: `pm start {stopped} {name}`")),
        confirm: None,
    }
}

fn held(name: &AppName, declared: &Declared) -> Refusal {
    let by = match &declared.desired_state {
        DesiredState::Stopped { by, .. } => format!(" by {by}"),
        DesiredState::Up | DesiredState::NotStarted => String::new(),
    };
    Refusal {
        kind: RefusalKind::Safety,
        message: format!("`{name}` is held{by}"),
        hint: Some(format!("release it with `pm unhold {name}`")),
        confirm: None,
    }
}
