//! The operations of one app: what its slots need, as verbs with reasons.

use std::collections::BTreeMap;

use crate::model::{
    AppName, Class, Declared, DesiredState, LiveInstance, Note, Operation, Reason, UpdateStrategy, Verb,
};

use super::difference::{Field, difference};
use super::field_change::field_change;
use super::renewal::Renewal;
use super::slots::{Slots, running};
use super::{rollouts, unready};

/// One app before and after, and what lives of it.
pub(super) struct AppScene<'a> {
    /// Its (new) name.
    pub name: &'a AppName,
    /// Its old name, if it is renamed.
    pub renamed_from: Option<&'a AppName>,
    /// As it was accepted last; `None` = not known yet.
    pub prior: Option<&'a Declared>,
    /// Everything is as desired.
    pub target: &'a Declared,
    /// Its instances, under whichever name they live.
    pub live: BTreeMap<u32, &'a LiveInstance>,
    /// Spec paths whose value came from the caller's shell.
    pub from_shell: &'a BTreeMap<String, String>,
    /// A dependency that has had a new process, and whose renewals this app follows.
    pub renewal: Option<Renewal<'a>>,
    /// A user applies.
    pub is_asked: bool,
    /// Something waits until what is on its way up is ready: a user, or the removal of other apps.
    pub is_awaited: bool,
}

/// What is done with one app, and what a user should know about it.
#[derive(Default)]
pub(super) struct AppSteps {
    /// In order.
    pub operations: Vec<Operation>,
    /// What the reader of the plan is to know besides the steps.
    pub notes: Vec<Note>,
}

impl AppScene<'_> {
    /// The steps of this app; none if nothing is to be done.
    pub(super) fn steps(&self) -> AppSteps {
        let slots = Slots::sort(self.target, &self.live, self.renewal, self.is_asked);
        let fields = self.prior.map(|prior| difference(&prior.spec, &self.target.spec)).unwrap_or_default();
        let (next_fields, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.class == Class::Next);
        let (scale_fields, mut fields): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| field.class == Class::Scale);
        let (scale, started) = self.scale(&slots, &scale_fields);
        if scale.is_none() {
            fields.extend(scale_fields);
        }
        let (start, roll) = (self.start(&slots, started, &fields), self.roll(&slots, &fields));
        let untold = if start.is_some() || roll.is_some() { &[] } else { fields.as_slice() };
        // While an old process has its socket, no further copy can have the new one.
        let is_in_the_way =
            |roll: &Operation| matches!(roll.verb, Verb::Roll { strategy: UpdateStrategy::Together, .. });
        let (first, roll) = if roll.as_ref().is_some_and(is_in_the_way) { (roll, None) } else { (None, roll) };
        // A number changes only when the revision has proved to be healthy: else a rollback had more to undo. What
        // needs no new process does not wait for those that are replaced: that may be paused.
        let (reconfigure, stop) = (self.reconfigure(&slots, untold), self.stop(&slots));
        let steps = [self.rename(), first, start, reconfigure, roll, scale, stop, self.appear()];
        let operations: Vec<_> = steps.into_iter().flatten().collect();
        let mut notes = self.notes(&next_fields);
        if self.is_awaited {
            notes.extend(unready::notes(self.name, self.target, &self.live, &operations, |_| true));
        }
        AppSteps { operations, notes }
    }

    /// What is said of an app without operations: kept, or held.
    pub(super) fn rest(&self) -> Operation {
        match &self.target.desired_state {
            DesiredState::Stopped { .. } => self.operation(Verb::Hold, vec![self.desired_state_reason()], 0),
            DesiredState::NotStarted => self.operation(Verb::Keep, vec![Reason::NotAutostarted], 0),
            DesiredState::Up => {
                let drift = self.target.scaled.filter(|_| self.target.spec.instances.is_some());
                let on_time = self.target.spec.is_timed_task().then_some(Reason::RunsOnTime);
                let reasons = drift.map(|to| Reason::ScaledByHand { to }).into_iter().chain(on_time).collect();
                self.operation(Verb::Keep, reasons, 0)
            }
        }
    }

    fn rename(&self) -> Option<Operation> {
        let old = self.renamed_from?;
        let reason = Reason::MovedFrom { old: old.clone() };
        Some(self.operation(Verb::Rename { from: old.clone() }, vec![reason], 0))
    }

    /// Copies added or removed; and the absent slots that are a matter of starting, not of scaling.
    fn scale<'s>(&self, slots: &'s Slots, fields: &[Field]) -> (Option<Operation>, &'s [u32]) {
        let was_up = self.prior.is_some_and(|prior| prior.desired_state == DesiredState::Up);
        let old_count = self.prior.map_or(0, Declared::instances);
        let is_by_hand = !self.is_asked && self.target.scaled.is_some() && !self.live.is_empty();
        let is_growth = !slots.absent.is_empty()
            && was_up
            && (old_count != self.target.instances() || is_by_hand)
            && self.target.desired_state == DesiredState::Up;
        if slots.extra.is_empty() && !is_growth {
            return (None, &slots.absent);
        }
        let add = if is_growth { slots.absent.clone() } else { Vec::new() };
        let from = if self.prior.is_none() || old_count == self.target.instances() {
            u32::try_from(self.live.len()).unwrap_or(u32::MAX)
        } else {
            old_count
        };
        let verb = Verb::Scale { from, to: self.target.instances(), add, remove: slots.extra.clone() };
        let operation = self.operation(verb, self.scale_reasons(fields), running(&self.live, &slots.extra));
        (Some(operation), if is_growth { &[] } else { &slots.absent })
    }

    fn scale_reasons(&self, fields: &[Field]) -> Vec<Reason> {
        let mut reasons: Vec<_> = self.field_reasons(fields).collect();
        let old_scale = self.prior.and_then(|prior| prior.scaled);
        match (old_scale, self.target.scaled) {
            (Some(to), None) | (_, Some(to)) => reasons.push(Reason::ScaledByHand { to }),
            (None, None) => {}
        }
        if reasons.is_empty() {
            reasons.push(Reason::TooMany);
        }
        reasons
    }

    fn start(&self, slots: &Slots, absent: &[u32], fields: &[Field]) -> Option<Operation> {
        let mut starting: Vec<_> = slots.down.iter().chain(absent).copied().collect();
        starting.sort_unstable();
        if starting.is_empty() {
            return None;
        }
        let mut reasons = vec![self.start_reason(slots)];
        reasons.extend(self.field_reasons(fields));
        Some(self.operation(Verb::Start { slots: starting }, reasons, 0))
    }

    fn start_reason(&self, slots: &Slots) -> Reason {
        match self.prior.map(|prior| &prior.desired_state) {
            _ if slots.has_lost_spec => Reason::SpecLost,
            None => Reason::New,
            Some(DesiredState::Stopped { by, at, .. }) => Reason::WasStopped { by: by.clone(), at: *at },
            Some(_) if slots.has_errored => Reason::WasErrored,
            Some(_) if slots.has_backoff => Reason::WasInBackoff,
            Some(_) if slots.is_restart_asked && slots.stale.is_empty() => Reason::RestartAsked,
            Some(_) => Reason::NotRunning,
        }
    }

    fn roll(&self, slots: &Slots, fields: &[Field]) -> Option<Operation> {
        if slots.stale.is_empty() {
            return None;
        }
        let mut reasons = Vec::new();
        if slots.is_restart_asked {
            reasons.push(Reason::RestartAsked);
        }
        if let Some(renewal) = self.renewal.filter(|_| slots.is_outlived) {
            reasons.push(Reason::DependencyRestarted { app: renewal.app.clone() });
        }
        if slots.is_out_of_date && !fields.iter().any(|field| field.class == Class::Respawn) {
            reasons.push(Reason::OutOfDate);
        }
        if slots.has_lost_spec {
            reasons.push(Reason::SpecLost);
        }
        if slots.is_unreachable {
            reasons.push(Reason::Unreachable);
        }
        reasons.extend(self.field_reasons(fields));
        if reasons.is_empty() {
            reasons.push(Reason::OutOfDate);
        }
        let verb = rollouts::roll(&self.target.spec, slots.stale.clone(), &self.live);
        let interrupts = rollouts::interrupted(&self.target.spec, &self.live, &slots.stale);
        Some(self.operation(verb, reasons, interrupts))
    }

    fn stop(&self, slots: &Slots) -> Option<Operation> {
        if slots.unwanted.is_empty() {
            return None;
        }
        let interrupts = running(&self.live, &slots.unwanted);
        Some(self.operation(
            Verb::Stop { slots: slots.unwanted.clone() },
            vec![self.desired_state_reason()],
            interrupts,
        ))
    }

    /// New values for processes that stay, or for an app of which nothing runs. One that stays stopped is declared anew all
    /// the same: the plan says both.
    fn reconfigure(&self, slots: &Slots, untold: &[Field]) -> Option<Operation> {
        let mut reasons: Vec<_> = self.field_reasons(untold).collect();
        if matches!(self.target.desired_state, DesiredState::Stopped { .. }) && !reasons.is_empty() {
            reasons.insert(0, self.desired_state_reason());
        }
        if let (true, Some(spec)) = (reasons.is_empty(), slots.followed) {
            let mut fields = difference(spec, &self.target.spec);
            fields.retain(|field| field.class == Class::Live);
            reasons.extend(self.field_reasons(&fields));
        }
        Some(self.operation(Verb::Reconfigure, reasons, 0)).filter(|operation| !operation.reasons.is_empty())
    }

    /// A new task of which nothing is started now: the clock does that.
    fn appear(&self) -> Option<Operation> {
        let is_new =
            self.prior.is_none() && self.target.desired_state == DesiredState::Up && self.target.spec.is_timed_task();
        is_new.then(|| self.operation(Verb::Reconfigure, vec![Reason::New, Reason::RunsOnTime], 0))
    }

    fn desired_state_reason(&self) -> Reason {
        match &self.target.desired_state {
            DesiredState::Up if self.target.spec.is_timed_task() && self.target.stopped_slots.is_empty() => {
                Reason::RunsOnTime
            }
            DesiredState::Stopped { by, is_held, .. } => Reason::StoppedByHand { by: by.clone(), is_held: *is_held },
            DesiredState::NotStarted => Reason::NotAutostarted,
            // Single slots were stopped; who did it is not kept per slot.
            DesiredState::Up => Reason::StoppedByHand { by: String::new(), is_held: false },
        }
    }

    fn field_reasons(&self, fields: &[Field]) -> impl Iterator<Item = Reason> {
        fields.iter().map(|field| {
            let from_shell = self.from_shell.get(&format!("{}.{}", self.name, field.path));
            Reason::Field(field_change(field, from_shell, self.target.spec.run.script.as_deref()))
        })
    }

    fn notes(&self, next_fields: &[Field]) -> Vec<Note> {
        let next_start = |field: &str| Note::NextStart { app: self.name.clone(), field: field.to_owned() };
        let mut notes: Vec<_> = next_fields.iter().map(|field| next_start(&field.path)).collect();
        if self.renamed_from.is_some() && !self.live.is_empty() {
            notes.push(next_start("name"));
        }
        if self.prior.is_some_and(|prior| prior.scaled.is_some()) && self.target.scaled.is_none() {
            notes.push(Note::OverrideCleared { app: self.name.clone() });
        }
        notes
    }

    fn operation(&self, verb: Verb, reasons: Vec<Reason>, interrupts: u32) -> Operation {
        Operation { app: self.name.clone(), verb, reasons, after: Vec::new(), interrupts }
    }
}
