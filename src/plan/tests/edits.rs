//! Changes that users make without a file.

use super::*;
use crate::model::{Confirm, DesiredState, Kind};

fn two() -> World {
    World::with([app_with("api", |app| app.instances = Some(2))])
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn stop_stays_stopped_and_start_undoes_it() {
    let mut world = two();
    assert_eq!(verbs(&world.edit("api", None, &Edit::Stop { is_held: false }).unwrap()), ["stop api [0, 1]"]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Stop { is_held: false }).unwrap()), none());
    assert_eq!(verbs(&world.wake()), none());
    assert_eq!(verbs(&world.edit("api", None, &Edit::Start).unwrap()), ["start api [0, 1]"]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Start).unwrap()), none());
    assert_eq!(world.stored().unwrap().generation, 3);
}

#[test]
fn restart_gives_every_copy_a_new_process_once() {
    let mut world = two();
    let plan = world.edit("api", None, &Edit::Restart).unwrap();
    assert_eq!((verbs(&plan), reasons(&plan, "api")), (vec!["roll api [0, 1]".to_owned()], vec![Reason::RestartAsked]));
    assert_eq!(verbs(&world.wake()), none());
    assert_eq!(verbs(&world.edit("api", Some(1), &Edit::Restart).unwrap()), ["roll api [1]"]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Restart).unwrap()), ["roll api [0, 1]"]);
    world.edit("api", None, &Edit::Stop { is_held: false }).unwrap();
    assert_eq!(verbs(&world.edit("api", None, &Edit::Restart).unwrap()), ["start api [0, 1]"]);
}

#[test]
fn one_slot_can_be_stopped_and_started_alone() {
    let mut world = two();
    assert_eq!(verbs(&world.edit("api", Some(1), &Edit::Stop { is_held: false }).unwrap()), ["stop api [1]"]);
    assert_eq!(verbs(&world.wake()), none());
    assert_eq!(verbs(&world.edit("api", Some(1), &Edit::Start).unwrap()), ["start api [1]"]);
    world.edit("api", None, &Edit::Stop { is_held: false }).unwrap();
    assert_eq!(verbs(&world.edit("api", Some(0), &Edit::Start).unwrap()), ["start api [0]"]);
    assert_eq!(verbs(&world.edit("api", Some(0), &Edit::Stop { is_held: false }).unwrap()), ["stop api [0]"]);
    assert!(matches!(world.declared("api").desired_state, DesiredState::Stopped { .. }));
}

#[test]
fn start_tries_again_what_was_given_up() {
    let mut world = two();
    world.set_phase(&"shop:api/1".parse().unwrap(), errored());
    let pid = world.pids()["api/0"];
    assert_eq!(verbs(&world.edit("api", None, &Edit::Start).unwrap()), ["start api [1]"]);
    assert_eq!(world.pids()["api/0"], pid);
    assert_eq!(verbs(&world.wake()), none());
}

#[test]
fn restart_works_for_an_app_that_was_deleted_and_declared_again() {
    let mut world = two();
    world.edit("api", None, &Edit::Restart).unwrap();
    let live = world.live.clone();
    world.edit("api", None, &Edit::Delete).unwrap();
    world.live = live; // its processes had not ended yet
    world.apply([app_with("api", |app| app.instances = Some(2))]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Restart).unwrap()), ["roll api [0, 1]"]);
}

#[test]
fn reload_replaces_the_slot_that_is_named_and_no_other() {
    let mut world = two();
    assert_eq!(verbs(&world.edit("api", Some(1), &Edit::Reload).unwrap()), ["roll api [1]"]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Reload).unwrap()), ["roll api [0, 1]"]);
}

#[test]
fn reload_leaves_tasks_alone() {
    let done = Phase::Done { exit: Exit::Code(0) };
    for phase in [None, Some(done)] {
        let mut world = World::with([app("api"), app_with("mig", |app| app.kind = Kind::Task)]);
        if let Some(phase) = phase {
            world.set_phase(&"shop:mig/0".parse().unwrap(), phase);
        }
        let all = [("api".parse().unwrap(), None), ("mig".parse().unwrap(), None)];
        let (project, edit_all) = (shop(), Edit::Reload);
        let request = EditRequest { project: &project, targets: &all, edit: &edit_all, by: "alice", at: WallTime(5) };
        let changes = edit(world.stored().unwrap(), &world.live, &request).unwrap();
        world.store(changes);
        assert_eq!(verbs(&world.wakeup_plan()), ["roll api [0]"]);
        let refused = world.edit("mig", None, &Edit::Reload).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Usage);
        assert!(refused.hint.unwrap().contains("pm restart mig"));
    }
}

#[test]
fn scale_adds_and_removes_at_the_end() {
    let mut world = two();
    let plan = world.edit("api", None, &Edit::Scale { to: 4 }).unwrap();
    assert_eq!(verbs(&plan), ["scale api 2->4 +[2, 3] -[]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::ScaledByHand { to: 4 }]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Scale { to: 1 }).unwrap()), ["scale api 4->1 +[] -[1, 2, 3]"]);
    world.edit("api", None, &Edit::Scale { to: 2 }).unwrap();
    assert_eq!(world.declared("api").scaled, None);
}

#[test]
fn delete_removes_the_app_and_with_the_last_one_the_project() {
    let mut world = World::with([app("api"), app_with("db", |app| app.protect = true)]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Delete).unwrap()), ["delete api [0]"]);
    assert_eq!(verbs(&world.edit("db", None, &Edit::Delete).unwrap()), ["delete db [0]"]);
    assert_eq!(world.stored(), None);
}

#[test]
fn a_held_app_waits_for_unhold() {
    let mut world = World::with([app("api")]);
    world.edit("api", None, &Edit::Stop { is_held: true }).unwrap();
    world.edit("api", None, &Edit::Stop { is_held: false }).unwrap();
    for edit in [Edit::Start, Edit::Restart] {
        let refused = world.edit("api", None, &edit).unwrap_err();
        assert_eq!((refused.kind, refused.confirm), (RefusalKind::Safety, None::<Confirm>));
        assert!(refused.hint.unwrap().contains("pm unhold api"));
    }
    assert_eq!(verbs(&world.edit("api", None, &Edit::Unhold).unwrap()), none());
    assert_eq!(verbs(&world.edit("api", None, &Edit::Start).unwrap()), ["start api [0]"]);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut world = World::with([app_with("api", |app| app.run.port = Some(65_530))]);
    for (name, slot, edit) in [
        ("apj", None, Edit::Start),
        ("api", Some(1), Edit::Restart),
        ("api", Some(0), Edit::Delete),
        ("api", Some(0), Edit::Scale { to: 1 }),
        ("api", Some(0), Edit::Stop { is_held: true }),
        ("api", None, Edit::Scale { to: u32::MAX }),
        ("api", None, Edit::Scale { to: 7 }),
    ] {
        assert_eq!(world.edit(name, slot, &edit).unwrap_err().kind, RefusalKind::Usage, "{edit:?}");
    }
    assert_eq!(world.stored().unwrap().generation, 1);
}
