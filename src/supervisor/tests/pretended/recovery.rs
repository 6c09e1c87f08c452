//! What a new daemon asks of the machine: what the last one has left, and what the table does not list.

use super::*;

impl Pretended {
    // ---- who is missing in the table, as `processes/unlisted` does it

    /// Gives a living process its row back.
    pub(super) fn list(&mut self, pid: u32) -> Option<u32> {
        let Process { incarnation, mark, .. } = self.processes[&pid].clone();
        let (entry, known) = self.entries[mark.row as usize];
        let has_process = matches!(entry.state, RowState::Spawning | RowState::Running);
        let is_same = has_process && entry.incarnation == incarnation && entry.started.0 == mark.start;
        let has_row = |(entry, _): &(Entry, Record)| {
            matches!(entry.state, RowState::Spawning | RowState::Running) && entry.pid == Some(pid)
        };
        if self.entries.iter().any(has_row) {
            return None;
        }
        let lives = has_process && entry.pid.is_some_and(|pid| self.processes[&pid].exit.is_none());
        let is_older = !lives && entry.incarnation <= incarnation && entry.started.0 <= mark.start;
        let is_awaited = is_same && entry.state == RowState::Spawning && entry.pid.is_none();
        let (row, record) = match entry.state {
            _ if is_awaited => (mark.row, known),
            RowState::Free => (mark.row, mark.record),
            _ if is_older => (mark.row, record_of(&known, &mark.record)),
            _ => (self.claim_free_row()?, mark.record),
        };
        let exit = self.entry(row).exit;
        let (state, started) = (RowState::Running, (mark.start, WallTime(mark.start.0)));
        let entry = Entry { state, incarnation, last_number: 0, pid: Some(pid), exit, started };
        self.entries[row as usize] = (entry, record);
        if let Some(process) = self.processes.get_mut(&pid) {
            process.row = row;
        }
        Some(row)
    }

    /// Of a process that has ended and left another: its row, if that is free; what is left ends otherwise.
    pub(super) fn list_leftover(&mut self, row: u32, main: u32) -> Option<u32> {
        let Process { incarnation, mark, .. } = self.processes[&main].clone();
        let entry = self.entry(row);
        let has_process = matches!(entry.state, RowState::Spawning | RowState::Running);
        let is_same = has_process && entry.incarnation == incarnation && entry.started.0 == mark.start;
        if is_same && entry.pid.is_some() {
            return None;
        }
        if !is_same && entry.state != RowState::Free || mark.row != row {
            self.leftovers.remove(&row);
            return None;
        }
        let record = if is_same { self.entries[row as usize].1 } else { mark.record };
        // Nobody knows its pid any more, and so not under which other name its end was told.
        self.nameless.insert(main);
        let started = (mark.start, WallTime(mark.start.0));
        let exit = Some((Exit::Unknown, self.now));
        let entry = Entry { state: RowState::Exited, incarnation, last_number: 0, pid: None, exit, started };
        self.entries[row as usize] = (entry, record);
        Some(row)
    }

    /// What was told since the last time.
    pub(crate) fn take_facts(&mut self) -> Vec<(Subject, Fact)> {
        self.journal.borrow_mut().take()
    }
}

/// Of an earlier start only what is counted over all of them stays.
fn record_of(known: &Record, mark: &Record) -> Record {
    let Record { restarts, unstable, force_kills, next_start, stop_deadline, .. } = *known;
    Record { restarts, unstable, force_kills, next_start, stop_deadline, saved_state: EntryState::None, ..*mark }
}

impl Recovery for Pretended {
    fn rows(&self) -> Vec<u32> {
        let used = self.entries.iter().enumerate().filter(|(_, (entry, _))| entry.state != RowState::Free);
        used.filter_map(|(row, _)| u32::try_from(row).ok()).collect()
    }

    fn record(&self, row: u32) -> Record {
        self.entries[row as usize].1
    }

    fn list_unlisted(&mut self) -> (Vec<String>, Vec<u32>) {
        let mut changed = Vec::new();
        if !std::mem::take(&mut self.is_look_due) {
            return (Vec::new(), changed);
        }
        let is_awaited = |(entry, _): &(Entry, Record)| entry.state == RowState::Spawning && entry.pid.is_none();
        for _ in 0..2 {
            let alive = self.processes.iter().filter(|(_, process)| process.exit.is_none());
            for pid in alive.map(|(pid, _)| *pid).collect::<Vec<_>>() {
                changed.extend(self.list(pid));
            }
            for (row, main) in self.leftovers.clone() {
                changed.extend(self.list_leftover(row, main));
            }
            if !self.entries.iter().any(is_awaited) {
                break;
            }
        }
        (Vec::new(), changed)
    }

    fn open_main(&mut self, row: u32) -> Option<u32> {
        let entry = &mut self.entries[row as usize].0;
        let pid = entry.pid.filter(|pid| !self.processes[pid].is_reaped)?;
        let process = &self.processes[&pid];
        // A stranger reaps at once.
        if process.is_orphan && process.exit.is_some() {
            return None;
        }
        if entry.state == RowState::Spawning {
            entry.state = RowState::Running;
        }
        Some(pid)
    }

    fn is_main_alive(&self, row: u32) -> bool {
        self.living(row).is_some()
    }

    fn succeed_unheard(&mut self, _row: u32) -> Option<(u32, u32)> {
        None
    }

    fn abandon(&mut self, row: u32) -> bool {
        self.act();
        let entry = &mut self.entries[row as usize].0;
        if entry.pid.is_some() || entry.state != RowState::Spawning {
            return false;
        }
        (entry.state, entry.incarnation) = (RowState::Idle, entry.incarnation.saturating_sub(1));
        true
    }

    fn exited_unseen(&mut self, row: u32) {
        self.act();
        let now = self.now;
        let entry = &mut self.entries[row as usize].0;
        if matches!(entry.state, RowState::Spawning | RowState::Running) {
            (entry.state, entry.exit) = (RowState::Exited, Some((Exit::Unknown, now)));
        }
    }

    fn identity(&self, _row: u32) -> Option<InstanceId> {
        None
    }

    fn died_before_exec(&self, row: u32, _launch: &Launch) -> Option<Failure> {
        self.entry(row).pid.and_then(|pid| self.processes.get(&pid))?.failure.clone()
    }

    fn take_over(&mut self, taken: &TakenOver<'_>) -> Watch {
        self.act();
        let entry = self.entry(taken.row);
        let is_open = matches!(entry.state, RowState::Running);
        let pid = entry.pid.filter(|pid| is_open && !self.processes[pid].is_reaped);
        let Some(pid) = pid else { return Watch::None };
        self.watch(pid);
        if self.processes[&pid].exit.is_some() { Watch::Ended } else { Watch::Watched }
    }

    fn know_memory(&mut self, _row: u32) {}

    fn kept_status(&self, _row: u32, _incarnation: u32, _spec: &App) -> Option<String> {
        None
    }

    fn end_double(&mut self, row: u32, id: &InstanceId) {
        let is_same = |(other, (entry, _)): (usize, &(Entry, Record))| {
            other != row as usize && entry.state != RowState::Free && entry.pid == self.entry(row).pid
        };
        let is_listed_twice = self.entry(row).pid.is_some() && self.entries.iter().enumerate().any(is_same);
        assert!(!is_listed_twice, "the process of row {row} would be ended, as a second one of itself: {id}");
        if let Some(process) = self.living(row).and_then(|pid| self.processes.get_mut(&pid)) {
            assert!(process.is_orphan, "the process of row {row} is a second one of {id}");
            process.exit = Some(Exit::Signal(SIGKILL));
        }
        // Only a copy of the table that is out of date has two rows of one name. Which name the dropped one had in the end,
        // and so under which one its end was to be told, nobody knows.
        assert!(self.was_out_of_date, "row {row} is a second one of {id}, and the copy of the table had everything");
        self.unknowable.extend(self.entry(row).pid);
        self.leftovers.remove(&row);
        self.entries[row as usize].0 = Entry::free();
    }

    fn was_exit_emitted(&self, id: &InstanceId, process: &StartedProcess, _at: WallTime) -> bool {
        self.journal.borrow().index().was_exit_told(id, process)
    }

    fn was_start_emitted(&self, id: &InstanceId, process: &StartedProcess, _at: WallTime) -> bool {
        self.journal.borrow().index().was_start_told(id, process)
    }

    fn other_name(&self, id: &InstanceId, process: &StartedProcess) -> Option<InstanceId> {
        self.journal.borrow().index().other_name(id, process)
    }

    fn why_given_up(&self, id: &InstanceId) -> Option<Failure> {
        self.journal.borrow().index().why_given_up(id)
    }

    fn all_taken_over(&mut self, _instances: &[(u32, &InstanceId, &App)], _has_hooks: bool) {
        self.act();
    }
}
