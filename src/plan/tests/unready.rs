//! What a plan says of processes that are not good: people are told, and nothing is done about them.

use super::*;
use crate::model::Note;

fn waiting(last: Option<&str>) -> Phase {
    let readiness = Readiness::Waiting { deadline: Moment(9), last: last.map(Into::into) };
    Phase::Running { pid: 7, since: Moment(0), readiness }
}

fn failing() -> Phase {
    Phase::Running { pid: 7, since: Moment(0), readiness: Readiness::Failing { last: "HTTP 500".into(), failures: 2 } }
}

fn apps() -> [App; 2] {
    [app_with("api", |app| app.instances = Some(3)), app("web")]
}

/// `api/0` runs, `api/1` is on its way, `api/2` waits to be ready; `web/0` fails its probes.
fn young() -> World {
    let mut world = World::with(apps());
    world.set_phase(&"shop:api/1".parse().unwrap(), Phase::Starting);
    world.set_phase(&"shop:api/2".parse().unwrap(), waiting(Some("refused")));
    world.set_phase(&"shop:web/0".parse().unwrap(), failing());
    world
}

fn not_ready(slots: &[u32], why: Option<&str>) -> Note {
    Note::NotReady { app: "api".parse().unwrap(), slots: slots.to_vec(), why: why.map(Into::into) }
}

fn unhealthy() -> Note {
    Note::Unhealthy { app: "web".parse().unwrap(), slots: vec![0], why: "HTTP 500".into() }
}

fn edited(world: &World, name: &str, slot: Option<u32>, edit: &Edit) -> Plan {
    let targets = [(name.parse().unwrap(), slot)];
    plan_edited(&shop(), world.stored().unwrap(), &world.live, &targets, edit, true)
}

#[test]
fn an_apply_changes_nothing_about_what_is_not_ready_and_waits_for_it() {
    let mut world = young();
    let decision = world.decide(&proposed(apps()), &ApplyOptions::default()).unwrap();
    assert!(decision.plan.is_empty());
    assert_eq!(decision.changes, []);
    assert_eq!(decision.plan.notes, [not_ready(&[1, 2], Some("refused")), unhealthy()]);
    assert_eq!(decision.plan.awaited(), [("api".parse().unwrap(), vec![1, 2])].into(), "a sick one is not waited for");
    world.set_phase(&"shop:api/1".parse().unwrap(), waiting(None));
    world.set_phase(&"shop:api/2".parse().unwrap(), Phase::Stopping { pid: None, deadline: Moment(9) });
    let plan = world.decide(&proposed(apps()), &ApplyOptions::default()).unwrap().plan;
    assert_eq!(plan.notes, [not_ready(&[1], None), unhealthy()]);
}

#[test]
fn nobody_waits_for_what_is_none_of_an_apply_or_gets_new_processes_by_it() {
    let world = young();
    let only = ApplyOptions { only: vec!["web".parse().unwrap()], ..ApplyOptions::default() };
    assert_eq!(world.decide(&proposed(apps()), &only).unwrap().plan.notes, [unhealthy()]);
    let changed = || [app_with("api", |app| (app.instances, app.run.port) = (Some(3), Some(80))), app("web")];
    let plan = world.decide(&proposed(changed()), &ApplyOptions::default()).unwrap().plan;
    assert_eq!((verbs(&plan), plan.notes), (vec!["roll api [0, 1, 2]".to_owned()], vec![unhealthy()]));
    let fewer = || [app_with("api", |app| app.instances = Some(2)), app("web")];
    let plan = world.decide(&proposed(fewer()), &ApplyOptions::default()).unwrap().plan;
    assert_eq!(plan.awaited(), [("api".parse().unwrap(), vec![1])].into());
}

#[test]
fn a_wakeup_never_waits() {
    let world = young();
    assert_eq!(world.wakeup_plan().notes, []);
    let unasked = ApplyOptions { is_wakeup: true, ..ApplyOptions::default() };
    assert_eq!(world.decide(&proposed(apps()), &unasked).unwrap().plan.notes, []);
}

#[test]
fn an_edit_that_wants_something_up_waits_for_what_it_names() {
    let world = young();
    for edit in [Edit::Start, Edit::Scale { to: 3 }] {
        let plan = edited(&world, "api", None, &edit);
        assert!(plan.is_empty());
        assert_eq!(plan.notes, [not_ready(&[1, 2], Some("refused"))], "{edit:?}");
    }
    assert_eq!(edited(&world, "api", Some(1), &Edit::Start).notes, [not_ready(&[1], None)]);
    assert_eq!(edited(&world, "api", Some(0), &Edit::Start).notes, []);
    assert_eq!(edited(&world, "api", None, &Edit::Stop { is_held: false }).notes, []);
}
