//! What a rollout rolls back to, and what the next daemon still has to do about it.

use super::*;
use crate::model::{Kind, ListenAddress, Millis, Note, Rollout, UpdateStrategy};

fn of_port(port: u16) -> App {
    app_with("api", |app| app.run.port = Some(port))
}

/// The port of the revision that the rollout of `api` rolls back to.
fn rollback_target(world: &World) -> Option<u16> {
    let rollout = world.stored().unwrap().rollouts.get(&"api".parse().unwrap())?;
    rollout.from.as_ref().unwrap().spec.run.port
}

/// What an execution does when all slots are good.
fn come_to_a_good_end(world: &mut World) {
    world.store(vec![Change::Rollout { project: shop(), name: "api".parse().unwrap(), rollout: None }]);
}

#[test]
fn a_rollout_is_rolled_back_to_the_newest_healthy_revision() {
    let mut world = World::with([of_port(1)]);
    assert_eq!(rollback_target(&world), None, "a first start has nothing to go back to");
    world.apply([of_port(2)]);
    assert_eq!(rollback_target(&world), Some(1));
    world.apply([of_port(2)]);
    assert_eq!(rollback_target(&world), Some(1), "the same again changes nothing");
    world.apply([of_port(3)]);
    assert_eq!(rollback_target(&world), Some(1), "nobody knows whether 2 was good");
    come_to_a_good_end(&mut world);
    world.apply([of_port(4)]);
    assert_eq!(rollback_target(&world), Some(3));
    world.apply([of_port(3)]);
    assert_eq!(rollback_target(&world), None, "never to what is being left");
    world.apply([of_port(5)]);
    world.apply_with(&proposed([]), &ApplyOptions { allow_empty: true, ..ApplyOptions::default() }).unwrap();
    assert_eq!(world.stored().unwrap().rollouts, BTreeMap::new(), "an app that is gone has no rollout");
}

#[test]
fn what_replaces_no_process_is_no_update() {
    let mut world = World::with([app("api")]);
    world.apply([app_with("api", |app| app.stop.kill_timeout = Millis(1))]);
    assert_eq!(rollback_target(&world), None);
    world.set_phase(&"shop:api/0".parse().unwrap(), Phase::Stopped);
    world.apply([of_port(2)]);
    assert_eq!(rollback_target(&world), None);
}

#[test]
fn a_timed_task_is_started_by_the_clock_alone() {
    let mut world = World::with([of_port(1)]);
    world.apply([of_port(2)]);
    world.apply([app_with("api", |app| {
        (app.kind, app.schedule.cron_restart) = (Kind::Task, Some("0 3 1 1 *".to_owned()));
    })]);
    assert_eq!(world.stored().unwrap().rollouts, BTreeMap::new());
}

#[test]
fn a_new_revision_ends_a_pause() {
    let mut world = World::with([of_port(1)]);
    world.apply([of_port(2)]);
    let name: AppName = "api".parse().unwrap();
    let mut paused = world.stored().unwrap().rollouts[&name].clone();
    paused.is_paused = true;
    world.store(vec![Change::Rollout { project: shop(), name: name.clone(), rollout: Some(Box::new(paused.clone())) }]);
    world.apply([of_port(2)]);
    assert_eq!(world.stored().unwrap().rollouts[&name], paused);
    world.apply([of_port(3)]);
    assert_eq!(world.stored().unwrap().rollouts[&name], Rollout { is_paused: false, ..paused });
}

/// `api` with a rollout that a person has paused.
fn paused(from: App, to: App) -> World {
    let mut world = World::with([from]);
    world.apply([to]);
    pause(&mut world);
    world
}

fn pause(world: &mut World) {
    let name: AppName = "api".parse().unwrap();
    let known = world.stored().unwrap().rollouts.get(&name).cloned().unwrap_or_default();
    let rollout = Some(Box::new(Rollout { is_paused: true, ..known }));
    world.store(vec![Change::Rollout { project: shop(), name, rollout }]);
}

fn rollout(world: &World, app: &str) -> Option<Rollout> {
    world.stored().unwrap().rollouts.get(&app.parse().unwrap()).cloned()
}

#[test]
fn a_pause_lasts_as_long_as_the_revision() {
    let mut world = paused(of_port(1), of_port(2));
    let before = rollout(&world, "api");
    let live = app_with("api", |app| (app.run.port, app.stop.kill_timeout) = (Some(2), Millis(1)));
    assert_eq!(world.apply([live]).notes, [], "no word of what goes on");
    assert_eq!(rollout(&world, "api"), before);
    let plan = world.apply([of_port(3)]);
    assert_eq!(plan.notes, [Note::PauseEnded { app: "api".parse().unwrap() }]);
    assert!(!rollout(&world, "api").unwrap().is_paused);
    // The same of new processes of one revision, and under another name.
    let mut world = World::with([of_port(1)]);
    pause(&mut world);
    world.apply([app_with("api", |app| (app.run.port, app.stop.kill_timeout) = (Some(1), Millis(1)))]);
    assert!(rollout(&world, "api").unwrap().is_paused);
    world.apply([app_with("web", |app| {
        app.run = of_port(1).run;
        app.moved_from = vec![AppId::new(shop(), "api".parse().unwrap())];
    })]);
    assert!(rollout(&world, "web").unwrap().is_paused);
    assert_eq!(rollout(&world, "api"), None);
}

#[test]
fn a_stop_of_the_whole_app_ends_the_pause_and_not_the_judging() {
    let stop = Edit::Stop { is_held: false };
    let mut world = paused(of_port(1), of_port(2));
    world.edit("api", None, &stop).unwrap();
    assert!(!rollout(&world, "api").unwrap().is_paused);
    assert_eq!(rollback_target(&world), Some(1), "nobody knows whether 2 is good");
    let mut world = World::with([of_port(1)]);
    pause(&mut world);
    world.edit("api", None, &stop).unwrap();
    assert_eq!(rollout(&world, "api"), None);
}

#[test]
fn a_stop_of_one_copy_brings_nothing_else_with_it() {
    let three = |port| app_with("api", |app| (app.instances, app.run.port) = (Some(3), Some(port)));
    let mut world = World::with([three(1)]);
    let decision = world.decide(&proposed([three(2)]), &ApplyOptions::default()).unwrap();
    world.store(decision.changes);
    let (targets, stop) = ([("api".parse().unwrap(), Some(1))], Edit::Stop { is_held: false });
    let request = EditRequest { project: &shop(), targets: &targets, edit: &stop, by: "alice", at: WallTime(0) };
    let changes = edit(world.stored().unwrap(), &world.live, &request).unwrap();
    world.store(changes);
    let plan = plan_edited(&shop(), world.stored().unwrap(), &world.live, &targets, &stop, true);
    assert_eq!(verbs(&plan), ["stop api [1]"]);
}

#[test]
fn the_next_daemon_judges_what_was_replaced_and_replaces_the_rest() {
    let three = |port| app_with("api", |app| (app.instances, app.run.port) = (Some(3), Some(port)));
    let mut world = World::with([three(1)]);
    let decision = world.decide(&proposed([three(2)]), &ApplyOptions::default()).unwrap();
    world.store(decision.changes);
    let unfinished = |world: &World| {
        let mut plan = world.wakeup_plan();
        add_unfinished(&mut plan, world.stored().unwrap(), &world.live);
        (verbs(&plan), reasons(&plan, "api"))
    };
    let (roll, out_of_date) = (vec!["roll api [0, 1, 2]".to_owned()], Reason::OutOfDate);
    assert_eq!(unfinished(&world), (roll.clone(), vec![out_of_date, Reason::RolloutUnfinished]));
    world.wake();
    assert_eq!(unfinished(&world), (roll, vec![Reason::RolloutUnfinished]));
    world.edit("api", Some(1), &Edit::Stop { is_held: false }).unwrap();
    assert_eq!(unfinished(&world).0, ["roll api [0, 2]"], "a person stopped it");
    come_to_a_good_end(&mut world);
    assert_eq!(unfinished(&world).0, [""; 0]);
}

#[test]
fn sockets_that_exclude_each_other_have_no_two_processes_at_once() {
    let listening = |address: &str, count: u32| {
        let address = ListenAddress::Tcp(address.parse().unwrap());
        app_with("api", |app| (app.run.listen, app.instances) = (vec![address], Some(count)))
    };
    let strategy = |plan: &Plan| match &plan.operations[0].verb {
        Verb::Roll { strategy, .. } => *strategy,
        other => panic!("{other:?}"),
    };
    let mut world = World::with([listening("127.0.0.1:80", 2)]);
    assert_eq!(strategy(&world.apply([listening("127.0.0.1:81", 2)])), UpdateStrategy::Rolling);
    assert_eq!(strategy(&world.apply([listening("0.0.0.0:81", 2)])), UpdateStrategy::Together);
    let plan = world.apply([listening("127.0.0.1:81", 3)]);
    assert_eq!(strategy(&plan), UpdateStrategy::Together, "before the new copy is started");
    assert!(matches!(plan.operations[1].verb, Verb::Scale { .. }), "{plan:?}");
}

#[test]
fn what_an_update_has_stopped_is_replaced_by_it_and_not_merely_started() {
    let listening = |address: &str| {
        let address = ListenAddress::Tcp(address.parse().unwrap());
        app_with("api", |app| (app.run.listen, app.instances) = (vec![address], Some(2)))
    };
    let mut world = World::with([listening("127.0.0.1:80")]);
    let decision = world.decide(&proposed([listening("0.0.0.0:80")]), &ApplyOptions::default()).unwrap();
    world.store(decision.changes);
    world.set_phase(&"shop:api/0".parse().unwrap(), Phase::Stopped);
    for both in [false, true] {
        if both {
            world.set_phase(&"shop:api/1".parse().unwrap(), Phase::Stopped);
        }
        let mut plan = world.wakeup_plan();
        add_unfinished(&mut plan, world.stored().unwrap(), &world.live);
        assert_eq!(verbs(&plan), ["roll api [0, 1]"]);
        let strategy = matches!(plan.operations[0].verb, Verb::Roll { strategy: UpdateStrategy::Together, .. });
        assert!(strategy, "{plan:?}");
    }
}
