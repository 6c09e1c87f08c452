//! Apps that run undeclared, because the state with their spec was lost.
//!
//! Whatever is automatic leaves them alone. A user can stop and delete them, or declare them again by an apply.

use crate::model::{AppId, AppName, Edit, Live, Operation, Plan, Project, Reason, Refusal, Summary, Verb};

use super::edit::instances;
use super::slots::{has_lost_spec, is_up, running};
use super::{EditRequest, usage};

/// Every app that runs with a lost spec, declared or not.
pub fn with_lost_spec(live: &Live) -> impl Iterator<Item = &AppId> {
    let lost = live.instances.iter().filter(|(_, instance)| instance.spec.is_spec_lost());
    lost.map(|(id, _)| &id.app)
}

/// Whether all that is known of an app of the request is that it runs.
pub(super) fn is_forgotten(stored: &Project, name: &AppName, live: &Live, request: &EditRequest) -> bool {
    !stored.apps.contains_key(name) && has_lost_spec(&instances(request.project, name, live))
}

/// Among several apps those that the edit cannot be about are left out; requested alone, they deserve an answer.
pub(super) fn check(name: &AppName, request: &EditRequest) -> Result<(), Refusal> {
    let is_possible = matches!(request.edit, Edit::Stop { is_held: false } | Edit::Delete);
    if is_possible || request.targets.len() > 1 {
        return Ok(());
    }
    let message = format!("`{name}` is running, but its spec was lost with the state");
    Err(usage(message, Some("apply the file that declares it; until then you can only stop or delete it".into())))
}

/// Adds to the plan of an edit what it means for forgotten apps: nothing is stored of them, so a wake-up does not know.
pub fn add_forgotten(plan: &mut Plan, stored: &Project, live: &Live, request: &EditRequest) {
    for (name, slot) in request.targets.iter().filter(|(name, _)| is_forgotten(stored, name, live, request)) {
        let mut instances = instances(request.project, name, live);
        instances.retain(|each, _| slot.is_none_or(|slot| slot == *each));
        let (verb, reason) = match request.edit {
            Edit::Delete => (Verb::Delete { slots: instances.keys().copied().collect() }, Reason::DeletedByHand),
            Edit::Stop { is_held: false } => {
                instances.retain(|_, instance| is_up(&instance.phase));
                let reason = Reason::StoppedByHand { by: request.by.to_owned(), is_held: false };
                (Verb::Stop { slots: instances.keys().copied().collect() }, reason)
            }
            Edit::Start
            | Edit::Stop { is_held: true }
            | Edit::Restart
            | Edit::Reload
            | Edit::AutoRestart
            | Edit::Scale { .. }
            | Edit::Unhold
            | Edit::Run => continue,
        };
        let slots: Vec<u32> = instances.keys().copied().collect();
        let interrupts = running(&instances, &slots);
        if !slots.is_empty() {
            let operation = Operation { app: name.clone(), verb, reasons: vec![reason], after: Vec::new(), interrupts };
            plan.operations.push(operation);
        }
    }
    plan.summary = Summary::of(&plan.operations);
}
