//! Plans, applies, edits, shutdown: intents for the reconciler, and their progress as a stream.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::answer::{self, Answer, Failed};
use super::caller::Caller;
use super::rows::with_forgotten;
use super::select::select;
use super::stream::Outlet;
use super::{Context, Leave, daemon};
use crate::model::{Edit, Progress, ProjectName, Target};
use crate::reconciler::Accepted;
use crate::wire::{
    AcceptedPlan, ApplyRequest, ChangeMessage, EditRequest, FORMAT, PlanAnswer, PlanRequest, Problem, ProblemCode,
    ProjectReport, Query,
};

/// Steps on their way from several projects into one stream.
const STEPS_MAX: usize = 64;

pub(super) async fn plan(State(context): State<Context>, body: Bytes) -> Answer {
    let PlanRequest { proposed, options } = answer::read(&body)?;
    let (plan, refusals) = context.reconciler.plan(proposed, options).await?;
    let (digest, warnings) = (plan.digest(), context.warnings.take());
    Ok(answer::json(&PlanAnswer { format: FORMAT, digest, plan, refusals, warnings }))
}

pub(super) async fn apply(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    let ApplyRequest { proposed, options } = answer::read(&body)?;
    drop(body);
    let (outlet, response) = context.followers.open_change()?;
    let mut accepted = context.reconciler.apply(proposed, options, caller.actor()).await?;
    if Query::parse(query.as_deref().unwrap_or_default()).flag("brief") {
        accepted.plan.leave_out_kept();
    }
    Ok(told(outlet, response, vec![accepted], context.warnings.take(), None))
}

pub(super) async fn edit(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    let EditRequest { edit, selection } = answer::read(&body)?;
    let live = context.supervisor.live().await;
    let desired = with_forgotten(context.reconciler.desired().await?, &live);
    let targets = select(&desired, &selection)?;
    check(&edit, &targets)?;
    let (outlet, response) = context.followers.open_change()?;
    let accepted = context.reconciler.edit(targets, edit, caller.actor()).await?;
    let warnings = context.warnings.take();
    let is_last = Query::parse(query.as_deref().unwrap_or_default()).flag("leave");
    Ok(told(outlet, response, accepted, warnings, is_last.then_some((context, Leave::Stop))))
}

pub(super) async fn shut_down(State(context): State<Context>, Extension(caller): Extension<Caller>) -> Answer {
    let (outlet, response) = context.followers.open_change()?;
    let accepted = context.reconciler.shut_down(caller.actor()).await?;
    let warnings = context.warnings.take();
    Ok(told(outlet, response, accepted, warnings, Some((context, Leave::ShutDown))))
}

/// An edit that makes sense for whole apps only must not name a slot; one without any target does nothing.
fn check(edit: &Edit, targets: &[Target]) -> Result<(), Failed> {
    let verb = match edit {
        Edit::Delete => "delete",
        Edit::Scale { .. } => "scale",
        Edit::Run => "cron run",
        Edit::Start | Edit::Stop { .. } | Edit::Restart | Edit::AutoRestart | Edit::Reload | Edit::Unhold => {
            return Ok(());
        }
    };
    match targets.iter().find_map(|target| Some((target, target.slot?))) {
        Some((target, slot)) => {
            let message = format!("`{verb}` works on whole apps, but `{}/{slot}` is one copy", target.app);
            Err(Problem::new(ProblemCode::Usage, message).hint("change the number of copies with `pm scale`").into())
        }
        None => Ok(()),
    }
}

/// Answers at once; the rest is streamed as it happens. The change does not depend on a listener. `then` the daemon may
/// leave; for [`Leave::Stop`] only if nothing runs.
pub(super) fn told(
    outlet: Outlet,
    response: Response,
    accepted: Vec<Accepted>,
    warnings: Vec<String>,
    then: Option<(Context, Leave)>,
) -> Response {
    tokio::spawn(async move {
        tell(outlet, accepted, warnings).await;
        if let Some((context, leave)) = then
            && (leave != Leave::Stop || daemon::is_idle(&context).await)
        {
            let _ = context.leave.send(leave).await;
        }
    });
    response
}

/// One step, and of which project; `None` = the project's progress ended without a report.
type Step = (ProjectName, Option<StepNews>);

enum StepNews {
    Progress(Progress),
    Missed(u64),
}

async fn tell(outlet: Outlet, accepted: Vec<Accepted>, mut warnings: Vec<String>) {
    let (steps, mut queue) = mpsc::channel(STEPS_MAX);
    let mut plans = Vec::with_capacity(accepted.len());
    warnings.extend(accepted.iter().find_map(|accepted| accepted.unremembered.clone()));
    for Accepted { plan, generation, progress, .. } in accepted {
        tokio::spawn(forward(plan.project.clone(), progress, steps.clone()));
        plans.push(AcceptedPlan { accepted_generation: generation, plan });
    }
    drop(steps);
    let mut waiting = plans.len();
    let mut reports = Vec::with_capacity(plans.len());
    // A reader that went away is no reason to stop listening: shutdown must still see the end.
    outlet.send(&ChangeMessage::Accepted { plans, warnings }).await;
    while waiting > 0 {
        let Some((project, told)) = queue.recv().await else { break };
        let message = match told {
            Some(StepNews::Progress(Progress::Finished(report))) => {
                waiting -= 1;
                reports.push(ProjectReport { project, report });
                continue;
            }
            Some(StepNews::Progress(progress)) => ChangeMessage::Progress { project, progress },
            Some(StepNews::Missed(count)) => ChangeMessage::Missed { project, count },
            None => break,
        };
        outlet.send(&message).await;
    }
    let last = if waiting == 0 { ChangeMessage::Finished { reports } } else { interrupted() };
    outlet.send(&last).await;
}

/// Passes one project's steps on until its report.
async fn forward(project: ProjectName, mut progress: broadcast::Receiver<Progress>, steps: mpsc::Sender<Step>) {
    loop {
        let told = match progress.recv().await {
            Ok(step) => Some(StepNews::Progress(step)),
            Err(RecvError::Lagged(count)) => Some(StepNews::Missed(count)),
            Err(RecvError::Closed) => None,
        };
        let is_last = matches!(told, None | Some(StepNews::Progress(Progress::Finished(_))));
        if steps.send((project.clone(), told)).await.is_err() || is_last {
            return;
        }
    }
}

fn interrupted() -> ChangeMessage {
    let problem = Problem::new(ProblemCode::ShuttingDown, "the daemon is shutting down before the change is complete")
        .hint("the change is saved; the next daemon continues it; `pm list` shows how far it is");
    ChangeMessage::Interrupted { problem }
}
