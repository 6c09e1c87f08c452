//! Asks all workers of an app for their metrics.

use std::time::Duration;

use tokio::sync::oneshot;

use super::actor::InstanceActor;
use super::cluster::PartingWords;
use super::real::RealHost;
use super::{NotSaid, Request, Supervisor};
use crate::model::{AppId, InstanceId, Phase, Readiness};

/// How long a worker may take; as long as prom-client's own primary waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a worker has answered.
#[derive(Debug)]
pub struct MetricsReport {
    /// Which copy.
    pub instance: InstanceId,
    /// Names its process, and no other one ever.
    pub process: String,
    /// The line of the answer.
    pub line: Result<String, NoReport>,
}

/// Why a worker has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReport {
    /// It is not ready yet, and was not asked.
    #[error("it is not ready yet")]
    Starting,
    /// It is about to leave, and was not asked: what it reported last counts.
    #[error("it is being stopped")]
    Leaving,
    /// Nothing came in time.
    #[error("it has not answered within 5 s; does it use prom-client?")]
    Silent,
    /// Its channel does not take the question.
    #[error("it does not read its messages, and its channel is full")]
    Full,
    /// It has left its channel.
    #[error("it has closed its channel")]
    Left,
}

/// What all workers of an app have answered.
#[derive(Debug, Default)]
pub struct MetricsReports {
    /// Those that live, by slot.
    pub living: Vec<MetricsReport>,
    /// What workers that have left since this was asked last had reported as they left.
    pub parted: Vec<PartingWords>,
}

/// The questions that were asked.
#[derive(Debug)]
pub(crate) struct AskedWorkers {
    workers: Vec<(InstanceId, String, Result<LineReply, NoReport>)>,
    parted: oneshot::Receiver<Vec<PartingWords>>,
}

type LineReply = oneshot::Receiver<Result<String, NotSaid>>;

impl Supervisor {
    /// Asks the workers of this app for their metrics, and waits for all answers for a bounded time.
    pub async fn metrics(&self, app: AppId) -> MetricsReports {
        let (reply, asked) = oneshot::channel();
        if self.requests.send(Request::Metrics(app, reply)).await.is_err() {
            return MetricsReports::default();
        }
        let Ok(AskedWorkers { workers, parted }) = asked.await else { return MetricsReports::default() };
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut living = Vec::new();
        for (instance, process, answer) in workers {
            let line = match answer {
                Err(why) => Err(why),
                Ok(answer) => match tokio::time::timeout_at(end, answer).await {
                    Ok(Ok(Ok(line))) => Ok(line),
                    Ok(Ok(Err(NotSaid::Full))) => Err(NoReport::Full),
                    Ok(Ok(Err(_)) | Err(_)) => Err(NoReport::Left),
                    Err(_) => Err(NoReport::Silent),
                },
            };
            living.push(MetricsReport { instance, process, line });
        }
        MetricsReports { living, parted: parted.await.unwrap_or_default() }
    }
}

/// Asks. Workers that are not ready have nobody who would answer.
pub(super) fn ask_workers(actor: &InstanceActor<RealHost>, app: &AppId) -> AskedWorkers {
    let clusters = &actor.host.world.clusters;
    let workers = actor.registry.iter().filter(|(_, instance)| instance.id.app == *app && instance.machine.is_worker);
    let mut workers: Vec<_> = workers
        .filter_map(|(row, instance)| {
            let process = actor.host.process_key(row).filter(|_| instance.process.is_some())?;
            let answer = match instance.machine.phase(instance.process) {
                Phase::Running { readiness: Readiness::Waiting { .. }, .. } => Err(NoReport::Starting),
                Phase::Running { .. } => Ok(clusters.ask_metrics(row, process.clone(), &instance.record.spec)),
                _ => Err(NoReport::Leaving),
            };
            Some((instance.id.clone(), process, answer))
        })
        .collect();
    workers.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    AskedWorkers { workers, parted: clusters.take_parted(app) }
}
