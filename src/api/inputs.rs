//! Lines for the standard input of processes.

use axum::body::Bytes;
use axum::extract::State;

use super::Context;
use super::answer::{self, Answer};
use super::messages::running_copies;
use crate::os;
use crate::supervisor::NoInput;
use crate::wire::{FORMAT, InputAnswer, InputRequest, NotWritten, Problem, ProblemCode, WhyNotWritten};

pub(super) async fn input(State(context): State<Context>, body: Bytes) -> Answer {
    let InputRequest { selection, line } = answer::read(&body)?;
    if line.len() >= os::INPUT_BYTES_MAX {
        let problem = Problem::new(ProblemCode::Usage, "the line is longer than 4,095 bytes");
        return Err(problem.hint("a pipe takes no more in one piece").into());
    }
    let meant = running_copies(&context, &selection).await?;
    if meant.is_empty() {
        let problem = Problem::new(ProblemCode::Refused, "no copy of these apps exists, so nobody gets the line");
        return Err(problem.hint("`pm start APP` starts them").into());
    }
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for (instance, outcome) in context.supervisor.input(meant, format!("{line}\n").into_bytes()).await {
        match outcome {
            Ok(()) => sent.push(instance),
            Err(why) => failed.push(NotWritten { instance, why: why.into() }),
        }
    }
    Ok(answer::json(&InputAnswer { format: FORMAT, sent, failed }))
}

impl From<NoInput> for WhyNotWritten {
    fn from(why: NoInput) -> Self {
        match why {
            NoInput::NotRunning => Self::NotRunning,
            NoInput::NoPipe => Self::NoPipe,
            NoInput::Full => Self::Full,
            NoInput::NotAllowed => Self::NotAllowed,
        }
    }
}
