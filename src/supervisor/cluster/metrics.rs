//! Which answer belongs to which question for metrics. What a worker reports just before it leaves waits for whoever asks
//! next.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use crate::cluster::WorkerId;
use crate::model::{AppId, Millis};
use crate::os;
use crate::supervisor::NotSaid;

/// So much is kept of workers that have left; of more than that the oldest is dropped.
const PARTED_BYTES_MAX: usize = 32 << 20;

/// A question for the metrics of one worker.
#[derive(Debug)]
pub(super) struct MetricsQuestion {
    pub id: WorkerId,
    /// Names its process.
    pub key: String,
    /// Its preloaded lines pass the question on.
    pub has_hook: bool,
    /// Gets the line of the answer. Dropped without one: the worker has left.
    pub reply: oneshot::Sender<Result<String, NotSaid>>,
}

/// So long a worker may take to report before it is told to leave: an answer that finds the channel closed would end it.
const ANSWER_WAIT: Millis = Millis::seconds(1);

/// What a worker that has left has reported last: its process, and the line.
pub(in crate::supervisor) type PartingWords = (String, String);

/// All questions that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct MetricsTalks {
    last_request: u64,
    pub by_worker: BTreeMap<WorkerId, Talk>,
    parted: VecDeque<(AppId, PartingWords)>,
}

/// What goes on with one worker.
#[derive(Debug)]
pub(super) struct Talk {
    pub key: String,
    pub has_hook: bool,
    pub waiting: Vec<(u64, oneshot::Sender<Result<String, NotSaid>>)>,
    /// It has reported something before, so it is worth asking as it leaves.
    pub has_answered: bool,
    /// The question that is asked as it leaves.
    pub parting: Option<u64>,
}

impl Talk {
    pub(super) fn new(has_hook: bool) -> Self {
        Self { key: String::new(), has_hook, waiting: Vec::new(), has_answered: false, parting: None }
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.parting.is_some() || !self.waiting.is_empty()
    }
}

impl MetricsTalks {
    /// Never one that an earlier daemon has given, and never more than JavaScript can count.
    pub(super) fn next_request(&mut self) -> u64 {
        self.last_request = self.last_request.max(os::wall().0.saturating_mul(1000)) + 1;
        self.last_request
    }

    /// How much longer a worker that leaves has to be waited for, so that it can answer.
    pub(super) fn wait_for(&self, id: WorkerId) -> Millis {
        if self.by_worker.get(&id).is_some_and(Talk::is_unanswered) { ANSWER_WAIT } else { Millis(0) }
    }

    /// The worker has left: nobody answers any more.
    pub(super) fn forget(&mut self, id: WorkerId) {
        self.by_worker.remove(&id);
    }

    /// What workers of this app have reported as they left, since this was asked last.
    pub(super) fn take_parted(&mut self, app: &AppId) -> Vec<PartingWords> {
        let (taken, rest) = std::mem::take(&mut self.parted).into_iter().partition(|(of, _)| of == app);
        self.parted = rest;
        let taken: VecDeque<(AppId, PartingWords)> = taken;
        taken.into_iter().map(|(_, words)| words).collect()
    }

    pub(super) fn rename(&mut self, from: &AppId, to: &AppId) {
        for (app, _) in self.parted.iter_mut().filter(|(app, _)| app == from) {
            *app = to.clone();
        }
    }

    pub(super) fn keep_parted(&mut self, app: AppId, key: String, line: String) {
        self.parted.push_back((app, (key, line)));
        let mut bytes: usize = self.parted.iter().map(|(_, (_, line))| line.len()).sum();
        while bytes > PARTED_BYTES_MAX {
            let Some((_, (_, oldest))) = self.parted.pop_front() else { return };
            bytes -= oldest.len();
        }
    }
}
