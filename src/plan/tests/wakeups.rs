//! What is put right without being asked, and what is left alone.

use super::*;
use crate::model::{DesiredState, Millis};

fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

#[test]
fn what_should_run_and_does_not_is_started() {
    let mut world = World::with([app_with("api", |app| app.instances = Some(3))]);
    world.live.instances.remove(&id("shop:api/1"));
    world.set_phase(&id("shop:api/2"), Phase::Stopped);
    let plan = world.wakeup_plan();
    assert_eq!(verbs(&plan), ["start api [1, 2]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::NotRunning]);
}

#[test]
fn waiting_ended_and_given_up_instances_are_left_alone() {
    let backoff = Phase::Backoff { until: Moment(9), delay: Millis(9), attempt: 2 };
    let clearing = Phase::Stopping { pid: None, deadline: Moment(9) };
    for phase in [errored(), backoff, Phase::Done { exit: Exit::Code(0) }, Phase::Starting, clearing] {
        let mut world = World::with([app("api")]);
        world.set_phase(&id("shop:api/0"), phase.clone());
        assert_eq!(world.wakeup_plan().operations, [], "{phase:?}");
    }
}

#[test]
fn an_apply_that_was_cut_short_is_finished() {
    let old = [app("api"), app("gone"), app("old")];
    let new = [
        app_with("api", |app| app.run.port = Some(80)),
        app("new"),
        app_with("kept", |app| {
            app.moved_from = vec!["shop:old".parse().unwrap()];
            app.run.script = Some("/srv/shop/old.js".into());
        }),
    ];
    let mut world = World::with(old);
    let decision = world.decide(&proposed(new), &ApplyOptions::default()).unwrap();
    world.store(decision.changes);
    let plan = world.wake();
    assert_eq!(verbs(&plan), ["rename old to kept", "roll api [0]", "start new [0]", "delete gone [0]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::OutOfDate]);
    assert_eq!(world.wake().operations, []);
}

#[test]
fn new_policies_reach_processes_that_follow_old_ones() {
    let mut world = World::with([app("api")]);
    let slower = app_with("api", |app| app.stop.kill_timeout = Millis(1));
    let decision = world.decide(&proposed([slower]), &ApplyOptions::default()).unwrap();
    world.store(decision.changes);
    let pids = world.pids();
    assert_eq!(verbs(&world.wake()), ["reconfigure api"]);
    assert_eq!(world.pids(), pids);
    assert_eq!(world.wake().operations, []);
}

#[test]
fn leftovers_of_a_project_that_is_gone_are_deleted() {
    let mut world = World::with([app("api")]);
    world.desired = Desired::default();
    assert_eq!(verbs(&world.wake()), ["delete api [0]"]);
}

#[test]
fn a_shutdown_stops_dependents_first() {
    let web = app_with("web", |app| {
        app.depends_on.insert("api".parse().unwrap(), crate::model::Condition::Started);
    });
    let mut world = World::with([app("api"), web, app("off")]);
    world.edit("off", None, &Edit::Stop { is_held: false }).unwrap();
    let plan = plan_shutdown(&shop(), world.stored().unwrap(), &world.live, "alice");
    assert_eq!(verbs(&plan), ["stop web [0]", "stop api [0]"]);
    assert_eq!(plan.operations[1].after, ["web".parse().unwrap()]);
    assert_eq!(world.declared("api").desired_state, DesiredState::Up);
}

#[test]
fn a_dependent_that_was_skipped_may_start_once_the_other_has_lived_for_a_while() {
    let web = app_with("web", |app| {
        app.depends_on.insert("api".parse().unwrap(), crate::model::Condition::Started);
    });
    let mut world = World::with([app("api"), web]);
    let could_start = |world: &World| dependent_could_start_at(&world.desired, &world.live);
    let api: InstanceId = "shop:api/0".parse().unwrap();
    let web: InstanceId = "shop:web/0".parse().unwrap();
    let running = |since| Phase::Running { pid: 7, since: Moment(since), readiness: Readiness::Ready };
    let backoff = || Phase::Backoff { until: Moment(9000), delay: Millis(100), attempt: 2 };
    assert_eq!(could_start(&world), None, "everything runs");
    world.live.instances.remove(&web);
    for (phase, at) in [
        (running(5000), Some(Moment(5300))),
        (backoff(), None),
        (Phase::Starting, None),
        (errored(), None),
        (Phase::Done { exit: Exit::Code(0) }, Some(Moment(0))),
    ] {
        world.set_phase(&api, phase.clone());
        assert_eq!(could_start(&world), at, "{phase:?}");
    }
    world.set_phase(&api, running(1));
    world.edit("web", None, &Edit::Stop { is_held: false }).unwrap();
    assert_eq!(could_start(&world), None, "it is not to run");
}
