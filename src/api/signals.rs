//! Signals for main processes.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;

use super::Context;
use super::answer::{self, Answer};
use super::caller::Caller;
use super::messages::running_copies;
use crate::model::{Fact, Subject, any_signal, signal_text};
use crate::supervisor::Unsignalled;
use crate::wire::{
    FORMAT, NotSignalled, Problem, ProblemCode, SignalAnswer, SignalRequest, SignalledProcess, WhyNotSignalled,
};

pub(super) async fn signal(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let SignalRequest { selection, signal } = answer::read(&body)?;
    let Some(number) = any_signal(&signal) else {
        let problem = Problem::new(ProblemCode::Usage, format!("`{signal}` is no signal"));
        return Err(problem.hint("write a name as in `kill -l`, with or without SIG, or its number").into());
    };
    let meant = running_copies(&context, &selection).await?;
    if meant.is_empty() {
        let problem = Problem::new(ProblemCode::Refused, "no copy of these apps exists, so nobody gets the signal");
        return Err(problem.hint("`pm start APP` starts them").into());
    }
    let (signal, by) = (signal_text(number), caller.actor());
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for (instance, outcome) in context.supervisor.signal(meant, number).await {
        match outcome {
            Ok(pid) => {
                let fact = Fact::Signalled { signal: signal.clone(), pid, by: by.clone() };
                context.events.emit(Subject::Instance(instance.clone()), fact);
                sent.push(SignalledProcess { instance, pid });
            }
            Err(why) => failed.push(NotSignalled { instance, why: why.into() }),
        }
    }
    Ok(answer::json(&SignalAnswer { format: FORMAT, signal, number, sent, failed }))
}

impl From<Unsignalled> for WhyNotSignalled {
    fn from(why: Unsignalled) -> Self {
        match why {
            Unsignalled::NotRunning => Self::NotRunning,
            Unsignalled::NotAllowed => Self::NotAllowed,
        }
    }
}
