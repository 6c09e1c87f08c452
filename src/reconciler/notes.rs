//! What the machine has to say about a plan before anything is done: limits that it does not have, ports that are taken.

use std::net::{Ipv4Addr, SocketAddr};

use super::conditions::needs_dependencies;
use crate::model::{App, Note, Plan, Proposed, Verb};
use crate::os::ListenerLookup;
use crate::supervisor::Supervisor;

/// Adds notes about the apps that get new processes. Nothing is refused for them: a port may be free in time.
pub(super) fn add(plan: &mut Plan, proposed: &Proposed, supervisor: &Supervisor) {
    let mut notes = Vec::new();
    for app in &proposed.apps {
        let verbs = plan.operations.iter().filter(|one| one.app == app.name).map(|one| &one.verb);
        let verbs: Vec<&Verb> = verbs.filter(|verb| needs_dependencies(verb)).collect();
        if verbs.is_empty() {
            continue;
        }
        notes.extend(missing_limits(app, supervisor));
        let slots = verbs.into_iter().flat_map(new_slots).copied();
        let ports = slots.filter_map(|slot| port_of(app, slot));
        notes.extend(ports.filter_map(|port| taken(app, port)));
    }
    plan.notes.extend(notes);
}

fn missing_limits(app: &App, supervisor: &Supervisor) -> Option<Note> {
    let message = supervisor.missing_limits(&app.run.limits)?;
    Some(Note::LimitsMissing { app: app.name.clone(), message })
}

/// Slots in which nobody of the app's own can have the port yet.
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

fn taken(app: &App, port: u16) -> Option<Note> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (pid, name) = ListenerLookup::new().holder_at(address)?;
    Some(Note::PortTaken { app: app.name.clone(), port, pid, name })
}
