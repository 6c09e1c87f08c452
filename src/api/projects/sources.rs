//! Git sources: listed, changed, looked at now; and what the worker of a sync asks and reports.

use std::net::SocketAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};

use crate::api::Context;
use crate::api::answer::{self, Answer, Failed};
use crate::api::caller::Caller;
use crate::model::{AppName, Desired, GitSource, SourceCommand, SourceName, SourceSpec, SourceTick, WebhookStatus};
use crate::os;
use crate::plan;
use crate::rules;
use crate::wire::{
    AppReleases, FORMAT, Problem, ProblemCode, Query, SourceRequest, SourceRow, SourceWork, SourcesAnswer,
    StageRequest, SyncRequest, WebhookRow,
};

pub(in crate::api) async fn list(State(context): State<Context>) -> Answer {
    shown(&context, None).await
}

pub(in crate::api) async fn command(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let SourceRequest { source, command } = answer::read(&body)?;
    let is_approved = matches!(command, SourceCommand::Approve { .. });
    context.reconciler.command_source(source.clone(), command, caller.actor()).await?;
    if is_approved {
        context.sources.look_now(source.clone(), false).await;
    }
    shown(&context, Some(&source)).await
}

pub(in crate::api) async fn sync(State(context): State<Context>, body: Bytes) -> Answer {
    let SyncRequest { source, is_forced } = answer::read(&body)?;
    let desired = context.reconciler.desired().await?;
    let Some(known) = desired.sources.get(&source) else { return Err(no_source(&source).into()) };
    if desired.is_shut_down {
        let problem = Problem::new(ProblemCode::Refused, "everything was stopped by `pm shutdown`");
        return Err(problem.hint("`pm start all` starts it again; then sources are followed, too").into());
    }
    if known.is_suspended {
        let problem = Problem::new(ProblemCode::Refused, format!("the source `{source}` is suspended"));
        return Err(problem.hint(format!("`pm source resume {source}` follows it again")).into());
    }
    let answer = shown(&context, Some(&source)).await?;
    context.sources.look_now(source, is_forced).await;
    Ok(answer)
}

pub(in crate::api) async fn stage(State(context): State<Context>, body: Bytes) -> Answer {
    let StageRequest { source, stage } = answer::read(&body)?;
    context.sources.say_stage(&source, stage);
    Ok(answer::json(&SourcesAnswer { format: FORMAT, now: os::wall(), sources: Vec::new() }))
}

pub(in crate::api) async fn work(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let name = query.value::<SourceName>("source")?;
    let name = name.ok_or_else(|| Problem::new(ProblemCode::BadRequest, "which source?"))?;
    let work = context.reconciler.source_work(name.clone(), query.flag("releases")).await?;
    let work = work.ok_or_else(|| Failed(no_source(&name)))?;
    let releases = work.releases.into_iter();
    let releases = releases.map(|(app, releases)| AppReleases { app, releases: releases.into_iter().collect() });
    Ok(answer::json(&SourceWork {
        format: FORMAT,
        project: work.source.record.project.clone(),
        // A worker takes no calls.
        source: GitSource { webhook: None, ..work.source },
        generation: work.generation,
        entry: work.entry,
        changed: work.changed,
        newest_entry: work.newest_entry,
        releases: releases.collect(),
        needed: work.needed.into_iter().collect(),
    }))
}

fn no_source(name: &SourceName) -> Problem {
    Problem::new(ProblemCode::Usage, format!("no source `{name}`")).hint("`pm source list` shows what is followed")
}

async fn shown(context: &Context, only: Option<&SourceName>) -> Answer {
    let desired = context.reconciler.desired().await?;
    let (ticks, webhooks) = (context.sources.ticks(), context.sources.webhooks());
    let meant = desired.sources.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    let sources = meant.map(|(name, source)| {
        row(&desired, (name, source), ticks.get(name).cloned().unwrap_or_default(), webhooks.get(name))
    });
    Ok(answer::json(&SourcesAnswer { format: FORMAT, now: os::wall(), sources: sources.collect() }))
}

fn row(
    desired: &Desired,
    (name, source): (&SourceName, &GitSource),
    tick: SourceTick,
    webhook: Option<&(SocketAddr, WebhookStatus)>,
) -> SourceRow {
    let pinned = |(_, project): (_, &crate::model::Project)| -> Vec<AppName> {
        project.apps.iter().filter(|(_, declared)| declared.pin.is_some()).map(|(app, _)| app.clone()).collect()
    };
    SourceRow {
        source: name.clone(),
        status: rules::source_status(source, tick.is_running, tick.end.is_unreachable),
        spec: SourceSpec { url: source.spec.shown_url(), ..source.spec.clone() },
        is_suspended: source.is_suspended,
        record: source.record.clone(),
        kept_back: plan::project_of(desired, name).map(pinned).unwrap_or_default(),
        webhook: source.webhook.as_ref().map(|declared| WebhookRow {
            listen: declared.listen,
            path: format!("/hooks/{name}"),
            // Known once this address was tried.
            status: webhook
                .filter(|(at, _)| *at == declared.listen)
                .map(|(_, status)| status.clone())
                .unwrap_or_default(),
        }),
        tick,
    }
}
