//! What an instance is started with.

use axum::extract::{RawQuery, State};

use super::Context;
use super::answer::{self, Answer};
use super::select::{existing, select};
use crate::model::{App, Environment, ExecContext, Failure, InstanceId, Run, masked_value};
use crate::os;
use crate::supervisor::exec_context;
use crate::wire::{EnvironmentAnswer, FORMAT, Problem, ProblemCode, Query, Selection};

/// The environment of the selected copy (the first, where an app is selected): of its process if one lives,
/// else of the next start.
pub(super) async fn environment(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let desired = context.reconciler.desired().await?;
    let live = context.supervisor.live().await;
    let targets = existing(select(&desired, &Selection::from_query(&query)?)?, &desired, &live)?;
    let [target] = targets.as_slice() else {
        return Err(Problem::new(ProblemCode::Ambiguous, "select one app: each has an environment of its own")
            .details(targets.iter().map(|target| target.app.to_string()).collect())
            .into());
    };
    let instance = target.app.instance(target.slot.unwrap_or(0));
    let project = desired.projects.get(&target.app.project);
    let Some(declared) = project.and_then(|project| project.apps.get(&target.app.name)) else {
        return Err(Problem::new(ProblemCode::NoSuchApp, format!("no app `{}`", target.app)).into());
    };
    let running = live.instances.get(&instance).filter(|live| live.phase.is_alive());
    let spec = running.map_or(&declared.spec, |live| &live.spec);
    // A copy that a rollout has not reached yet still runs the revision that this would roll back to.
    let before = project.and_then(|project| project.rollouts.get(&target.app.name)?.from.as_ref());
    let is_of = |run: &Run| spec.run == *run;
    let before = before.filter(|from| is_of(&from.spec.run) && !is_of(&declared.spec.run));
    let base = before.map_or(&declared.base, |from| &from.base);
    let context = context_of(&context, spec, base, &instance).map_err(unsettled)?;
    let ExecContext { mut env, cwd, identity, umask, limits } = context;
    let masked = if query.flag("reveal") { Vec::new() } else { mask(&mut env) };
    Ok(answer::json(&EnvironmentAnswer {
        format: FORMAT,
        instance,
        env,
        masked,
        cwd,
        user: spec.run.user.clone(),
        group: spec.run.group.clone(),
        identity: identity.map_or_else(os::own_identity, Ok).map_err(unsettled)?,
        umask,
        limits: os::limits_of_children(&limits).map_err(unsettled)?,
    }))
}

fn mask(env: &mut Environment) -> Vec<String> {
    let mut masked = Vec::new();
    for (name, value) in env {
        let shown = masked_value(name, value).into_owned();
        if shown != *value {
            *value = shown;
            masked.push(name.clone());
        }
    }
    masked
}

/// What the process of this copy is started in; `PM_ID` differs with every start and is left out.
fn context_of(
    context: &Context,
    spec: &App,
    base: &Environment,
    instance: &InstanceId,
) -> Result<ExecContext, Failure> {
    let mut exec =
        exec_context(&context.daemon.home, instance, spec, base, "").map_err(|error| Failure::Spawn { error })?;
    exec.env.remove("PM_ID");
    Ok(exec)
}

fn unsettled(why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::NotRead, format!("cannot determine how the app would be started: {why}"))
}
