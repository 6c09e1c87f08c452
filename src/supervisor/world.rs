//! What the supervisor works with: the table, the anchor, the pump, the bus.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::cluster::Clusters;
use super::host::SpawnJob;
use super::outputs::{Listeners, Outputs};
use crate::anchor::{AnchorLink, Mirror, Row, RowState, Table};
use crate::events::Events;
use crate::logs::{self, ExportFile, Location, LogTarget, Pump};
use crate::model::{InstanceId, Limits, LogPolicy, Moment, Run, Stream};
use crate::os::{Groups, Home, Worker};
use crate::rules::StartMark;

/// How long anybody waits for the journal; only a disk that hangs takes longer.
const JOURNAL_WAIT: Duration = Duration::from_millis(50);

/// Shared by the loop and the spawning threads; nothing in it is changed but through its own atomics and locks.
#[derive(Debug)]
pub struct World {
    /// Where everything lies.
    pub home: Home,
    /// The shared table.
    pub table: Table,
    /// Its copy for the case that both processes die.
    pub mirror: Mirror,
    /// The way to the anchor, the parent of every app.
    pub anchor: AnchorLink,
    /// Writes the logs.
    pub pump: Pump,
    /// The pipes that come out of apps.
    pub outputs: Outputs,
    /// Where facts are told.
    pub events: Events,
    /// Sockets that are held open for apps.
    pub listeners: Listeners,
    /// Workers that share sockets.
    pub clusters: Clusters,
    /// Where control groups are made; looked for when the first app needs one, with the reason if there are none.
    pub groups: OnceLock<Result<Groups, String>>,
    /// Threads that spawn.
    pub spawners: Worker,
}

impl World {
    /// `PM_ID` of one start.
    pub(super) fn mark(&self, job: &SpawnJob, start: Moment) -> StartMark {
        StartMark {
            home: self.table.home_id(),
            row: job.row,
            incarnation: job.incarnation,
            start,
            slot: job.id.slot,
            is_successor: job.id.is_successor,
            restart_requests: job.launch.restart_requests,
            digest: job.launch.digest,
            base_digest: job.launch.base_digest,
            is_helper: false,
        }
    }

    /// `PM_ID` of a command beside the process of a row.
    pub(super) fn helper_mark(&self, job: &SpawnJob) -> StartMark {
        let start = self.table.row(job.row).map_or(Moment(0), |row| row.started().0);
        StartMark { is_helper: true, ..self.mark(job, start) }
    }

    /// Control groups, if these limits need one and there are any.
    pub(super) fn groups_for(&self, limits: &Limits) -> Option<&Groups> {
        let needs_one = limits.memory.is_some() || limits.cpu.is_some();
        if needs_one { self.groups() } else { None }
    }

    /// Which of these limits cannot be had on this machine, and why.
    pub fn missing_limits(&self, limits: &Limits) -> Option<String> {
        if limits.memory.is_none() && limits.cpu.is_none() {
            return None;
        }
        match self.look_for_groups() {
            Ok(groups) => groups.missing(limits),
            Err(why) => {
                let wanted = [("memory", limits.memory.is_some()), ("cpu", limits.cpu.is_some())];
                let wanted = wanted.iter().filter(|(_, is_wanted)| *is_wanted);
                let names: Vec<_> = wanted.map(|(name, _)| format!("`limits.{name}`")).collect();
                Some(format!("{}: {why}", names.join(", ")))
            }
        }
    }

    /// Control groups, if there are any.
    pub(super) fn groups(&self) -> Option<&Groups> {
        self.look_for_groups().as_ref().ok()
    }

    fn look_for_groups(&self) -> &Result<Groups, String> {
        let in_use = |row| {
            let state = self.table.row(row).map(Row::state);
            matches!(state, Some(RowState::Spawning | RowState::Running | RowState::Exited))
        };
        self.groups.get_or_init(|| Groups::find(&format!("{:016x}", self.table.home_id()), in_use))
    }

    /// Where a stream of a process goes under a policy.
    pub fn target(&self, id: &InstanceId, stream: Stream, policy: &LogPolicy, run: &Run) -> LogTarget {
        LogTarget {
            instance: id.clone(),
            location: log_location(&self.home, id, stream, policy, run),
            exports: exports(id, stream, policy, run),
            rotation: policy.log_rotate,
            on_full: policy.on_log_full,
        }
    }

    /// What was told until now stands in the journal, and so the next daemon finds it: for a row that is about to forget
    /// it.
    pub(super) fn settle_facts(&self) {
        self.events.settle(JOURNAL_WAIT);
    }

    /// Copies rows to the file that is read when both processes died. On a full disk that file is out of date and
    /// nothing else suffers.
    pub fn mirror(&self, rows: impl IntoIterator<Item = u32>) {
        let _ = self.mirror.write(rows.into_iter().filter_map(|row| self.table.row(row)));
    }
}

/// The files that are written from that log.
fn exports(id: &InstanceId, stream: Stream, policy: &LogPolicy, run: &Run) -> Vec<ExportFile> {
    let files = policy.exported_files(stream).map(|path| ExportFile {
        location: Location::named(PathBuf::from(path.fill(id.slot, run.port)), run),
        form: policy.form.clone(),
    });
    files.collect()
}

/// The file of one output of one instance, as it is written and read.
pub fn log_location(home: &Home, id: &InstanceId, stream: Stream, policy: &LogPolicy, run: &Run) -> Location {
    Location::of(log_path(&home.logs, id, stream, policy, run), stream, policy, run)
}

/// The path of that file: the one place that knows it. What is open in it depends on the slot and its port.
pub fn log_path(folder: &Path, id: &InstanceId, stream: Stream, policy: &LogPolicy, run: &Run) -> PathBuf {
    match policy.direct_file(stream) {
        Some(path) => PathBuf::from(path.fill(id.slot, run.port)),
        None => logs::default_path(folder, &id.app.project, &id.app.name, id.slot, stream),
    }
}
