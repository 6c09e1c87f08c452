//! What an instance is started with.

use std::path::Path;

use axum::extract::{RawQuery, State};

use super::Context;
use super::answer::{self, Answer};
use super::select::select;
use crate::model::{App, Environment, InstanceId, masked_value};
use crate::os;
use crate::rules::{self, Place};
use crate::wire::{EnvironmentAnswer, FORMAT, Problem, ProblemCode, Query, Selection};

/// The environment of the selected copy (the first, where an app is selected): of its process if one lives,
/// else of the next start.
pub(super) async fn environment(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let desired = context.reconciler.desired().await?;
    let targets = select(&desired, &Selection::from_query(&query)?)?;
    let [target] = targets.as_slice() else {
        return Err(Problem::new(ProblemCode::Ambiguous, "the environment belongs to one app")
            .details(targets.iter().map(|target| target.app.to_string()).collect())
            .into());
    };
    let instance = target.app.instance(target.slot.unwrap_or(0));
    let project = desired.projects.get(&target.app.project);
    let Some(declared) = project.and_then(|project| project.apps.get(&target.app.name)) else {
        return Err(Problem::new(ProblemCode::NoSuchApp, format!("there is no app `{}`", target.app)).into());
    };
    let live = context.supervisor.live().await;
    let running = live.instances.get(&instance).filter(|live| live.phase.is_alive());
    let spec = running.map_or(&declared.spec, |live| &live.spec);
    let mut env = effective(&context, spec, &declared.base, &instance);
    let masked = if query.flag("reveal") { Vec::new() } else { mask(&mut env) };
    Ok(answer::json(&EnvironmentAnswer {
        format: FORMAT,
        instance,
        env,
        masked,
        cwd: spec.run.cwd.clone(),
        user: spec.run.user.clone(),
        group: spec.run.group.clone(),
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

/// What the process of this copy is started with; `PM_ID` differs with every start and is left out.
fn effective(context: &Context, spec: &App, base: &Environment, instance: &InstanceId) -> Environment {
    let home = context.daemon.home.to_string_lossy();
    let place = Place { instance, home: &home, cookie: "", identity: identity(spec) };
    let mut env = rules::environment(spec, base, &place);
    env.remove("PM_ID");
    env
}

/// An app of another user is at home elsewhere.
fn identity(spec: &App) -> Option<[(&'static str, String); 4]> {
    let user = os::user_named(spec.run.user.as_deref()?).ok()??;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (home, shell) = (text(&user.home), text(&user.shell));
    Some([("HOME", home), ("USER", user.name.clone()), ("LOGNAME", user.name), ("SHELL", shell)])
}
