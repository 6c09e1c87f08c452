//! Messages for processes that have a channel.

use axum::body::Bytes;
use axum::extract::State;

use super::Context;
use super::answer::{self, Answer, Failed};
use super::select::{existing, select};
use crate::model::InstanceId;
use crate::rules;
use crate::wire::{FORMAT, NotSent, Problem, ProblemCode, Selection, SendAnswer, SendRequest, WhyNotSent};

pub(super) async fn send(State(context): State<Context>, body: Bytes) -> Answer {
    let SendRequest { selection, message } = answer::read(&body)?;
    let line = rules::message_line(&message).map_err(|why| Problem::new(ProblemCode::Usage, why.to_string()))?;
    let meant = running_copies(&context, &selection).await?;
    if meant.is_empty() {
        let problem = Problem::new(ProblemCode::Refused, "no copy of these apps exists, so nobody gets the message");
        return Err(problem.hint("`pm start APP` starts them").into());
    }
    let mut answer = SendAnswer { format: FORMAT, sent: Vec::new(), failed: Vec::new() };
    for (instance, outcome) in context.supervisor.say(meant, line).await {
        match outcome {
            Ok(()) => answer.sent.push(instance),
            Err(why) => answer.failed.push(NotSent { instance, why: why.into() }),
        }
    }
    Ok(answer::json(&answer))
}

/// The copies that a selection means, as far as they exist.
pub(super) async fn running_copies(context: &Context, selection: &Selection) -> Result<Vec<InstanceId>, Failed> {
    let desired = context.reconciler.desired().await?;
    let running = context.supervisor.live().await;
    let targets = existing(select(&desired, selection)?, &desired, &running)?;
    let is_meant = |id: &InstanceId| {
        targets.iter().any(|target| target.app == id.app && target.slot.is_none_or(|slot| slot == id.slot))
    };
    Ok(running.instances.keys().filter(|id| is_meant(id)).cloned().collect())
}

impl From<crate::supervisor::NotSaid> for WhyNotSent {
    fn from(why: crate::supervisor::NotSaid) -> Self {
        match why {
            crate::supervisor::NotSaid::NotRunning => Self::NotRunning,
            crate::supervisor::NotSaid::NoChannel => Self::NoChannel,
            crate::supervisor::NotSaid::Full => Self::Full,
        }
    }
}
