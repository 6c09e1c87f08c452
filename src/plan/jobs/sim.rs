//! A simulated machine: the real jobs and lifecycles with a clock, a disk and processes that a test controls.
//!
//! What an app's processes do stands in its environment, so that each spec brings its own behaviour: `SIM` holds words such
//! as `ready=500` (its probe is answered after so many milliseconds), `exit=3@200`, `stop=100` (how long it takes to end),
//! `missing` (it cannot be executed).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lifecycle::{Effect, Found, Input, Machine, State};
use crate::model::{
    Actor, App, AppId, AppName, ApplyOptions, Cause, Change, Command, Condition, Counts, Desired, Edit, Exit, Fact,
    Failure, InstanceId, Kind, Launch, Live, LiveInstance, Millis, Moment, OperationReport, OperationResult, Order,
    Plan, Probe, Progress, Project, Ready, Refusal, RefusalKind, RestartWhen, Rollback, Rollout, SpawnError,
    SpawnStage, Taken, Template, UpdateStrategy, VerbKind, WallTime,
};
use crate::plan::jobs::{Dirty, Jobs, News, View};
use crate::plan::tests::{app, proposed, shop};
use crate::plan::{self, EditRequest};
use crate::rules;

/// As that of the reconciler.
const SLOW_TIMER: Millis = Millis::seconds(30);

/// One instance as the supervisor has it.
struct Member {
    machine: Machine,
    next: Launch,
    record: Launch,
    taken: Taken,
    /// The incarnation of the process that lives.
    process: Option<u32>,
    last_exit: Option<Exit>,
}

/// What will happen to a process or an instance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Spawned(u32),
    NotSpawned(u32),
    Ready(u32),
    Exited(u32, i32),
    Killed(u32),
    HookEnded(u32),
}

/// The machine, with everything that runs on it.
pub(super) struct Sim {
    pub now: Moment,
    pub desired: Desired,
    pub jobs: Jobs,
    /// What happened, as a story tells it.
    pub log: Vec<String>,
    /// Jobs that somebody waits for.
    pub waited_for: BTreeSet<u64>,
    /// Steps of the whole: everything that happened to anything.
    pub steps: u64,
    live: Live,
    members: BTreeMap<InstanceId, Member>,
    events: BTreeSet<(Moment, u64, InstanceId, Event)>,
    last_event: u64,
    pass_at: Option<Moment>,
    /// When what is stored is next compared with the live state, whatever happens until then.
    wake_at: Moment,
    woken: Option<Plan>,
    last_order: u64,
    is_disk_full: bool,
    /// Rows of the process table.
    pub rows: usize,
}

impl Sim {
    pub(super) fn new() -> Self {
        Self {
            now: Moment(1000),
            desired: Desired::default(),
            jobs: Jobs::default(),
            log: Vec::new(),
            waited_for: BTreeSet::new(),
            steps: 0,
            live: Live::default(),
            members: BTreeMap::new(),
            events: BTreeSet::new(),
            last_event: 0,
            pass_at: None,
            wake_at: Moment(1000).after(SLOW_TIMER),
            woken: None,
            last_order: 0,
            is_disk_full: false,
            rows: usize::MAX,
        }
    }

    // ---- what users and faults do

    pub(super) fn apply(&mut self, apps: Vec<App>, options: &ApplyOptions) -> Result<Plan, Refusal> {
        self.look();
        let before = self.desired.clone();
        let decision = plan::decide(self.stored(), &proposed(apps), &self.live, options)?;
        self.can_keep(&decision.changes)?;
        self.keep(decision.changes.clone());
        self.jobs.supersede(&before, &decision.changes);
        let generation = self.stored().map_or(0, |stored| stored.generation);
        let cause = Cause::Apply { by: alice(), generation };
        self.accept(&decision.plan, cause, true);
        Ok(decision.plan)
    }

    pub(super) fn edit(&mut self, name: &str, slot: Option<u32>, edit: &Edit) -> Result<Plan, Refusal> {
        self.look();
        let (project, targets) = (shop(), [(name.parse().unwrap(), slot)]);
        let stored = self.stored().cloned().unwrap_or_default();
        let request = EditRequest { project: &project, targets: &targets, edit, by: "alice", at: WallTime(7) };
        let before = self.desired.clone();
        let changes = plan::edit(&stored, &self.live, &request)?;
        self.can_keep(&changes)?;
        self.keep(changes.clone());
        self.jobs.supersede(&before, &changes);
        let stored = self.stored().cloned().unwrap_or_default();
        let mut plan = plan::plan_edited(&project, &stored, &self.live, &targets, edit, true);
        if *edit != Edit::Reload {
            plan.restart_at_once(|app| stored.may_restart_at_once(app));
        }
        let cause = Cause::Command { by: alice(), verb: edit.verb().to_owned() };
        self.accept(&plan, cause, true);
        Ok(plan)
    }

    /// `pm rollout pause | resume | abort`.
    pub(super) fn command_rollout(&mut self, name: &str, is_paused: bool, is_aborted: bool) {
        let name: AppName = name.parse().unwrap();
        let view = View { desired: &self.desired, live: &self.live, now: self.now };
        let known = self.stored().and_then(|stored| stored.rollouts.get(&name)).cloned().unwrap_or_default();
        if known.is_open() || self.jobs.rollouts(&view).iter().any(|rollout| rollout.app.name == name) {
            let rollout = Rollout { is_paused, is_aborted, ..known };
            let rollout = Some(rollout).filter(|rollout| *rollout != Rollout::default()).map(Box::new);
            self.keep(vec![Change::Rollout { project: shop(), name, rollout }]);
            self.pass(Dirty::Everything);
        }
    }

    /// The daemon dies and the next one takes over: what only memory held is gone.
    pub(super) fn kill_daemon(&mut self) {
        self.jobs = Jobs::default();
        (self.woken, self.pass_at, self.last_order) = (None, None, 0);
        self.waited_for.clear();
        for member in self.members.values_mut() {
            let found = match &member.machine.state {
                State::Running { since, readiness } => Found::Alive {
                    since: *since,
                    stop_deadline: None,
                    ready_deadline: match readiness {
                        crate::model::Readiness::Waiting { deadline, .. } => Some(*deadline),
                        _ => None,
                    },
                },
                State::Stopping { deadline, since, .. } if member.process.is_some() => {
                    Found::Alive { since: *since, stop_deadline: Some(*deadline), ready_deadline: None }
                }
                State::Leaving { since, .. } if member.process.is_some() => {
                    Found::Alive { since: *since, stop_deadline: None, ready_deadline: None }
                }
                // Its spawn is on its way and will be known.
                State::Starting { .. } => continue,
                _ => Found::Nothing(member.machine.saved_state()),
            };
            member.taken = Taken::default();
            member.machine.state = State::Unknown;
            let _reported_before = member.machine.recover(found, self.now);
        }
        for member in self.members.values_mut() {
            member.taken = Taken::default();
        }
        let successors: Vec<_> = self.members.keys().filter(|id| id.is_successor).cloned().collect();
        for id in successors {
            self.take_over(&id);
        }
        self.wake(false);
        self.pass(Dirty::Everything);
    }

    /// The process of an instance ends on its own.
    pub(super) fn crash(&mut self, id: &InstanceId, code: i32) {
        if let Some(incarnation) = self.members.get(id).and_then(|member| member.process) {
            self.later(Millis(0), id.clone(), Event::Exited(incarnation, code));
        }
    }

    pub(super) fn fill_disk(&mut self, is_full: bool) {
        self.is_disk_full = is_full;
        self.pass(Dirty::Everything);
    }

    /// Lets time pass, with everything that happens in it.
    pub(super) fn wait(&mut self, time: Millis) {
        let until = self.now.after(time);
        while self.step(until) {}
        self.now = until;
    }

    /// The next thing that happens until then; false: nothing does.
    pub(super) fn step(&mut self, until: Moment) -> bool {
        let event = self.events.first().map(|(at, ..)| *at);
        let alarm = self.members.values().filter_map(|member| member.machine.alarm()).min();
        let wake = Some(self.wake_at);
        let Some(next) = [event, alarm, self.pass_at, wake].into_iter().flatten().min().filter(|at| *at <= until)
        else {
            return false;
        };
        self.now = self.now.max(next);
        self.steps += 1;
        if wake == Some(next) {
            self.wake_at = next.after(SLOW_TIMER);
            self.wake(false);
        } else if event == Some(next) {
            self.happen();
        } else if alarm == Some(next) {
            let due = |member: &Member| member.machine.alarm() == Some(next);
            let ids: Vec<_> = self.members.iter().filter(|(_, member)| due(member)).map(|(id, _)| id.clone()).collect();
            for id in ids {
                self.input(&id, Input::Alarm);
            }
        }
        self.pass(Dirty::Everything);
        true
    }

    // ---- what is

    pub(super) fn stored(&self) -> Option<&Project> {
        self.desired.projects.get(&shop())
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// Processes that live.
    pub(super) fn processes(&self) -> impl Iterator<Item = &InstanceId> {
        self.members.iter().filter(|(_, member)| member.process.is_some()).map(|(id, _)| id)
    }

    /// `web/0 v1 running`, one for each instance.
    pub(super) fn state(&self) -> Vec<String> {
        let line = |(id, live): (&InstanceId, &LiveInstance)| {
            format!("{} {} {}", short(id), version(&live.spec), live.phase.as_str())
        };
        self.live.instances.iter().map(line).collect()
    }

    /// What a wake-up would still do.
    pub(super) fn missing(&self) -> Plan {
        let stored = self.stored().cloned().unwrap_or_default();
        let mut plan = plan::plan_wakeup(&shop(), &stored, &self.live);
        plan::add_unfinished(&mut plan, &stored, &self.live);
        plan::leave_rejected(&mut plan, &stored, &self.live);
        plan.keep_only(|app| !self.jobs.is_busy(&AppId::new(shop(), app.clone())));
        plan
    }

    // ---- the reconciler's part, as `reconciler/pass.rs` does it

    fn accept(&mut self, plan: &Plan, cause: Cause, is_waited_for: bool) {
        let generation = self.stored().map_or(0, |stored| stored.generation);
        let view = View { desired: &self.desired, live: &self.live, now: self.now };
        let job = self.jobs.accept(plan, cause, generation, &view);
        if is_waited_for {
            self.waited_for.insert(job);
        }
        self.pass(Dirty::Everything);
    }

    /// Compares what is stored with the live state.
    pub(super) fn wake(&mut self, is_sequel: bool) {
        self.look();
        let plan = self.missing();
        if is_sequel && self.woken.as_ref() == Some(&plan) {
            return;
        }
        let stored = self.stored().cloned().unwrap_or_default();
        let orders = self.jobs.orders(plan::leftover_successors(&shop(), &stored, &plan, &self.live));
        self.give(orders);
        self.woken = Some(plan.clone()).filter(|plan| !plan.is_empty());
        if !plan.is_empty() {
            self.accept(&plan, Cause::Boot, false);
        }
    }

    fn pass(&mut self, dirty: Dirty) {
        let mut dirty = dirty;
        for _ in 0..100 {
            self.look();
            let view = View { desired: &self.desired, live: &self.live, now: self.now };
            let next = self.jobs.advance(&view, dirty);
            dirty = Dirty::Everything;
            self.pass_at = next.wake_at;
            let has_orders = !next.orders.is_empty() || !next.rehearsals.is_empty();
            for rehearsal in next.rehearsals {
                self.rehearse(rehearsal);
            }
            for (_, fact) in next.facts {
                if let Fact::RolloutFailed { instance, .. } = fact {
                    self.log.push(format!("event {} could not be rolled out", short(&instance)));
                }
            }
            self.give(next.orders);
            let has_changes = !next.changes.is_empty() && !self.is_disk_full;
            if self.is_disk_full && !next.changes.is_empty() {
                let again = self.now.after(Millis(1000));
                self.pass_at = Some(self.pass_at.map_or(again, |at| at.max(again)));
            }
            self.keep(next.changes);
            let mut is_over = false;
            for (job, news) in next.messages {
                is_over |= self.hear(job, news);
            }
            if is_over {
                self.wake(true);
            }
            let is_due = self.pass_at.is_some_and(|at| at <= self.now);
            if !has_changes && !has_orders && !is_due {
                return;
            }
        }
        panic!("a pass that never ends: {:#?}", self.log);
    }

    /// What a user asks for is refused if it cannot be kept.
    fn can_keep(&self, changes: &[Change]) -> Result<(), Refusal> {
        let message = "cannot write the state, nothing was changed".to_owned();
        let full = Refusal { kind: RefusalKind::Safety, message, hint: None, confirm: None };
        if self.is_disk_full && !changes.is_empty() { Err(full) } else { Ok(()) }
    }

    fn keep(&mut self, changes: Vec<Change>) {
        if !self.is_disk_full {
            for change in changes {
                self.desired.accept(change);
            }
        }
    }

    fn rehearse(&mut self, rehearsal: plan::Rehearsal) {
        let plan::Rehearsal { instance, number, launch } = rehearsal;
        if words(&launch.spec).contains(&"missing".to_owned()) {
            self.live.refused.insert(instance, (number, not_found()));
        } else {
            self.live.rehearsed.insert(instance, number);
        }
    }

    /// Returns whether a job is over that leaves something to look at.
    fn hear(&mut self, job: u64, news: News) -> bool {
        let is_waited_for = self.waited_for.contains(&job);
        match news {
            News::Progress(Progress::Ended(report)) | News::Failed(report, _) => {
                self.log.push(sentence(&report, is_waited_for));
                false
            }
            News::Progress(Progress::Paused { app }) => {
                self.log.push(format!("{app} waits: its rollout is paused"));
                false
            }
            News::Progress(_) => false,
            News::Finished { has_news, .. } => {
                self.waited_for.remove(&job);
                has_news
            }
        }
    }

    // ---- the supervisor's part, as `supervisor/run.rs` does it

    fn give(&mut self, orders: Vec<Order>) {
        for Order { instance, number, command } in orders {
            assert!(number > self.last_order, "orders are numbered upwards");
            self.last_order = number;
            self.order(&instance, number, command);
        }
    }

    fn order(&mut self, id: &InstanceId, number: u64, command: Command) {
        if let Command::Rename(old, _) = &command
            && let Some(member) = self.members.remove(old)
        {
            self.members.insert(id.clone(), member);
            let moved: Vec<_> = self.events.iter().filter(|(_, _, owner, _)| owner == old).cloned().collect();
            for (at, seq, owner, event) in moved {
                self.events.remove(&(at, seq, owner, event.clone()));
                self.events.insert((at, seq, id.clone(), event));
            }
        }
        if let (None, Command::Start(launch) | Command::Restart(launch)) = (self.members.get(id), &command) {
            if self.members.len() >= self.rows {
                self.live.refused.insert(id.clone(), (number, no_row()));
                return;
            }
            self.live.refused.remove(id);
            let may_overlap = launch.spec.update_strategy() == UpdateStrategy::Rolling;
            let log = self.log.join("\n");
            assert!(
                may_overlap || !id.is_successor,
                "{log}\n{} {} beside a slot that is replaced in place",
                short(id),
                version(&launch.spec)
            );
            let settled = self.members.get(&id.clone().settled()).map(|other| &other.machine);
            let incarnation = settled.map_or(0, |settled| settled.incarnation.max(settled.last_number));
            let mut machine = Machine::new(Arc::clone(&launch.spec), 7);
            (machine.is_successor, machine.incarnation) = (id.is_successor, incarnation);
            let (next, record, taken) = (launch.clone(), launch.clone(), Taken::default());
            let member = Member { machine, next, record, taken, process: None, last_exit: None };
            self.members.insert(id.clone(), member);
        }
        let Some(member) = self.members.get_mut(id).filter(|member| member.taken.order < number) else { return };
        member.taken = Taken { order: number, restarts: member.machine.restarts };
        match command {
            Command::Start(launch) | Command::Restart(launch) if launch.spec.name != id.app.name => unreachable!(),
            Command::Start(launch) => {
                self.log.push(format!("  start {} {}", short(id), version(&launch.spec)));
                member.machine.policy = Arc::clone(&launch.spec);
                let is_kept = member.process.is_some() && matches!(member.machine.state, State::Running { .. });
                if !is_kept {
                    member.next = launch.clone();
                }
                self.input(id, Input::Start(launch.cause));
            }
            Command::Restart(launch) => {
                self.log.push(format!("  restart {} {}", short(id), version(&launch.spec)));
                (member.machine.policy, member.next) = (Arc::clone(&launch.spec), launch.clone());
                self.input(id, Input::Restart(launch.cause));
            }
            Command::Stop(cause) => {
                self.log.push(format!("  stop {}", short(id)));
                self.input(id, Input::Stop(cause));
            }
            Command::Delete(cause) => {
                self.log.push(format!("  delete {}", short(id)));
                self.input(id, Input::Delete(cause));
            }
            Command::Reconfigure(spec) => member.machine.policy = spec,
            Command::Rename(_, launch) => {
                self.log.push(format!("  rename {}", short(id)));
                member.machine.policy = Arc::clone(&launch.spec);
                (member.record, member.next) = (launch.clone(), launch);
            }
            Command::TakeOver => self.take_over(id),
        }
    }

    fn take_over(&mut self, id: &InstanceId) {
        let settled = id.clone().settled();
        if self.members.contains_key(&settled) {
            return;
        }
        if let Some(mut member) = self.members.remove(id) {
            self.log.push(format!("  {} takes over", short(id)));
            member.machine.is_successor = false;
            self.members.insert(settled.clone(), member);
            let moved: Vec<_> = self.events.iter().filter(|(_, _, owner, _)| owner == id).cloned().collect();
            for (at, seq, owner, event) in moved {
                self.events.remove(&(at, seq, owner, event.clone()));
                self.events.insert((at, seq, settled.clone(), event));
            }
        }
    }

    fn input(&mut self, id: &InstanceId, input: Input) {
        let Some(member) = self.members.get_mut(id) else { return };
        let effects = member.machine.step(input, self.now);
        self.share_number(id);
        for effect in effects {
            self.perform(id, &effect);
        }
    }

    /// The processes of a slot are counted in one row of numbers.
    fn share_number(&mut self, id: &InstanceId) {
        let Some(number) = self.members.get(id).map(|member| member.machine.incarnation) else { return };
        let settled = id.clone().settled();
        let other = if id.is_successor { settled } else { settled.successor() };
        if let Some(other) = self.members.get_mut(&other) {
            other.machine.last_number = other.machine.last_number.max(number);
        }
    }

    fn perform(&mut self, id: &InstanceId, effect: &Effect) {
        let Some(member) = self.members.get_mut(id) else { return };
        let incarnation = member.machine.incarnation;
        match effect {
            Effect::Spawn { incarnation } => {
                let incarnation = *incarnation;
                assert!(member.process.is_none(), "two processes of {}", short(id));
                let is_missing = words(&member.next.spec).contains(&"missing".to_owned());
                let is_busy = number(&member.next.spec, "busy").is_some_and(|until| self.now < Moment(until));
                let is_missing = is_missing || is_busy;
                let event = if is_missing { Event::NotSpawned(incarnation) } else { Event::Spawned(incarnation) };
                self.later(Millis(1), id.clone(), event);
            }
            Effect::SendStopSignal => {
                let time = number(&member.record.spec, "stop").unwrap_or(5);
                self.later(Millis(time), id.clone(), Event::Killed(incarnation));
            }
            Effect::Kill { .. } => self.later(Millis(0), id.clone(), Event::Killed(incarnation)),
            Effect::Hook(_) => self.later(Millis(0), id.clone(), Event::HookEnded(incarnation)),
            Effect::Sweep => self.input(id, Input::Swept { left: 0 }),
            Effect::Emit(_) | Effect::EndHook(_) => {}
            Effect::Forget => drop(self.members.remove(id)),
        }
    }

    fn later(&mut self, time: Millis, id: InstanceId, event: Event) {
        self.last_event += 1;
        self.events.insert((self.now.after(time), self.last_event, id, event));
    }

    fn happen(&mut self) {
        let Some((_, _, id, event)) = self.events.pop_first() else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        match event {
            Event::Spawned(incarnation) if incarnation == member.machine.incarnation => {
                member.process = Some(incarnation);
                member.record = member.next.clone();
                let spec = Arc::clone(&member.record.spec);
                self.input(&id, Input::Spawned { pid: 100 });
                if let Some(time) = number(&spec, "ready") {
                    self.later(Millis(time), id.clone(), Event::Ready(incarnation));
                }
                if let Some((code, time)) = exit_of(&spec, id.slot) {
                    self.later(Millis(time), id, Event::Exited(incarnation, code));
                }
            }
            Event::NotSpawned(incarnation) if incarnation == member.machine.incarnation => {
                member.record = member.next.clone();
                let is_busy = words(&member.next.spec).iter().any(|word| word.starts_with("busy="));
                self.input(&id, Input::SpawnFailed { failure: if is_busy { busy() } else { not_found() } });
            }
            Event::Ready(incarnation) if member.process == Some(incarnation) => {
                self.input(&id, Input::Probed { incarnation, result: Ok(()) });
            }
            Event::Exited(incarnation, code) if member.process == Some(incarnation) => {
                self.exited(&id, incarnation, Exit::Code(code));
            }
            Event::Killed(incarnation) if member.process == Some(incarnation) => {
                self.exited(&id, incarnation, Exit::Signal(15));
            }
            Event::HookEnded(_)
            | Event::Spawned(_)
            | Event::NotSpawned(_)
            | Event::Ready(_)
            | Event::Exited(..)
            | Event::Killed(_) => {}
        }
    }

    fn exited(&mut self, id: &InstanceId, incarnation: u32, exit: Exit) {
        if let Some(member) = self.members.get_mut(id) {
            (member.process, member.last_exit) = (None, Some(exit));
        }
        if let Exit::Code(_) = exit {
            self.log.push(format!("  {} ended with {exit}", short(id)));
        }
        self.input(id, Input::Exited { incarnation, exit });
    }

    fn look(&mut self) {
        let live = |(id, member): (&InstanceId, &Member)| {
            let policy = &member.machine.policy;
            let spec = if rules::can_follow(&member.record.spec, policy) { policy } else { &member.record.spec };
            let live = LiveInstance {
                phase: member.machine.phase(member.process.map(|_| 100)),
                incarnation: member.machine.incarnation,
                since: member.machine.since,
                restarts: member.machine.restarts,
                counts: Counts::default(),
                spec: Arc::clone(spec),
                restart_requests: member.record.restart_requests,
                started: None,
                last_exit: member.last_exit,
                trouble: member.machine.trouble.clone(),
                status_text: None,
                hook: None,
                taken: member.taken,
                following: member.machine.following(),
                is_unreachable: false,
            };
            (id.clone(), live)
        };
        self.live.instances = self.members.iter().map(live).collect();
    }
}

// ---- apps, in few words

/// `web v2 x3 rolling ready=100 exit=1@200 needs=db task`: an app as a story writes it.
pub(super) fn app_of(text: &str) -> App {
    let mut words = text.split_whitespace();
    let mut app = app(words.next().expect("a name"));
    app.restart.restart = RestartWhen::Never;
    app.update.min_healthy_time = Millis(1000);
    let mut sim = Vec::new();
    for word in words {
        match word.split_once('=') {
            None if word.starts_with('v') => sim.push(word),
            None if word.starts_with('x') => app.instances = word[1..].parse().ok(),
            None => match word {
                "rolling" => app.update.strategy = Some(UpdateStrategy::Rolling),
                "task" => app.kind = Kind::Task,
                "always" => app.restart.restart = RestartWhen::Always,
                "forward" => app.update.auto_revert = false,
                "missing" => sim.push(word),
                _ => panic!("`{word}` says nothing about an app"),
            },
            Some(("healthy", time)) => app.update.min_healthy_time = Millis(time.parse().unwrap()),
            Some(("batch", count)) => {
                (app.update.max_surge, app.update.max_unavailable) = (count.parse().unwrap(), count.parse().unwrap());
            }
            Some(("timeout", time)) => {
                app.ready.get_or_insert_with(ready).timeout = Millis(time.parse().unwrap());
            }
            Some(("needs", other)) => drop(app.depends_on.insert(other.parse().unwrap(), Condition::Ready)),
            Some(("after", other)) => drop(app.depends_on.insert(other.parse().unwrap(), Condition::Completed)),
            Some(("was", old)) => app.moved_from = vec![AppId::new(shop(), old.parse().unwrap())],
            Some(("ready", _)) => {
                app.ready.get_or_insert_with(ready);
                sim.push(word);
            }
            Some(_) => sim.push(word),
        }
    }
    app.run.env.insert("SIM".to_owned(), Template::literal(&sim.join(" ")));
    app
}

fn ready() -> Ready {
    Ready { probe: Probe::Message(true), timeout: Millis(5000), interval: Ready::INTERVAL }
}

fn words(spec: &App) -> Vec<String> {
    let sim = spec.run.env.get("SIM").map(|text| text.fill(0, None)).unwrap_or_default();
    sim.split_whitespace().map(str::to_owned).collect()
}

fn number(spec: &App, name: &str) -> Option<u64> {
    words(spec).iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// `exit=3@200`, or of one slot only: `exit=3@200/1`.
fn exit_of(spec: &App, slot: u32) -> Option<(i32, u64)> {
    let all = words(spec);
    let text = all.iter().find_map(|word| word.strip_prefix("exit="))?;
    let (text, only) = text.split_once('/').map_or((text, None), |(text, slot)| (text, slot.parse().ok()));
    let (code, time) = text.split_once('@')?;
    (only.is_none() || only == Some(slot)).then_some((code.parse().ok()?, time.parse().ok()?))
}

fn version(spec: &App) -> String {
    words(spec).into_iter().find(|word| word.starts_with('v')).unwrap_or_else(|| "v0".to_owned())
}

fn short(id: &InstanceId) -> String {
    format!("{}/{}{}", id.app.name, id.slot, if id.is_successor { "+" } else { "" })
}

fn alice() -> Actor {
    Actor { uid: 1, name: "alice".into() }
}

fn not_found() -> Failure {
    let (stage, subject, message) = (SpawnStage::Exec, "web".to_owned(), "No such file or directory".to_owned());
    Failure::Spawn { error: SpawnError { stage, subject, errno: 2, message, is_passing: false } }
}

fn busy() -> Failure {
    let (stage, subject, message) = (SpawnStage::Exec, "web".to_owned(), "Text file busy".to_owned());
    Failure::Spawn { error: SpawnError { stage, subject, errno: 26, message, is_passing: true } }
}

fn no_row() -> Failure {
    let (stage, subject, message) = (SpawnStage::TableEntry, "web".to_owned(), "all rows are taken".to_owned());
    Failure::Spawn { error: SpawnError { stage, subject, errno: 0, message, is_passing: true } }
}

/// How an operation ended, as a story tells it.
fn sentence(report: &OperationReport, is_waited_for: bool) -> String {
    let OperationReport { app, verb, result, .. } = report;
    let whose = if is_waited_for { "" } else { " (by itself)" };
    let verb = if *verb == VerbKind::Wait { "come up" } else { verb.as_str() };
    match result {
        OperationResult::Done => format!("ok {app}: {verb}{whose}"),
        OperationResult::Completed => format!("ok {app}: completed{whose}"),
        OperationResult::Superseded => format!("left {app}: {verb}, a later command took over{whose}"),
        OperationResult::Skipped { why } => format!("skipped {app}: {verb}: {why}{whose}"),
        OperationResult::Failed { instance, failure, exit, rollback, .. } => {
            let why = match (failure, exit) {
                (Some(failure), _) => failure.to_string(),
                (None, Some(exit)) => format!("ended with {exit}"),
                (None, None) => "did not come up".to_owned(),
            };
            let after = match rollback {
                Rollback::Done => "; went back",
                Rollback::NotNeeded => "; the old one kept running",
                Rollback::Failed => "; could not go back",
                Rollback::None => "",
            };
            format!("FAILED {app}: {verb}: {} {why}{after}{whose}", short(instance))
        }
    }
}

/// The steps of a plan, as a story tells them.
pub(super) fn steps(plan: &Plan) -> Vec<String> {
    let (mut lines, none) = (plan::tests::verbs(plan), plan.is_empty());
    if none {
        lines.push("nothing to do".to_owned());
    }
    lines
}
