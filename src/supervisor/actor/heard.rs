//! What a process says by itself → inputs of its lifecycle, what it says of itself, and when it last said that it lives.

use super::InstanceActor;
use crate::lifecycle::{Input, State};
use crate::model::{Fact, Probe, Subject, masked};
use crate::rules::{ChannelLine, Notification};
use crate::supervisor::host::{Channel, Host, Words};

/// Messages of one process that are heard in one go; the others have to wait for their turn.
const MESSAGES_MAX: usize = 64;

impl<H: Host> InstanceActor<H> {
    pub(super) fn heard(&mut self, row: u32, channel: Channel) {
        let before = self.registry.get(row).and_then(|instance| instance.status.clone());
        for _ in 0..MESSAGES_MAX {
            let Some(instance) = self.registry.get(row) else { return };
            match self.host.hear(row, channel, &instance.id) {
                Some(Words::Notifications(all)) => all.into_iter().for_each(|one| self.notified(row, one)),
                Some(Words::Lines(lines)) => lines.into_iter().for_each(|line| self.said_on_channel(row, line)),
                None => break,
            }
            self.host.acted_on(row, channel);
        }
        let Some(instance) = self.registry.get(row).filter(|instance| instance.status != before) else { return };
        // Once for all that was said in one go.
        let status = instance.status.as_deref().unwrap_or_default();
        self.host.keep_status(row, instance.machine.incarnation, status);
    }

    /// The process is over: its last words, then silence.
    pub(super) fn hear_last_words(&mut self, row: u32) {
        self.heard(row, Channel::Notify);
        self.heard(row, Channel::Messages);
        let Some(instance) = self.registry.get_mut(row) else { return };
        (instance.status, instance.last_watchdog_ping) = (None, None);
        self.host.silence(row, instance.machine.incarnation, &instance.record.spec);
    }

    fn notified(&mut self, row: u32, said: Notification) {
        let Some(instance) = self.registry.get_mut(row) else { return };
        let incarnation = instance.machine.incarnation;
        let ready = instance.machine.policy.ready.as_ref();
        let waits_for_notify = ready.is_some_and(|ready| matches!(ready.probe, Probe::Notify(_)));
        match said {
            Notification::Ready if waits_for_notify => self.step(row, Input::Probed { incarnation, result: Ok(()) }),
            Notification::Ready => {}
            Notification::Status(text) => {
                instance.status = Some(masked(&text).into_owned()).filter(|text| !text.is_empty());
                self.registry.changed(row);
            }
            Notification::WatchdogPing => instance.last_watchdog_ping = Some(self.host.now()),
            Notification::Unwell => {
                let result = Err("it sent WATCHDOG=trigger".to_owned());
                self.step(row, Input::Probed { incarnation, result });
            }
            Notification::Extend(by) => self.step(row, Input::Extended { incarnation, by }),
            Notification::MainPid(pid) => main_announced(self, row, pid),
            Notification::NoMainPid(text) => {
                let message = format!("its MAINPID={} was refused: it is no process id", masked(&text));
                self.host.tell(Subject::Instance(instance.id.clone()), Fact::Trouble { message });
            }
        }
    }

    fn said_on_channel(&mut self, row: u32, line: ChannelLine) {
        let Some(instance) = self.registry.get(row) else { return };
        let incarnation = instance.machine.incarnation;
        let ready = instance.machine.policy.ready.as_ref();
        let waits = ready.is_some_and(|ready| matches!(ready.probe, Probe::Message(_)));
        match line {
            ChannelLine::Ready if waits => self.step(row, Input::Probed { incarnation, result: Ok(()) }),
            ChannelLine::Handle => {
                // Unanswered, the process would never send anything again.
                self.host.say(row, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
            }
            ChannelLine::Ready | ChannelLine::Other => {}
        }
    }
}

/// Another process of the app goes on as its main one. While the instance is being ended it ends with the rest.
fn main_announced<H: Host>(actor: &mut InstanceActor<H>, row: u32, pid: u32) {
    let Some(instance) = actor.registry.get_mut(row) else { return };
    if instance.process == Some(pid) || matches!(instance.machine.state, State::Stopping { .. }) {
        return;
    }
    let outcome = if instance.machine.is_worker {
        Err("a worker of a cluster cannot pass its connections on".to_owned())
    } else {
        actor.host.succeed(row, pid)
    };
    match outcome {
        Ok(previous) => {
            instance.process = Some(pid);
            actor.registry.changed(row);
            actor.unmirrored.insert(row);
            actor.emit(row, Fact::MainProcessChanged { pid, previous });
        }
        Err(why) => {
            let message = format!("its MAINPID={pid} was refused: {why}");
            actor.host.tell(Subject::Instance(instance.id.clone()), Fact::Trouble { message });
        }
    }
}
