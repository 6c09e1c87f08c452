//! Hooks: commands that run before or besides a process, and what waits for them.

use super::{Effect, End, Machine, State, Then};
use crate::model::{Exit, Fact, Failure, Hook, HookUnderWay, Millis, Moment};

/// Hooks end themselves at their limit, but may have to wait for a thread; one that is not heard of this much later
/// never will be.
const SILENCE_MAX: Millis = Millis::seconds(60);

impl Machine {
    /// Asks for a hook if the policy has one; says whether it does.
    pub(super) fn run_hook(&self, hook: Hook, effects: &mut Vec<Effect>) -> bool {
        let has_one = self.policy.hooks.command(hook).is_some();
        if has_one {
            effects.push(Effect::Hook(hook));
        }
        has_one
    }

    /// What a hook is about is over.
    pub(super) fn end_hook(&self, hook: Hook, effects: &mut Vec<Effect>) {
        if self.policy.hooks.command(hook).is_some() {
            effects.push(Effect::EndHook(hook));
        }
    }

    pub(super) fn hook_deadline(&self, now: Moment) -> Moment {
        now.after(self.policy.hooks.limit()).after(SILENCE_MAX)
    }

    /// The hook that the start or the stop waits for.
    pub fn hook_under_way(&self) -> Option<HookUnderWay> {
        let (hook, until) = match &self.state {
            State::Preparing { until, .. } => (Hook::PreStart, until),
            State::Leaving { until, .. } => (Hook::PreStop, until),
            _ => return None,
        };
        let limit = self.policy.hooks.limit();
        let since = Moment(until.0.saturating_sub(limit.0.saturating_add(SILENCE_MAX.0)));
        Some(HookUnderWay { hook, since, limit })
    }

    pub(super) fn hook_ended(
        &mut self,
        incarnation: u32,
        hook: Hook,
        result: Result<(), String>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(message) = &result {
            effects.push(Effect::Emit(Fact::HookFailed { hook, message: message.clone() }));
        }
        match (&self.state, hook) {
            _ if incarnation != self.incarnation => {}
            (State::Preparing { cause, .. }, Hook::PreStart) => {
                let cause = cause.clone();
                match result {
                    Ok(()) => self.create(cause, effects),
                    Err(message) => {
                        self.not_started(&cause, Failure::Hook { hook, message }, now, effects);
                    }
                }
            }
            // Whatever the hook said: the stop continues.
            (State::Leaving { since, then, .. }, Hook::PreStop) => {
                let (since, then) = (*since, then.clone());
                self.ask(since, then, now, effects);
            }
            _ => {}
        }
    }

    /// The hook that this state waits for has neither ended nor been ended in time.
    pub(super) fn hook_lost(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let hook = if matches!(self.state, State::Preparing { .. }) { Hook::PreStart } else { Hook::PreStop };
        effects.push(Effect::EndHook(hook));
        let message =
            format!("it did not report within {}", Millis(self.policy.hooks.limit().0.saturating_add(SILENCE_MAX.0)));
        self.hook_ended(self.incarnation, hook, Err(message), now, effects);
    }
}

impl Then {
    /// The process that was ended for a reason has told how it ended.
    pub(super) fn learn(&mut self, found: Exit) {
        if let Self::Evaluate { end: End::Ended { exit, .. }, .. } = self {
            *exit = found;
        }
    }
}
