//! Processes that a plan leaves alone although they are not ready or healthy: it notes them, and an apply waits for new ones.

use std::collections::BTreeMap;

use crate::model::{AppName, Declared, LiveInstance, Note, Operation, Phase, Readiness, Verb};

/// What is to be said of the slots of one app that `is_meant` is about and that none of `operations` gives or takes a
/// process.
pub(super) fn notes(
    name: &AppName,
    declared: &Declared,
    live: &BTreeMap<u32, &LiveInstance>,
    operations: &[Operation],
    is_meant: impl Fn(u32) -> bool,
) -> Vec<Note> {
    let is_changed = |slot: u32| {
        operations.iter().filter(|operation| operation.app == *name).any(|operation| changes(&operation.verb, slot))
    };
    let is_left = |slot: u32| declared.should_run(slot) && is_meant(slot) && !is_changed(slot);
    let mut young: Vec<(u32, Option<&String>)> = Vec::new();
    let mut sick: Vec<(u32, &String)> = Vec::new();
    for (&slot, instance) in live.iter().filter(|(slot, _)| is_left(**slot)) {
        match &instance.phase {
            Phase::Starting => young.push((slot, None)),
            Phase::Running { readiness: Readiness::Waiting { last, .. }, .. } => young.push((slot, last.as_ref())),
            Phase::Running { readiness: Readiness::Failing { last, .. }, .. } => sick.push((slot, last)),
            Phase::Running { readiness: Readiness::Ready, .. }
            | Phase::Stopped
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Errored { .. }
            | Phase::Done { .. } => {}
        }
    }
    let not_ready = (!young.is_empty()).then(|| Note::NotReady {
        app: name.clone(),
        slots: young.iter().map(|(slot, _)| *slot).collect(),
        why: young.iter().find_map(|(_, why)| *why).cloned(),
    });
    let unhealthy = sick.first().map(|(_, why)| Note::Unhealthy {
        app: name.clone(),
        slots: sick.iter().map(|(slot, _)| *slot).collect(),
        why: String::clone(why),
    });
    not_ready.into_iter().chain(unhealthy).collect()
}

/// Whether carrying it out gives the slot a process or takes it away: then that is what is waited for.
fn changes(verb: &Verb, slot: u32) -> bool {
    match verb {
        Verb::Start { slots }
        | Verb::Roll { slots, .. }
        | Verb::Restart { slots, .. }
        | Verb::Replace { slots, .. }
        | Verb::Stop { slots }
        | Verb::Delete { slots } => slots.contains(&slot),
        Verb::Scale { add, remove, .. } => add.contains(&slot) || remove.contains(&slot),
        Verb::Reconfigure | Verb::Rename { .. } | Verb::Keep | Verb::Hold => false,
    }
}
