//! Workers of clusters: what they say → inputs of their lifecycles; and when nobody of an app is left to serve.

use std::collections::BTreeSet;

use super::{Instance, InstanceActor, Registry};
use crate::lifecycle::{Input, State};
use crate::model::{AppId, Cause, Fact, Launch, Millis, Moment, Probe, Secrets, Subject};
use crate::supervisor::cluster::{WorkerSaid, WorkerWord};
use crate::supervisor::host::Host;

/// Characters of a message that are passed on.
const MESSAGE_CHARS_MAX: usize = 1000;
/// Messages of one process that are passed on at once, and then each second.
const MESSAGES_AT_ONCE: u64 = 50;

/// How many messages of a process were passed on.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct MessageShare {
    /// Milliseconds' worth of messages that were passed on, as a point of the clock: it runs ahead of it by no more than a
    /// second.
    spent_until: Moment,
    skipped: u64,
}

impl MessageShare {
    /// Whether another message may be passed on: then, how many before it were not.
    pub fn take_turn(&mut self, now: Moment) -> Option<u64> {
        let spent = self.spent_until.max(now);
        if spent.since(now).0 >= 1000 {
            self.skipped += 1;
            return None;
        }
        self.spent_until = spent.after(Millis(1000 / MESSAGES_AT_ONCE));
        Some(std::mem::take(&mut self.skipped))
    }
}

/// What of its environment it should not show.
fn secrets_of(launch: &Launch, slot: u32) -> Secrets {
    let mut secrets = Secrets::default();
    for (name, value) in launch.base.iter() {
        secrets.add_value(name, value);
    }
    for (name, value) in &launch.spec.run.env {
        secrets.add_value(name, &value.fill(slot, launch.spec.run.port));
    }
    secrets
}

fn in_short(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a worker has said → an input of its lifecycle, or words for those who listen.
pub(super) fn worker_said<H: Host>(actor: &mut InstanceActor<H>, word: WorkerWord) {
    let WorkerWord { row, incarnation, said } = word;
    let now = actor.host.now();
    let Some(instance) = actor.registry.get_mut(row) else { return };
    if instance.machine.incarnation != incarnation {
        return;
    }
    let probe = instance.machine.policy.ready.as_ref().map(|ready| &ready.probe);
    let subject = || Subject::Instance(instance.id.clone().settled());
    match said {
        WorkerSaid::Listening if matches!(probe, Some(Probe::Listening(_))) => {
            actor.step(row, Input::Probed { incarnation, result: Ok(()) });
        }
        WorkerSaid::Ready if matches!(probe, Some(Probe::Message(_))) => {
            actor.step(row, Input::Probed { incarnation, result: Ok(()) });
        }
        WorkerSaid::Left => {
            // From now on it is stopped like any other process: it would hear no message.
            instance.machine.is_worker = false;
            actor.step(row, Input::Drained { incarnation });
        }
        WorkerSaid::Refused(message) => actor.host.tell(subject(), Fact::Trouble { message }),
        WorkerSaid::Unserved if matches!(instance.machine.state, State::Running { .. }) => {
            let message = "it gets no connections any more since an earlier daemon died; it is restarted".to_owned();
            actor.host.tell(subject(), Fact::Trouble { message });
            actor.step(row, Input::Restart(Cause::Policy));
        }
        // Its own words, for those who follow: as many as a person can read.
        WorkerSaid::Message(text, place) => {
            let subject = subject();
            if let Some(skipped) = instance.messages.take_turn(now) {
                let secrets = secrets_of(&instance.record, instance.id.slot);
                actor.host.pass_on(subject, Fact::Message { text: in_short(&secrets.hide(&text)), skipped });
            }
            // It was heard: another one may wait in its place.
            drop(place);
        }
        WorkerSaid::Listening | WorkerSaid::Ready | WorkerSaid::Unserved => {}
    }
}

/// Apps whose workers share sockets that are open.
#[derive(Debug, Default)]
pub(super) struct ClusterApps(BTreeSet<AppId>);

impl ClusterApps {
    /// The process of this instance is about to be started.
    pub fn join(&mut self, instance: &mut Instance) {
        instance.machine.is_worker = instance.next.spec.is_cluster();
        if instance.machine.is_worker {
            self.0.insert(instance.id.app.clone());
        }
    }

    /// What an earlier daemon has left.
    pub fn recover(&mut self, registry: &Registry) {
        let workers = registry.iter().filter(|(_, instance)| instance.record.spec.is_cluster());
        self.0.extend(workers.map(|(_, instance)| instance.id.app.clone()));
    }

    pub fn rename(&mut self, from: &AppId, to: &AppId, host: &mut impl Host) {
        if from != to && self.0.remove(from) {
            host.rename_cluster(from, to);
            self.0.insert(to.clone());
        }
    }

    /// The end of a turn: whoever connects to an app of which nothing runs or is about to run is refused from now on.
    pub fn close_unused(&mut self, registry: &Registry, host: &mut impl Host) {
        if self.0.is_empty() {
            return;
        }
        let is_up = |instance: &&Instance| !matches!(instance.machine.state, State::Resting(_) | State::Gone);
        let up: BTreeSet<&AppId> =
            registry.iter().map(|(_, instance)| instance).filter(is_up).map(|instance| &instance.id.app).collect();
        self.0.retain(|app| {
            let is_used = up.contains(app);
            if !is_used {
                host.close_cluster(app);
            }
            is_used
        });
    }
}
