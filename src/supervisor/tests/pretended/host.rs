//! What the actor asks of the machine while it runs.

use super::*;

impl Host for Pretended {
    fn now(&self) -> Moment {
        self.now
    }

    fn wall(&self) -> WallTime {
        WallTime(self.now.0)
    }

    fn killpoint(&self, _name: &'static str) {
        self.act();
    }

    fn tell(&self, about: Subject, fact: Fact) {
        self.act();
        self.journal.borrow_mut().tell(self.now, about, fact);
    }

    fn pass_on(&self, about: Subject, fact: Fact) {
        self.passed_on.borrow_mut().push((about, fact));
    }

    fn settle_facts(&mut self) {
        self.act();
        self.meanwhile();
        self.journal.borrow_mut().settle();
    }

    fn last_number(&self, id: &InstanceId) -> u32 {
        self.journal.borrow().index().last_number(id)
    }

    fn entry(&self, row: u32) -> Entry {
        self.entries.get(row as usize).map_or_else(Entry::free, |(entry, _)| *entry)
    }

    fn claim(&mut self) -> Option<u32> {
        self.act();
        self.claim_free_row()
    }

    fn remember(&mut self, row: u32, record: &Record) {
        self.act();
        self.meanwhile();
        self.entries[row as usize].1 = *record;
    }

    fn note_number(&mut self, row: u32, number: u32) {
        self.act();
        self.meanwhile();
        let entry = &mut self.entries[row as usize].0;
        entry.last_number = entry.last_number.max(number);
    }

    fn conclude(&mut self, row: u32, newest: u32, record: &Record) -> bool {
        self.act();
        self.meanwhile();
        let (entry, known) = &mut self.entries[row as usize];
        if entry.state != RowState::Exited || entry.incarnation > newest {
            return false;
        }
        (entry.state, *known) = (RowState::Idle, *record);
        true
    }

    fn free(&mut self, row: u32) -> Result<(), String> {
        self.act();
        assert!(self.living(row).is_none(), "row {row} is given back and its process lives");
        let (entry, _) = &mut self.entries[row as usize];
        assert_eq!(entry.state, RowState::Idle, "row {row} cannot be given back");
        *entry = Entry::free();
        Ok(())
    }

    fn mirror(&mut self, rows: BTreeSet<u32>) {
        for row in rows {
            self.mirror_row(row);
        }
    }

    fn spawn(&mut self, job: SpawnJob) {
        self.act();
        self.meanwhile();
        let behaviour = (self.fate)(&job.launch.spec, job.id.slot, self.now);
        let row = job.row;
        assert!(self.living(row).is_none(), "two processes of {}", job.id);
        let before = self.starts.insert(row, Start { job, behaviour, pid: None, failure: None });
        assert!(before.is_none(), "two starts at a time in row {row}");
        let delay = Millis(1 + self.some(3).0);
        self.later(delay, Due::Announces(row));
    }

    fn spawn_failed(&mut self, _row: u32) {}

    fn release(&mut self, _row: u32) {}

    fn signal(&mut self, row: u32, signal: i32) {
        self.act();
        self.meanwhile();
        let Some(pid) = self.living(row).filter(|pid| self.watched.contains(pid)) else { return };
        let time = if signal == SIGKILL { Millis(0) } else { self.processes[&pid].stop };
        self.later(time, Due::Exits(pid, -signal));
    }

    fn signal_tree(&mut self, row: u32, signal: i32, _has_asked_group: bool) {
        self.signal(row, signal);
        if self.leftovers.contains_key(&row) {
            let time = if signal == SIGKILL { Millis(1) } else { self.some(2000) };
            self.later(time, Due::LastOneEnds(row));
        }
    }

    fn kill_tree(&mut self, row: u32) -> u32 {
        self.signal_tree(row, SIGKILL, false);
        1
    }

    fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        self.act();
        self.meanwhile();
        let mut at_once = Vec::new();
        for row in rows {
            if self.look_time.is_some() || self.chance(3) {
                let delay = self.look_time.unwrap_or_else(|| self.some(30));
                self.later(delay, Due::Swept(*row, self.entry(*row).incarnation));
            } else {
                at_once.push((*row, u32::from(self.leftovers.contains_key(row))));
            }
        }
        at_once
    }

    fn unclear(&self, _row: u32) -> Vec<LeftProcess> {
        Vec::new()
    }

    fn has_lost_sight(&self, _row: u32) -> bool {
        false
    }

    fn forget(&mut self, _row: u32) {
        self.act();
    }

    fn succeed(&mut self, _row: u32, _pid: u32) -> Result<u32, String> {
        Err("its processes say nothing of that kind".to_owned())
    }

    fn is_orphan(&self, row: u32) -> bool {
        let pid = self.entry(row).pid;
        !self.has_anchor || pid.and_then(|pid| self.processes.get(&pid)).is_some_and(|process| process.is_orphan)
    }

    fn orphan_exit(&mut self, row: u32, incarnation: u32) -> Option<Exit> {
        self.act();
        self.meanwhile();
        let pid = self.entry(row).pid?;
        let exit = self.processes[&pid].exit?;
        if self.chance(3) {
            self.later(Millis(20), Due::Ended(row, incarnation));
            return None;
        }
        let exit = if self.chance(3) { Exit::Unknown } else { exit };
        self.entries[row as usize].0.state = RowState::Exited;
        self.entries[row as usize].0.exit = Some((exit, self.now));
        if let Some(process) = self.processes.get_mut(&pid) {
            process.is_reaped = true;
        }
        Some(exit)
    }

    fn anchor_gone(&mut self, _rows: BTreeSet<u32>) {}

    fn missing_limits(&self, _limits: &Limits) -> Option<String> {
        None
    }

    fn out_of_memory(&mut self, _row: u32, _is_strange: bool) -> Option<Fact> {
        None
    }

    fn lost_children(&mut self) -> Vec<u32> {
        Vec::new()
    }

    fn run_hook(&mut self, job: HookJob) {
        self.act();
        self.meanwhile();
        let behaviour = (self.fate)(&job.spawn.launch.spec, job.spawn.id.slot, self.now);
        let limit = job.limit;
        self.last_due += 1;
        let number = self.last_due;
        let result = behaviour.hook.map(drop).ok_or_else(|| "took too long and was killed".to_owned());
        self.hooks.insert(number, (job, result, true));
        self.later(behaviour.hook.unwrap_or(limit), Due::HookEnds(number));
    }

    fn end_hook(&mut self, row: u32, hook: Hook) {
        self.act();
        self.meanwhile();
        let is_it = |job: &HookJob| job.spawn.row == row && job.hook == hook;
        let numbers: Vec<u64> = self.hooks.iter().filter(|(_, (job, ..))| is_it(job)).map(|(at, _)| *at).collect();
        for number in numbers {
            if let Some((.., is_wanted)) = self.hooks.get_mut(&number) {
                *is_wanted = false;
            }
            let delay = self.some(5);
            self.later(delay, Due::HookEnds(number));
        }
    }

    fn is_hook_busy(&self, row: u32) -> bool {
        self.hooks.values().any(|(job, ..)| job.spawn.row == row)
    }

    fn hear(&mut self, row: u32, channel: Channel, _id: &InstanceId) -> Option<Words> {
        self.act();
        self.meanwhile();
        let pid = self.entry(row).pid.filter(|pid| channel == Channel::Messages && self.watched.contains(pid))?;
        let line = self.processes.get(&pid)?.said.front()?;
        Some(Words::Lines(vec![*line]))
    }

    fn acted_on(&mut self, row: u32, _channel: Channel) {
        self.act();
        if let Some(process) = self.entry(row).pid.and_then(|pid| self.processes.get_mut(&pid)) {
            process.said.pop_front();
        }
    }

    fn say(&mut self, _row: u32, _line: &str) -> bool {
        false
    }

    fn keep_status(&mut self, _row: u32, _incarnation: u32, _status: &str) {}

    fn retire(&mut self, _row: u32) {
        self.act();
    }

    fn drain(&mut self, row: u32, _spec: &App) {
        self.act();
        let delay = self.some(20);
        let incarnation = self.entry(row).incarnation;
        self.later(delay, Due::Drained(row, incarnation));
    }

    fn say_to_worker(&mut self, _row: u32, _line: &str) {
        self.act();
    }

    fn close_cluster(&mut self, app: &AppId) {
        self.act();
        self.closed_clusters.push(app.clone());
    }

    fn rename_cluster(&mut self, _from: &AppId, _to: &AppId) {
        self.act();
    }

    fn silence(&mut self, _row: u32, _incarnation: u32, _spec: &App) {
        self.act();
    }

    fn retarget(&mut self, _row: u32, _id: &InstanceId, _logs: &LogPolicy, _run: &Run) {}

    fn reset_listeners(&mut self, _addresses: &[ListenAddress]) {}
}
