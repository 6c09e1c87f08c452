//! Information about the daemon, and requests to restart or stop it.

use axum::extract::State;

use super::answer::{self, Answer};
use super::{Context, Leave};
use crate::model::Live;
use crate::os;
use crate::reconciler::ReconcileError;
use crate::wire::{self, DaemonAnswer, Problem, ProblemCode};

pub(super) async fn status(State(context): State<Context>) -> Answer {
    Ok(answer::json(&about(&context).await?))
}

/// Another daemon takes over; apps are not touched.
pub(super) async fn restart(State(context): State<Context>) -> Answer {
    leave(&context, Leave::Restart).await
}

/// Daemon and anchor exit. Refused while anything runs: it would be unsupervised.
pub(super) async fn stop(State(context): State<Context>) -> Answer {
    let alive = alive(&*context.supervisor.live().await);
    if alive > 0 {
        let message = format!("{alive} processes are running, and nothing would supervise them without the daemon");
        let problem = Problem::new(ProblemCode::Refused, message);
        return Err(problem
            .hint("`pm shutdown` stops them and the daemon; `pm daemon restart` keeps them running")
            .into());
    }
    leave(&context, Leave::Stop).await
}

/// Whether no process runs, so that the daemon may end.
pub(super) async fn is_idle(context: &Context) -> bool {
    alive(&*context.supervisor.live().await) == 0
}

async fn leave(context: &Context, how: Leave) -> Answer {
    let about = about(context).await?;
    let leaving = |_| Problem::new(ProblemCode::ShuttingDown, "the daemon is already shutting down");
    context.leave.try_send(how).map_err(leaving)?;
    Ok(answer::json(&about))
}

async fn about(context: &Context) -> Result<DaemonAnswer, ReconcileError> {
    let desired = context.reconciler.desired().await?;
    let live = context.supervisor.live().await;
    let facts = &context.daemon;
    let apps: usize = desired.projects.values().map(|project| project.apps.len()).sum();
    Ok(DaemonAnswer {
        format: wire::FORMAT,
        pid: facts.pid,
        anchor_pid: facts.anchor_pid,
        version: wire::VERSION.to_owned(),
        protocol: wire::PROTOCOL,
        home: facts.home.clone(),
        started_at: facts.started_at,
        uptime_ms: os::now().since(facts.started),
        apps: u32::try_from(apps).unwrap_or(u32::MAX),
        running: alive(&live),
        is_shut_down: desired.is_shut_down,
    })
}

fn alive(live: &Live) -> u32 {
    let alive = live.instances.values().filter(|instance| instance.phase.is_alive()).count();
    u32::try_from(alive).unwrap_or(u32::MAX)
}
