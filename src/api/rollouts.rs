//! Rolling updates: shown, paused, resumed, aborted.

use axum::body::Bytes;
use axum::extract::State;

use super::Context;
use super::answer::{self, Answer};
use super::select::select;
use crate::wire::{FORMAT, Problem, ProblemCode, RolloutRequest, RolloutsAnswer};

pub(super) async fn list(State(context): State<Context>) -> Answer {
    Ok(answer::json(&RolloutsAnswer { format: FORMAT, rollouts: context.reconciler.rollouts().await? }))
}

pub(super) async fn want(State(context): State<Context>, body: Bytes) -> Answer {
    let RolloutRequest { command, selection } = answer::read(&body)?;
    let desired = context.reconciler.desired().await?;
    let targets = select(&desired, &selection)?;
    let mut followed = Vec::new();
    for target in targets {
        if context.reconciler.command_rollout(target.app.clone(), command).await? {
            followed.push(target.app);
        }
    }
    if followed.is_empty() {
        let problem = Problem::new(ProblemCode::NoSuchApp, "none of these apps is being rolled out");
        return Err(problem.hint("`pm rollout status` lists the rollouts in progress").into());
    }
    let rollouts =
        context.reconciler.rollouts().await?.into_iter().filter(|rollout| followed.contains(&rollout.app)).collect();
    Ok(answer::json(&RolloutsAnswer { format: FORMAT, rollouts }))
}
