//! Notes about the machine for a plan, before anything is done: missing limits, ports in use.

use std::net::{Ipv4Addr, SocketAddr};

use crate::model::{App, AppId, Live, Note, Plan, Proposed, Verb, by_app};
use crate::os::ListenerLookup;
use crate::plan;
use crate::supervisor::Supervisor;

/// So many ports of a plan are looked at: who has more new ones than that has seen the point.
const PORTS_MAX: usize = 32;

/// Adds notes about the apps that get new processes. Nothing is refused for them: a port may be free in time.
pub(super) fn add(plan: &mut Plan, proposed: &Proposed, live: &Live, supervisor: &Supervisor) {
    let mut notes = Vec::new();
    let mut ports: Vec<(&App, u16)> = Vec::new();
    let operations = by_app(&plan.operations);
    for app in &proposed.apps {
        let verbs = operations.get(&app.name).into_iter().flatten().map(|one| &one.verb);
        let verbs: Vec<&Verb> = verbs.filter(|verb| verb.is_start()).collect();
        if verbs.is_empty() {
            continue;
        }
        notes.extend(missing_limits(app, supervisor));
        let is_started = verbs.iter().any(|verb| matches!(verb, Verb::Start { .. }));
        if is_started && plan::builds_first(app, live) {
            notes.push(Note::BuildsFirst { app: app.name.clone() });
        }
        let id = AppId::new(app.project.clone(), app.name.clone());
        let slots = verbs.into_iter().flat_map(new_slots).copied();
        let empty = slots.filter(|slot| !live.instances.contains_key(&id.instance(*slot)));
        ports.extend(empty.filter_map(|slot| Some((app, port_of(app, slot)?))).take(PORTS_MAX - ports.len()));
    }
    let addresses: Vec<SocketAddr> = ports.iter().map(|(_, port)| (Ipv4Addr::LOCALHOST, *port).into()).collect();
    let holders = ListenerLookup::new().holders_at(&addresses);
    notes.extend(ports.into_iter().zip(holders).filter_map(|((app, port), holder)| {
        let (pid, name) = holder?;
        Some(Note::PortTaken { app: app.name.clone(), port, pid, name })
    }));
    plan.notes.extend(notes);
}

fn missing_limits(app: &App, supervisor: &Supervisor) -> Option<Note> {
    let message = supervisor.missing_limits(&app.run.limits)?;
    Some(Note::LimitsMissing { app: app.name.clone(), message })
}

/// Slots in which a process is started, not replaced.
fn new_slots(verb: &Verb) -> &[u32] {
    match verb {
        Verb::Start { slots } => slots,
        Verb::Scale { add, .. } => add,
        _ => &[],
    }
}

/// Each instance takes `port` plus its slot.
fn port_of(app: &App, slot: u32) -> Option<u16> {
    app.run.port?.checked_add(u16::try_from(slot).ok()?)
}
