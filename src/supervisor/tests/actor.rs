//! The actor alone: orders, exits and deaths of the daemon, step by step.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::{Behaviour, Killed, Supervised};
use crate::lifecycle::samples;
use crate::model::{
    App, AppName, Cause, Command, Digest, ExecMode, Fact, Failure, Hooks, InstanceId, Launch, LiveInstance, Millis,
    Moment, Order, Phase, Probe, Readiness, Ready, RestartWhen, SpawnError, SpawnStage,
};
use crate::supervisor::cluster::WorkerSaid;

/// What processes do is in the name of their app: `missing`, `short`, `ready`; all others live on.
fn fate(spec: &App, _slot: u32, _now: Moment) -> Behaviour {
    let is = |name: &str| spec.name.as_str() == name;
    let (stage, subject, message) = (SpawnStage::Exec, "web".to_owned(), "No such file or directory".to_owned());
    let error = SpawnError { stage, subject, errno: 2, message, is_passing: false };
    Behaviour {
        failure: is("missing").then_some(Failure::Spawn { error }),
        ready: is("ready").then_some(Millis(50)),
        exit: is("short").then_some((3, Millis(0))),
        sick: None,
        stop: Millis(5),
        hook: Some(Millis(30)).filter(|_| spec.namespace != "hangs"),
    }
}

fn app(name: &str) -> App {
    let mut app = App { name: name.parse::<AppName>().unwrap(), ..samples::app() };
    app.restart.restart = RestartWhen::Never;
    if name == "ready" {
        app.ready = Some(Ready { probe: Probe::Message(true), timeout: Millis(200), interval: Ready::INTERVAL });
    }
    app
}

fn launch_of(app: App) -> Launch {
    let digest = Digest::of(app.name.as_str().as_bytes());
    let base = Arc::default();
    Launch {
        spec: Arc::new(app),
        digest,
        base,
        base_digest: Digest::default(),
        restart_requests: 0,
        cause: Cause::Boot,
    }
}

fn launch(name: &str) -> Launch {
    launch_of(app(name))
}

fn id(name: &str) -> InstanceId {
    app(name).id().instance(0)
}

/// A supervisor with the number of the last order.
struct Scene {
    machine: Supervised,
    number: u64,
}

impl Scene {
    fn new() -> Self {
        Self { machine: Supervised::new(fate), number: 0 }
    }

    fn order(&mut self, name: &str, command: Command) -> Order {
        self.number += 1;
        let order = Order { instance: id(name), number: self.number, command };
        self.machine.order(vec![order.clone()]);
        order
    }

    fn wait(&mut self, time: u64) {
        let until = self.machine.host().now.after(Millis(time));
        while let Some(next) = self.machine.next().filter(|at| *at <= until) {
            self.machine.step(next);
        }
        self.machine.host().now = until;
    }

    /// `web running`, one for each instance.
    fn state(&mut self) -> String {
        let now = self.machine.live();
        let shown = |(id, live): (&InstanceId, &LiveInstance)| {
            format!("{}{} {}", id.app.name, if id.is_successor { "+" } else { "" }, live.phase.as_str())
        };
        now.instances.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// `starting` or `ready`, of a process that runs.
    fn phase(&mut self) -> &'static str {
        match &self.machine.live().instances[&id("web")].phase {
            Phase::Running { readiness: Readiness::Waiting { .. }, .. } => "starting",
            Phase::Running { .. } => "ready",
            other => other.as_str(),
        }
    }

    fn worker_says(&mut self, incarnation: u32, said: WorkerSaid) {
        self.machine.worker_says(&id("web"), incarnation, said);
    }

    /// What was told since the last time, each in a word.
    fn facts(&mut self) -> Vec<&'static str> {
        let word = |fact: &Fact| match fact {
            Fact::Started { .. } => "started",
            Fact::Exited { .. } => "exited",
            Fact::Stopped { .. } => "stopped",
            Fact::StartFailed { .. } => "failed",
            Fact::GaveUp { .. } => "gave up",
            Fact::Deleted => "deleted",
            Fact::Renamed { .. } => "renamed",
            _ => "",
        };
        let facts = self.machine.take_facts();
        facts.iter().map(|(_, fact)| word(fact)).filter(|word| !word.is_empty()).collect()
    }

    /// Lets the daemon die before its `at`-th step of what follows, and the next one take over. False: it did not come to
    /// that.
    fn dies_at(&mut self, at: u64, deed: impl FnOnce(&mut Self)) -> bool {
        self.machine.host().kill_in.set(at);
        let result = catch_unwind(AssertUnwindSafe(|| deed(self)));
        self.machine.host().kill_in.set(0);
        match result {
            Ok(()) => false,
            Err(payload) if payload.is::<Killed>() => {
                self.machine.boot();
                self.number = 0;
                true
            }
            Err(payload) => resume_unwind(payload),
        }
    }
}

#[test]
fn a_look_that_takes_long_holds_up_its_own_instance_only() {
    let mut scene = Scene::new();
    for name in ["web", "ready"] {
        scene.order(name, Command::Start(launch(name)));
    }
    scene.wait(100);
    scene.machine.host().look_time = Some(Millis::seconds(5));
    scene.order("web", Command::Stop(Cause::Boot));
    scene.order("other", Command::Start(launch("other")));
    scene.wait(1000);
    assert_eq!(scene.state(), "other running, ready running, web stopping");
    // The daemon dies before the answer: the next one looks again.
    scene.dies_at(1, |scene| drop(scene.order("ready", Command::Stop(Cause::Boot))));
    scene.wait(4900);
    assert!(scene.state().ends_with("web stopping"), "{}", scene.state());
    scene.wait(200);
    assert!(scene.state().ends_with("web stopped"), "{}", scene.state());
}

#[test]
fn orders_end_in_states_and_facts() {
    let hooks = Hooks { pre_start: Some("true".into()), ..Hooks::default() };
    let with_hook = launch_of(App { hooks, ..app("hooked") });
    let cases: Vec<(&str, Vec<Command>, &str, Vec<&str>)> = vec![
        ("web", vec![Command::Start(launch("web"))], "web running", vec!["started"]),
        ("web", vec![Command::Stop(Cause::Boot)], "", vec![]),
        ("web", vec![Command::TakeOver], "", vec![]),
        (
            "web",
            vec![Command::Start(launch("web")), Command::Stop(Cause::Boot)],
            "web stopped",
            vec!["started", "exited", "stopped"],
        ),
        (
            "web",
            vec![Command::Start(launch("web")), Command::Delete(Cause::Boot)],
            "",
            vec!["started", "exited", "deleted"],
        ),
        (
            "web",
            vec![Command::Start(launch("web")), Command::Stop(Cause::Boot), Command::Start(launch("web"))],
            "web running",
            vec!["started"],
        ),
        ("short", vec![Command::Start(launch("short"))], "short errored", vec!["started", "exited", "gave up"]),
        ("missing", vec![Command::Start(launch("missing"))], "missing errored", vec!["failed", "gave up"]),
        ("ready", vec![Command::Start(launch("ready"))], "ready running", vec!["started"]),
        ("hooked", vec![Command::Start(with_hook.clone()), Command::Delete(Cause::Boot)], "", vec!["deleted"]),
        (
            "hooked",
            vec![Command::Start(with_hook.clone()), Command::Stop(Cause::Boot), Command::Start(with_hook)],
            "hooked running",
            vec!["stopped", "started"],
        ),
    ];
    for (name, commands, state, facts) in cases {
        let mut scene = Scene::new();
        for command in commands.clone() {
            scene.order(name, command);
        }
        scene.wait(1000);
        assert_eq!((scene.state().as_str(), scene.facts()), (state, facts), "{name}: {commands:?}");
    }
}

#[test]
fn a_late_or_repeated_order_changes_nothing() {
    let mut scene = Scene::new();
    let start = scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    let stop = scene.order("web", Command::Stop(Cause::Boot));
    scene.wait(100);
    scene.machine.order(vec![start.clone(), stop.clone()]);
    scene.wait(100);
    assert_eq!(scene.state(), "web stopped");
    scene.order("web", Command::Delete(Cause::Boot));
    scene.wait(100);
    scene.machine.order(vec![start, stop]);
    scene.wait(100);
    assert_eq!(scene.state(), "", "what was deleted is not made again");
}

#[test]
fn a_process_that_is_not_ready_in_time_has_failed_under_whichever_daemon() {
    for at in 0.. {
        let mut scene = Scene::new();
        let mut slow = app("slow");
        slow.ready = Some(Ready { probe: Probe::Message(true), timeout: Millis(200), interval: Ready::INTERVAL });
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("slow", Command::Start(launch_of(slow.clone())));
            scene.wait(50);
        });
        let state = scene.machine.live().instances.get(&id("slow")).map(|live| live.phase.clone());
        if let Some(Phase::Running { readiness, .. }) = state {
            assert!(!readiness.is_up(), "step {at}: nobody has said that it is ready");
        }
        if at > 0 && !is_killed {
            return;
        }
    }
}

#[test]
fn a_start_survives_the_death_of_the_daemon_at_every_step() {
    for at in 1.. {
        let mut scene = Scene::new();
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("web", Command::Start(launch("web")));
            scene.wait(20);
        });
        // As the reconciler does it at every boot: what is missing is ordered.
        scene.order("web", Command::Start(launch("web")));
        scene.wait(1000);
        assert_eq!((scene.state().as_str(), scene.facts()), ("web running", vec!["started"]), "step {at}");
        if !is_killed {
            assert!(at > 5, "a start has more steps than that");
            return;
        }
    }
}

#[test]
fn a_stop_survives_the_death_of_the_daemon_at_every_step() {
    for at in 1.. {
        let mut scene = Scene::new();
        scene.order("web", Command::Start(launch("web")));
        scene.wait(20);
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("web", Command::Stop(Cause::Boot));
            scene.wait(20);
        });
        scene.order("web", Command::Stop(Cause::Boot));
        // Whether it was asked already is not known then; it is not asked twice, and has the time that it was given.
        scene.wait(60_000);
        let facts: Vec<_> = scene.facts().into_iter().filter(|fact| *fact != "stopped").collect();
        assert_eq!((scene.state().as_str(), facts), ("web stopped", vec!["started", "exited"]), "step {at}");
        if !is_killed {
            return;
        }
    }
}

/// Found by a history: the row was given back, and nobody knew how its last process had ended.
#[test]
fn what_was_told_of_a_deleted_instance_is_not_lost_with_the_daemon() {
    for at in 1.. {
        let mut scene = Scene::new();
        scene.machine.host().is_forgetful = true;
        scene.order("web", Command::Start(launch("web")));
        scene.wait(100);
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("web", Command::Delete(Cause::Boot));
            scene.wait(6);
        });
        if !is_killed {
            // When it has done everything.
            scene.machine.boot();
            scene.number = 0;
        }
        scene.order("web", Command::Delete(Cause::Boot));
        scene.wait(60_000);
        let mut facts = scene.facts();
        // The next daemon finds it down and says so; one that died before it gave the row back leaves it to be deleted again.
        facts.retain(|fact| *fact != "stopped");
        facts.dedup_by(|fact, before| (*fact, *before) == ("deleted", "deleted"));
        assert_eq!((scene.state().as_str(), facts), ("", vec!["started", "exited", "deleted"]), "step {at}");
        if !is_killed {
            return;
        }
    }
}

/// Found by a history: the row had the new name, the journal only the old one, and its start was told under both.
#[test]
fn a_new_name_that_was_not_told_is_told_by_the_next_daemon() {
    for at in 1.. {
        let mut scene = Scene::new();
        scene.machine.host().is_forgetful = true;
        scene.order("old", Command::Start(launch("old")));
        scene.wait(100);
        let mut new = app("new");
        new.moved_from = vec![app("old").id()];
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("new", Command::Rename(id("old"), launch_of(new.clone())));
            scene.wait(10);
        });
        if !is_killed {
            scene.machine.boot();
            scene.number = 0;
        }
        if scene.state().starts_with("old") {
            scene.order("new", Command::Rename(id("old"), launch_of(new)));
        }
        scene.wait(100);
        assert_eq!((scene.state().as_str(), scene.facts()), ("new running", vec!["started", "renamed"]), "step {at}");
        if !is_killed {
            return;
        }
    }
}

/// Found by a history: with the name went what was told of the other process of its slot.
#[test]
fn the_other_process_of_a_slot_that_was_renamed_is_told_once() {
    let mut scene = Scene::new();
    scene.order("old", Command::Start(launch("old")));
    scene.wait(10);
    scene.number += 1;
    let (instance, command) = (id("old").successor(), Command::Start(launch("old")));
    scene.machine.order(vec![Order { instance, number: scene.number, command }]);
    scene.wait(10);
    scene.order("new", Command::Rename(id("old"), launch("new")));
    scene.wait(10);
    scene.machine.boot();
    scene.wait(10);
    assert_eq!(scene.state(), "new running, old running");
    assert_eq!(scene.facts(), ["started", "started", "renamed"]);
}

/// Found by a history: it counted as one of another spec, and was started again at every look.
#[test]
fn a_start_that_failed_in_its_hook_is_of_the_spec_that_was_asked_for() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    let mut next = app("web");
    next.hooks = Hooks { pre_start: Some("false".into()), timeout: Some(Millis(10)), ..Hooks::default() };
    next.namespace = "hangs".into();
    scene.order("web", Command::Restart(launch_of(next.clone())));
    scene.wait(1000);
    let live = scene.machine.live().instances[&id("web")].clone();
    assert!(matches!(live.phase, Phase::Errored { .. }), "{live:?}");
    assert_eq!(*live.spec, next);
}

/// Found by a history: what the start had written down for the next daemon was from before the new name.
#[test]
fn a_new_name_that_comes_during_a_start_is_kept_at_every_step() {
    for at in 1.. {
        let mut scene = Scene::new();
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("old", Command::Start(launch("old")));
            scene.order("new", Command::Rename(id("old"), launch("new")));
            scene.order("old", Command::Start(launch("old")));
            scene.wait(20);
        });
        scene.machine.boot();
        scene.number = 0;
        for name in ["old", "new"] {
            scene.order(name, Command::Start(launch(name)));
        }
        scene.wait(1000);
        assert_eq!(scene.state(), "new running, old running", "step {at}");
        if !is_killed {
            return;
        }
    }
}

/// Found by a history: the next daemon counted from the number of the row, and took the process for one that was told.
#[test]
fn numbers_of_a_slot_are_not_borne_twice_under_the_next_daemon() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    let successor = id("web").successor();
    let order = |scene: &mut Scene, instance: InstanceId, command| {
        scene.number += 1;
        scene.machine.order(vec![Order { instance, number: scene.number, command }]);
        scene.wait(20);
    };
    order(&mut scene, successor.clone(), Command::Start(launch("web")));
    order(&mut scene, id("web"), Command::Restart(launch("web")));
    order(&mut scene, id("web"), Command::Delete(Cause::Boot));
    order(&mut scene, successor, Command::TakeOver);
    assert_eq!(scene.state(), "web running");
    scene.machine.boot();
    scene.number = 0;
    scene.order("web", Command::Restart(launch("web")));
    scene.wait(100);
    assert_eq!(scene.machine.live().instances[&id("web")].incarnation, 4);
}

#[test]
fn an_exit_that_nobody_was_woken_for_is_found_by_a_look() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    // With dice, some notices are lost.
    scene.machine.host().dice = Some(super::Dice(7));
    for _ in 0..60 {
        let pid = scene.machine.running()[0].1;
        scene.machine.host().crash(pid, 1);
        scene.wait(5000);
        assert_eq!(scene.state(), "web errored");
        scene.order("web", Command::Start(launch("web")));
        scene.wait(100);
        assert_eq!(scene.state(), "web running");
    }
}

#[test]
fn the_death_of_an_anchor_ends_nothing_and_its_children_are_known() {
    for exit in [false, true] {
        let mut scene = Scene::new();
        scene.order("web", Command::Start(launch("web")));
        scene.wait(10);
        let pid = scene.machine.running()[0].1;
        scene.machine.host().kill_anchor();
        scene.wait(30);
        assert_eq!(scene.state(), "web running");
        scene.machine.kill(false);
        if exit {
            scene.machine.host().crash(pid, 1);
            scene.machine.step(Moment(5000));
        }
        scene.machine.boot();
        scene.wait(100);
        let state = if exit { "web errored" } else { "web running" };
        assert_eq!(scene.state(), state);
        let facts = if exit { vec!["started", "exited", "gave up"] } else { vec!["started"] };
        assert_eq!(scene.facts(), facts, "exit {exit}");
    }
}

impl Scene {
    /// Both our processes die, and the next ones come. What runs then, and its number.
    fn lose_both(&mut self) -> Vec<(InstanceId, u32)> {
        self.machine.kill(false);
        self.machine.host().kill_anchor();
        self.machine.boot();
        self.number = 0;
        self.wait(100);
        self.machine.running()
    }

    fn order_successor(&mut self, name: &str, command: Command) {
        self.number += 1;
        self.machine.order(vec![Order { instance: id(name).successor(), number: self.number, command }]);
        self.wait(20);
    }
}

#[test]
fn what_runs_is_found_by_its_mark_when_the_table_is_lost() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    scene.order("web", Command::Restart(launch("web")));
    scene.wait(20);
    let before = scene.machine.running();
    scene.machine.host().mirror.lose();
    assert_eq!(scene.lose_both(), before);
    assert_eq!((scene.state().as_str(), scene.facts()), ("web running", vec!["started", "exited", "started"]));
    // Found by a history: what has ended is forgotten with its row, and its number was given to the next process.
    scene.machine.host().crash(before[0].1, 1);
    scene.machine.kill(false);
    scene.wait(1);
    scene.machine.host().mirror.lose();
    assert_eq!(scene.lose_both(), []);
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    assert_eq!(scene.machine.live().instances[&id("web")].incarnation, 3);
}

/// Found by a history: the row that came first had the name, and the process was ended as a second one.
#[test]
fn what_lives_has_the_name_that_an_old_row_claims_too() {
    let mut scene = Scene::new();
    for name in ["web", "other"] {
        scene.order(name, Command::Start(launch(name)));
        scene.wait(10);
    }
    scene.machine.host().mirror.is_frozen = true;
    for name in ["web", "other"] {
        scene.order(name, Command::Delete(Cause::Boot));
        scene.wait(20);
    }
    for name in ["next", "web"] {
        scene.order(name, Command::Start(launch(name)));
        scene.wait(10);
    }
    scene.order("next", Command::Delete(Cause::Boot));
    scene.wait(20);
    let before = scene.machine.running();
    assert_eq!((scene.lose_both(), scene.state().as_str()), (before, "web running"));
}

/// Found by a history: both say that they were started to take the slot over, and one was ended.
#[test]
fn of_two_successors_the_first_has_taken_the_slot_over() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    scene.wait(10);
    scene.order_successor("web", Command::Start(launch("web")));
    scene.order("web", Command::Delete(Cause::Boot));
    scene.wait(20);
    scene.order_successor("web", Command::TakeOver);
    scene.order_successor("web", Command::Start(launch("web")));
    let before: BTreeSet<_> = scene.machine.running().into_iter().collect();
    scene.machine.host().mirror.lose();
    let after = scene.lose_both().into_iter().collect();
    assert_eq!((before.len(), before), (2, after));
}

/// Found by a history: it was started again with a number that had been told.
#[test]
fn a_process_that_was_told_of_is_not_one_that_never_came_to_be() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(launch("web")));
    // Announced, and not created yet.
    scene.machine.step(Moment(1001));
    scene.machine.host().mirror.is_frozen = true;
    scene.wait(20);
    let pid = scene.machine.running()[0].1;
    scene.machine.kill(false);
    scene.machine.host().kill_anchor();
    scene.machine.host().crash(pid, 1);
    scene.wait(1);
    assert_eq!(scene.lose_both(), []);
    assert_eq!((scene.state().as_str(), scene.facts()), ("web errored", vec!["started", "exited", "gave up"]));
}

/// A worker of a cluster, whose connections end by themselves.
fn worker() -> Launch {
    let mut app = app("web");
    app.run.exec_mode = ExecMode::Cluster;
    app.ready = Some(Ready { probe: Probe::Listening(true), timeout: Millis(200), interval: Ready::INTERVAL });
    launch_of(app)
}

#[test]
fn a_worker_is_ready_when_it_listens_and_its_sockets_are_closed_when_nobody_is_left() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(worker()));
    scene.wait(20);
    assert_eq!(scene.phase(), "starting");
    for (incarnation, said) in [(0, WorkerSaid::Listening), (1, WorkerSaid::Ready)] {
        scene.worker_says(incarnation, said);
        assert_eq!(scene.phase(), "starting", "of another process, or of no interest");
    }
    scene.worker_says(1, WorkerSaid::Listening);
    assert_eq!(scene.phase(), "ready");
    scene.order("web", Command::Restart(worker()));
    scene.wait(20);
    scene.worker_says(2, WorkerSaid::Listening);
    assert!(scene.machine.host().closed_clusters.is_empty(), "the next one wants them");
    scene.order("web", Command::Stop(Cause::Boot));
    scene.wait(1000);
    assert_eq!(scene.machine.host().closed_clusters, [id("web").app]);
}

#[test]
fn the_stop_of_a_worker_survives_the_death_of_the_daemon_at_every_step() {
    for at in 1.. {
        let mut scene = Scene::new();
        scene.order("web", Command::Start(worker()));
        scene.wait(20);
        scene.worker_says(1, WorkerSaid::Listening);
        let is_killed = scene.dies_at(at, |scene| {
            scene.order("web", Command::Stop(Cause::Boot));
            scene.wait(20);
        });
        scene.order("web", Command::Stop(Cause::Boot));
        scene.wait(60_000);
        let facts: Vec<_> = scene.facts().into_iter().filter(|fact| *fact != "stopped").collect();
        assert_eq!((scene.state().as_str(), facts), ("web stopped", vec!["started", "exited"]), "step {at}");
        assert_eq!(scene.machine.host().closed_clusters.last(), Some(&id("web").app), "step {at}");
        if !is_killed {
            assert!(at > 5, "a stop has more steps than that");
            return;
        }
    }
}

#[test]
fn a_worker_that_an_earlier_daemon_left_unserved_is_restarted_unless_it_ends_anyway() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(worker()));
    scene.wait(20);
    scene.worker_says(1, WorkerSaid::Listening);
    scene.worker_says(1, WorkerSaid::Unserved);
    scene.wait(100);
    assert_eq!(scene.phase(), "starting", "another process");
    scene.worker_says(1, WorkerSaid::Unserved);
    scene.worker_says(2, WorkerSaid::Listening);
    scene.order("web", Command::Stop(Cause::Boot));
    scene.worker_says(2, WorkerSaid::Unserved);
    scene.wait(1000);
    assert_eq!(scene.state(), "web stopped");
    assert_eq!(scene.facts(), ["started", "exited", "started", "exited", "stopped"]);
}

#[test]
fn what_workers_say_is_passed_on_as_much_as_can_be_read() {
    let mut scene = Scene::new();
    scene.order("web", Command::Start(worker()));
    scene.wait(20);
    for number in 0..1000 {
        scene.worker_says(1, WorkerSaid::message(&format!("{number}")));
    }
    let passed = |scene: &mut Scene| {
        let passed = scene.machine.host().passed_on.take();
        let said = |(_, fact)| match fact {
            Fact::Message { text, skipped } => (text, skipped),
            other => panic!("{other:?}"),
        };
        passed.into_iter().map(said).collect::<Vec<_>>()
    };
    let first = passed(&mut scene);
    assert_eq!((first.len(), &first[49]), (50, &("49".to_owned(), 0)));
    scene.wait(100);
    scene.worker_says(1, WorkerSaid::message(&"é".repeat(2000)));
    let later = passed(&mut scene);
    assert_eq!((later.len(), later[0].1, later[0].0.chars().count()), (1, 950, 1001));
    assert!(!scene.facts().contains(&"message"), "never recorded");
}
