//! One start: announced, created, executed and reported, each a step of its own.

use super::*;

impl Pretended {
    // ---- a start, as `processes/spawn` does it

    pub(super) fn announce(&mut self, row: u32) -> Option<ActorEvent> {
        let has_anchor = self.has_anchor;
        let is_early = self.dice.is_none() || self.chance(2);
        let start = self.starts.get_mut(&row)?;
        let early = match &start.behaviour.failure {
            _ if !has_anchor => Some(anchor_is_gone()),
            Some(Failure::Spawn { error }) if is_early => Some(error.clone()),
            _ => None,
        };
        if early.is_some() {
            start.failure = early;
            return self.report(row);
        }
        if start.job.incarnation > 1 {
            self.journal.borrow_mut().settle();
        }
        let (entry, _) = self.entries.get_mut(row as usize)?;
        assert_eq!(entry.state, RowState::Idle, "a start in row {row}, which is {entry:?}");
        *entry = Entry {
            state: RowState::Spawning,
            incarnation: start.job.incarnation,
            last_number: entry.last_number,
            pid: None,
            started: (self.now, WallTime(self.now.0)),
            exit: entry.exit,
        };
        self.mirror_row(row);
        let delay = self.some(3);
        self.later(delay, Due::Creates(row));
        None
    }

    /// Whether the table has an entry for one more instance.
    pub fn has_room(&self) -> bool {
        self.entries.len() < self.rows_max || self.entries.iter().any(|(entry, _)| entry.state == RowState::Free)
    }

    pub(super) fn create(&mut self, row: u32) -> Option<ActorEvent> {
        assert!(self.living(row).is_none(), "a second process in row {row}: {:?}", self.starts.get(&row));
        assert!(!self.leftovers.contains_key(&row), "a start in row {row} beside what is left of the last one");
        let pid = 100 + u32::try_from(self.processes.len()).ok()?;
        let is_orphan = !self.has_anchor;
        let start = self.starts.get_mut(&row)?;
        start.pid = Some(pid);
        let SpawnJob { id, incarnation, launch, .. } = &start.job;
        let (incarnation, started) = (*incarnation, self.entries[row as usize].0.started.0);
        let record = Record {
            restart_requests: launch.restart_requests,
            digest: launch.digest,
            base_digest: launch.base_digest,
            slot: id.slot,
            is_successor: id.is_successor,
            ..Record::default()
        };
        let Behaviour { failure, ready, exit, sick, stop, .. } = start.behaviour.clone();
        let mut process = Process {
            row,
            incarnation,
            mark: Mark { row, start: started, record },
            stop,
            exit: None,
            is_reaped: false,
            is_orphan,
            failure: failure.clone(),
            said: VecDeque::new(),
        };
        self.entries[row as usize].0.pid = Some(pid);
        if let Some(Failure::Spawn { error }) = failure {
            start.failure = Some(error);
            process.exit = Some(Exit::Code(127));
            self.processes.insert(pid, process);
            let delay = self.some(4);
            if !is_orphan {
                self.later(delay, Due::Reaped(pid));
            }
            let delay = self.some(4);
            self.later(delay, Due::Reports(row));
            return None;
        }
        self.processes.insert(pid, process);
        if let Some(time) = ready {
            self.later(time, Due::Speaks(pid));
        }
        if let Some((code, time)) = exit {
            self.later(time, Due::Exits(pid, code));
        }
        if let Some(time) = sick {
            self.later(time, Due::Probed(pid));
        }
        let delay = self.some(2);
        self.later(delay, Due::Runs(row));
        None
    }

    pub(super) fn run(&mut self, row: u32) {
        let (entry, _) = &mut self.entries[row as usize];
        if entry.state == RowState::Spawning {
            entry.state = RowState::Running;
        }
        let delay = self.some(5);
        self.later(delay, Due::Reports(row));
    }

    pub(super) fn report(&mut self, row: u32) -> Option<ActorEvent> {
        let Start { job, pid, failure, .. } = self.starts.remove(&row)?;
        let outcome = match (failure, pid) {
            (Some(error), _) => Err(error),
            (None, Some(pid)) => {
                let is_open = self.processes.get(&pid).is_some_and(|process| !process.is_reaped);
                if is_open {
                    self.watch(pid);
                }
                Ok(Created { pid, is_open, is_watched: is_open })
            }
            (None, None) => return None,
        };
        Some(ActorEvent::Spawned(SpawnEnd { row, incarnation: job.incarnation, launch: job.launch, outcome }))
    }
}

fn anchor_is_gone() -> SpawnError {
    let message = "the anchor process ended; the start is retried under the next one".to_owned();
    SpawnError { stage: SpawnStage::Output, subject: String::new(), errno: 0, message, is_passing: true }
}
