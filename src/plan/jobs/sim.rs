//! A simulated machine: the real jobs and lifecycles with a clock, a disk and processes that a test controls.
//!
//! What an app's processes do stands in its environment, so that each spec brings its own behaviour: `SIM` holds words such
//! as `ready=500` (its probe is answered after so many milliseconds), `exit=3@200`, `stop=100` (how long it takes to end),
//! `missing` (it cannot be executed), `sick=200` (its health probes fail from then on).

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use crate::model::{
    Actor, App, AppId, AppName, ApplyOptions, Cause, Change, ChangedFile, ChangedFiles, Command, Condition, Desired,
    Digest, Edit, Exit, Fact, Failure, Heal, HealPolicy, Health, HealthAction, InstanceId, Kind, Live, LiveInstance,
    Millis, Moment, OperationReport, OperationResult, Order, Plan, Probe, Progress, Project, Ready, Refusal,
    RefusalKind, RestartWhen, Rollback, Rollout, SpawnError, SpawnStage, Subject, Template, UpdateStrategy, VerbKind,
    WallTime,
};
use crate::plan::jobs::{Dirty, Jobs, News, View};
use crate::plan::tests::{app, proposed, shop};
use crate::plan::{self, Decision, EditRequest, HealFacts};
use crate::rules;
use crate::supervisor::tests::{Behaviour, Dice, Killed, Process, Supervised};

/// As that of the reconciler.
const SLOW_TIMER: Millis = Millis::seconds(30);

/// The machine, with everything that runs on it.
pub(super) struct Sim {
    pub now: Moment,
    pub desired: Desired,
    /// `start_concurrency` of the next apply.
    pub start_concurrency: Option<u32>,
    /// `self_heal` of the next apply.
    pub heal: HealPolicy,
    pub jobs: Jobs,
    /// What happened, as a story tells it.
    pub log: Vec<String>,
    /// Jobs that somebody waits for.
    pub waited_for: BTreeSet<u64>,
    /// Steps of the whole: everything that happened to anything.
    pub steps: u64,
    live: Live,
    machine: Supervised,
    pass_at: Option<Moment>,
    /// When what has changed is seen, if it was not seen at once.
    look_at: Option<Moment>,
    /// When what is stored is next compared with what lives, whatever happens until then.
    wake_at: Moment,
    woken: Option<Plan>,
    last_order: u64,
    /// Orders of this daemon.
    given: Vec<Order>,
    is_disk_full: bool,
    /// The files of `restart_on`, as they are.
    files: ChangedFiles,
    /// When which app was put right by itself.
    healed: Vec<(Moment, AppName)>,
    /// What a rehearsal has found, as the reconciler keeps it.
    unstartable: BTreeMap<InstanceId, (u64, Failure)>,
}

impl Sim {
    pub(super) fn new() -> Self {
        Self {
            now: Moment(1000),
            desired: Desired::default(),
            start_concurrency: None,
            heal: HealPolicy::default(),
            jobs: Jobs::default(),
            log: Vec::new(),
            waited_for: BTreeSet::new(),
            steps: 0,
            live: Live::default(),
            machine: Supervised::new(fate),
            pass_at: None,
            look_at: None,
            wake_at: Moment(1000).after(SLOW_TIMER),
            woken: None,
            last_order: 0,
            given: Vec::new(),
            is_disk_full: false,
            files: ChangedFiles::new(),
            healed: Vec::new(),
            unstartable: BTreeMap::new(),
        }
    }

    // ---- what users and faults do

    pub(super) fn apply(&mut self, apps: Vec<App>, options: &ApplyOptions) -> Result<Plan, Refusal> {
        self.look();
        let mut wanted = proposed(apps);
        wanted.origin.start_concurrency = self.start_concurrency;
        wanted.origin.heal = self.heal;
        for (path, digest) in wanted.apps.iter_mut().flat_map(|app| &mut app.run.restart_on) {
            *digest = self.files.get(path).map_or(*digest, |file| file.digest);
        }
        let before = self.desired.clone();
        let decision = plan::decide(self.stored(), &wanted, &self.live, options)?;
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
        let request = EditRequest { project: &project, targets: &targets, edit, by: "alice", at: WallTime(self.now.0) };
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
        let view = View { desired: &self.desired, live: &self.live, now: self.now, unasked_starts_max: None };
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
        self.machine.kill(true);
        self.boot();
    }

    /// The next daemon takes over.
    fn boot(&mut self) {
        self.jobs = Jobs::default();
        (self.woken, self.pass_at, self.last_order) = (None, None, 0);
        self.waited_for.clear();
        self.given.clear();
        let before = std::mem::take(&mut self.live);
        self.machine.boot();
        let after = self.machine.live();
        for id in before.instances.keys().filter(|id| id.is_successor) {
            let settled = id.clone().settled();
            let was_alone = !before.instances.contains_key(&settled);
            if was_alone && !after.instances.contains_key(id) && after.instances.contains_key(&settled) {
                self.log.push(format!("  {} takes over", short(id)));
            }
        }
        self.wake(false);
        self.pass(Dirty::Everything);
    }

    // ---- faults that take the machine with dice

    /// From now on everything takes its time, and comes in any order that can be.
    pub(super) fn roll_dice(&mut self, seed: u64) {
        self.machine.host().dice = Some(Dice(seed));
    }

    /// Does something that the daemon may die of, at a step that was chosen before; the next one takes over then.
    pub(super) fn survive(&mut self, deed: impl FnOnce(&mut Self)) {
        let mut result = catch_unwind(AssertUnwindSafe(|| deed(self)));
        while let Err(payload) = result {
            if !payload.is::<Killed>() {
                resume_unwind(payload);
            }
            self.log.push("  the daemon was killed".to_owned());
            self.machine.kill(false);
            let (down, again) = (self.roll(30), self.roll(3));
            self.pass_time_alone(Millis(down));
            // The next one may die of taking over.
            let steps = if again == 0 { self.roll(20) } else { 0 };
            self.die_in(steps);
            result = catch_unwind(AssertUnwindSafe(|| self.boot()));
        }
    }

    /// The daemon is killed before so many more steps of its supervisor; 0 = not at all.
    pub(super) fn die_in(&mut self, steps: u64) {
        self.machine.host().kill_in.set(steps);
    }

    /// The daemon, the anchor or both die, and the next ones come after a while.
    pub(super) fn kill(&mut self, is_daemon: bool, is_anchor: bool, down: Millis) {
        if is_daemon {
            self.machine.kill(false);
        }
        if is_anchor {
            self.machine.host().kill_anchor();
        }
        if is_daemon {
            self.pass_time_alone(down);
        } else {
            self.wait(down);
        }
        self.machine.kill(false);
        self.boot();
    }

    /// Nobody but the machine goes on.
    fn pass_time_alone(&mut self, time: Millis) {
        let until = self.now.after(time);
        while let Some(next) = self.machine.next().filter(|at| *at <= until) {
            self.machine.step(next);
        }
        self.now = until;
        self.machine.host().now = until;
    }

    /// Orders of this daemon come once more.
    pub(super) fn repeat_orders(&mut self) {
        let again: Vec<Order> = self.given.iter().rev().take(8).cloned().collect();
        self.machine.order(again);
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.machine.host().dice.as_mut().map_or(0, |dice| dice.roll(sides))
    }

    /// What holds at every moment.
    pub(super) fn check(&mut self) {
        let rows = self.machine.rows();
        let is_alone = |process: &&Process| {
            process.exit.is_none() && rows.as_ref().is_some_and(|rows| !rows.contains(&process.row))
        };
        let alone = self.machine.host().processes.values().find(is_alone).cloned();
        assert!(alone.is_none(), "{}\na process that nobody knows: {alone:?}", self.log.join("\n"));
    }

    /// No start and no end of a process is lost, and none is told twice. To be looked at when nothing is on its way.
    pub(super) fn check_facts(&mut self) {
        let told = self.log.join("\n");
        let facts = self.machine.take_facts();
        let (starts, exits) = told_starts_and_exits(&facts);
        let host = self.machine.host();
        let (processes, unknowable, nameless) = (&host.processes, &host.unknowable, &host.nameless);
        let mut expected = (Told::default(), Told::default());
        for (pid, process) in processes {
            // How a child ended that could not execute its program may be told, too, by a daemon that did not start it. And
            // of one that had ended when anchor and daemon died, and that the table which was left does not know, only the
            // journal can know.
            let has_executed = process.failure.is_none();
            let is_known = has_executed && !unknowable.contains(pid);
            if has_executed {
                expected.0.expect(*pid, is_known);
            }
            if process.exit.is_some() {
                expected.1.expect(process.incarnation, is_known);
            }
            // It has its row back because of a process that it had left, which does not tell its pid: whether its end was
            // told under a name that is given up by now cannot be seen.
            if nameless.contains(pid) {
                expected.1.expect(process.incarnation, false);
            }
        }
        let shown = || format!("{told}\n{facts:#?}\n{processes:#?}");
        assert!(expected.0.is_met(&starts), "{}\nstarts were lost or told twice: {starts:?}", shown());
        assert!(expected.1.is_met(&exits), "{}\nexits were lost or told twice: {exits:?}", shown());
    }

    /// The process of an instance ends by itself.
    pub(super) fn crash(&mut self, id: &InstanceId, code: i32) {
        if let Some((_, pid)) = self.machine.running().into_iter().find(|(running, _)| running == id) {
            self.machine.host().crash(pid, code);
        }
    }

    /// The file of an app is changed.
    pub(super) fn touch(&mut self, name: &str) {
        let digest = Digest::of(format!("{name} {:?}", self.now).as_bytes());
        self.files.insert(conf(name), ChangedFile { digest, since: WallTime(self.now.0) });
    }

    /// What will be put right by itself, and when.
    pub(super) fn heals(&self) -> Vec<(AppName, Heal)> {
        let Some(stored) = self.stored() else { return Vec::new() };
        let of_app = |app: &AppName| {
            let heals = rules::heals(stored, app, &self.files, WallTime(self.now.0));
            heals.into_iter().map(|heal| (app.clone(), heal)).collect::<Vec<_>>()
        };
        stored.apps.keys().flat_map(of_app).collect()
    }

    /// The process table has so many entries from now on.
    pub(super) fn set_rows(&mut self, count: usize) {
        self.machine.host().rows_max = count;
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
        self.machine.host().now = until;
    }

    /// The next thing that happens until then; false: nothing does.
    pub(super) fn step(&mut self, until: Moment) -> bool {
        let machine = self.machine.next();
        let wake = Some(self.wake_at);
        let Some(next) =
            [machine, self.pass_at, self.look_at, wake].into_iter().flatten().min().filter(|at| *at <= until)
        else {
            return false;
        };
        self.now = self.now.max(next);
        self.machine.host().now = self.now;
        self.steps += 1;
        if wake == Some(next) {
            self.wake_at = next.after(SLOW_TIMER);
            self.wake(false);
            self.heal();
        } else if machine == Some(next) {
            self.happen();
        }
        self.pass(Dirty::Everything);
        self.check();
        true
    }

    /// The next thing that happens on the machine.
    fn happen(&mut self) {
        let before = self.machine.running();
        self.machine.step(self.now);
        let after = self.machine.running();
        for (id, pid) in before.into_iter().filter(|known| !after.iter().any(|(_, pid)| *pid == known.1)) {
            if let Some(exit @ Exit::Code(_)) = self.machine.host().processes[&pid].exit {
                self.log.push(format!("  {} ended with {exit}", short(&id)));
            }
        }
    }

    // ---- what is

    pub(super) fn stored(&self) -> Option<&Project> {
        self.desired.projects.get(&shop())
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// Instances whose process lives.
    pub(super) fn processes(&self) -> Vec<InstanceId> {
        self.machine.running().into_iter().map(|(id, _)| id).collect()
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
        let view = View { desired: &self.desired, live: &self.live, now: self.now, unasked_starts_max: None };
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

    /// As `reconciler/healing.rs` does it. Whatever users stopped stays so, and nothing is put right without end.
    pub(super) fn heal(&mut self) {
        let stored = self.stored().cloned().unwrap_or_default();
        if self.is_disk_full {
            return;
        }
        self.look();
        let is_busy = |app: &&AppName| self.jobs.is_busy(&AppId::new(shop(), (*app).clone()));
        let waiting = stored.apps.keys().filter(is_busy).cloned().collect();
        let facts = HealFacts { live: &self.live, files: &self.files, waiting: &waiting, wall: WallTime(self.now.0) };
        let Some(Decision { plan, changes }) = plan::heal(&shop(), &stored, &facts) else { return };
        for change in &changes {
            let Change::App { name, declared, .. } = change else { continue };
            let before = &stored.apps[name];
            assert_eq!(declared.desired_state, before.desired_state, "self_heal starts or stops {name}");
            let is_up = |slot: &u32| declared.may_run(*slot) && before.stopped_slots.contains(slot);
            assert_eq!((0..declared.instances()).find(is_up), None, "self_heal starts what a user stopped of {name}");
            self.healed.push((self.now, name.clone()));
            let recent = self.healed.iter().filter(|(at, app)| app == name && at.after(rules::PAUSE) > self.now);
            assert!(recent.count() <= rules::HEALS_MAX as usize, "{name} is put right without end");
        }
        self.log.extend(steps(&plan).into_iter().map(|step| format!("self_heal: {step}")));
        let before = self.desired.clone();
        self.keep(changes.clone());
        self.jobs.supersede(&before, &changes);
        self.accept(&plan, Cause::SelfHeal, false);
    }

    fn pass(&mut self, dirty: Dirty) {
        let mut dirty = dirty;
        for _ in 0..100 {
            self.look();
            let view = View { desired: &self.desired, live: &self.live, now: self.now, unasked_starts_max: None };
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
        let plan::Rehearsal { instance, number, launch, .. } = rehearsal;
        if words(&launch.spec).contains(&"missing".to_owned()) {
            self.unstartable.insert(instance.clone(), (number, not_found()));
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

    /// Gives orders to the supervisor, and tells those that it will take up.
    fn give(&mut self, orders: Vec<Order>) {
        for order in orders {
            assert!(order.number > self.last_order, "orders are numbered upwards");
            self.last_order = order.number;
            self.tell_order(&order);
            self.given.push(order.clone());
            self.machine.order(vec![order]);
        }
    }

    fn tell_order(&mut self, Order { instance: id, number, command }: &Order) {
        let known = self.machine.taken(id);
        let is_late = known.is_some_and(|taken| taken.order >= *number);
        let line = match command {
            _ if is_late => return,
            // It is refused, and tried again for a while.
            Command::Start(_) | Command::Restart(_) if known.is_none() && !self.machine.host().has_room() => return,
            Command::Start(launch) => format!("start {} {}", short(id), version(&launch.spec)),
            Command::Restart(launch) => format!("restart {} {}", short(id), version(&launch.spec)),
            Command::Rename(old, _) if known.is_some() || self.machine.taken(old).is_some() => {
                format!("rename {}", short(id))
            }
            Command::Stop(_) if known.is_some() => format!("stop {}", short(id)),
            Command::Delete(_) if known.is_some() => format!("delete {}", short(id)),
            Command::TakeOver if known.is_some() && self.machine.taken(&id.clone().settled()).is_none() => {
                format!("{} takes over", short(id))
            }
            _ => return,
        };
        if let (None, Command::Start(launch) | Command::Restart(launch)) = (known, command) {
            let may_overlap = launch.spec.update_strategy() == UpdateStrategy::Rolling;
            assert!(
                may_overlap || !id.is_successor,
                "{}\n{} {} beside a slot that is replaced in place",
                self.log.join("\n"),
                short(id),
                version(&launch.spec)
            );
        }
        self.log.push(format!("  {line}"));
    }

    /// Takes in what has changed. With dice it may come later: what was ordered is not seen at once.
    fn look(&mut self) {
        if self.roll(5) == 1 {
            let late = self.now.after(Millis(1 + self.roll(5)));
            self.look_at = Some(late);
            return;
        }
        self.look_at = None;
        let changed = self.machine.changed();
        self.live.refused = changed.refused;
        self.live.refused.extend(self.unstartable.clone());
        for (id, live) in changed.instances {
            match live {
                Some(live) => drop(self.live.instances.insert(id, live)),
                None => drop(self.live.instances.remove(&id)),
            }
        }
    }
}

/// What the words of a spec make of its processes.
fn fate(spec: &App, slot: u32, now: Moment) -> Behaviour {
    let is_busy = number(spec, "busy").is_some_and(|until| now < Moment(until));
    let is_missing = words(spec).contains(&"missing".to_owned());
    let failure = if is_busy { Some(busy()) } else { is_missing.then(not_found) };
    let exit = exit_of(spec, slot).map(|(code, time)| (code, Millis(time)));
    let stop = Millis(number(spec, "stop").unwrap_or(5));
    Behaviour {
        failure,
        ready: number(spec, "ready").map(Millis),
        exit,
        sick: number(spec, "sick").map(Millis),
        stop,
        hook: number(spec, "hook").filter(|time| *time < 150).map(Millis),
    }
}

/// How often something has to be told at least, and may be told at most, by a number.
#[derive(Debug, Default)]
struct Told(BTreeMap<u32, (usize, usize)>);

impl Told {
    fn expect(&mut self, number: u32, is_known: bool) {
        let (least, most) = self.0.entry(number).or_default();
        *least += usize::from(is_known);
        *most += 1;
    }

    fn is_met(&self, told: &[u32]) -> bool {
        let count = |number: u32| told.iter().filter(|other| **other == number).count();
        let is_in_order = |(number, (least, most)): (&u32, &(usize, usize))| (*least..=*most).contains(&count(*number));
        self.0.iter().all(is_in_order) && told.iter().all(|number| self.0.contains_key(number))
    }
}

/// The processes whose start was told, and the numbers of those whose end was.
fn told_starts_and_exits(facts: &[(Subject, Fact)]) -> (Vec<u32>, Vec<u32>) {
    let (mut starts, mut exits) = (Vec::new(), Vec::new());
    for (_, fact) in facts {
        match fact {
            Fact::Started { pid, .. } => starts.push(*pid),
            Fact::Exited { incarnation, .. } => exits.push(*incarnation),
            _ => {}
        }
    }
    (starts, exits)
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
                "conf" => drop(app.run.restart_on.insert(conf(app.name.as_str()), Digest::default())),
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
            Some(("hook", _)) => {
                app.hooks.pre_start = Some("true".to_owned());
                app.hooks.pre_stop = Some("true".to_owned());
                app.hooks.timeout = Some(Millis(150));
                sim.push(word);
            }
            Some(("sick", _)) => {
                app.health = Some(health());
                sim.push(word);
            }
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

/// The file of an app.
fn conf(name: &str) -> PathBuf {
    format!("/srv/shop/{name}.conf").into()
}

fn ready() -> Ready {
    Ready { probe: Probe::Message(true), timeout: Millis(5000), interval: Ready::INTERVAL }
}

fn health() -> Health {
    let (interval, timeout, start_period) = (Millis(40), Millis(40), Millis(0));
    Health { probe: Probe::Message(true), interval, timeout, start_period, failures: 2, action: HealthAction::Restart }
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

/// How an operation ended, as a story tells it.
fn sentence(report: &OperationReport, is_waited_for: bool) -> String {
    let OperationReport { app, verb, result, .. } = report;
    let whose = if is_waited_for { "" } else { " (by itself)" };
    let verb = if *verb == VerbKind::Wait { "come up" } else { verb.as_str() };
    match result {
        OperationResult::Done => format!("ok {app}: {verb}{whose}"),
        OperationResult::Completed => format!("ok {app}: completed{whose}"),
        OperationResult::Superseded => format!("left {app}: {verb}, a later command took over{whose}"),
        OperationResult::Skipped { why } => format!("skipped {app}: {verb}: {}{whose}", skip(why)),
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

fn skip(why: &crate::model::Skip) -> String {
    use crate::model::Skip;
    match why {
        Skip::Blocked { app, condition, .. } => format!("{app} is never {}", condition.as_str()),
        Skip::DependencyFailed => "a dependency did not come up".to_owned(),
        Skip::EarlierFailed => "an earlier step failed".to_owned(),
        Skip::DidNotComeUp => "its processes did not come up".to_owned(),
        Skip::DeletesWithheld => "deletes are withheld".to_owned(),
        Skip::Superseded => "a later command took over".to_owned(),
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
