//! What runs after the state was lost: nobody knows its spec, and it is neither doubled nor ended unasked.

use super::*;
use crate::model::Note;

/// A world in which these apps run and the state is lost.
fn lost(apps: impl IntoIterator<Item = App>) -> World {
    let mut world = World::with(apps);
    world.desired = Desired::default();
    for (id, instance) in &mut world.live.instances {
        instance.spec = Arc::new(App::with_lost_spec(id.app.clone()));
    }
    world
}

fn request<'a>(project: &'a ProjectName, targets: &'a [(AppName, Option<u32>)], edit: &'a Edit) -> EditRequest<'a> {
    EditRequest { project, targets, edit, by: "alice", at: WallTime(7) }
}

#[test]
fn an_apply_replaces_what_it_declares_and_leaves_the_rest_alone() {
    let two = || app_with("api", |app| app.instances = Some(2));
    let mut world = lost([two(), app("old")]);
    let plan = world.apply([two(), app("new")]);
    assert_eq!(verbs(&plan), ["roll api [0, 1]", "start new [0]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::SpecLost]);
    assert_eq!(plan.notes, [Note::SpecLost { app: "old".parse().unwrap() }]);
    assert_eq!(plan.summary.interrupted, 2);
    assert!(world.pids().contains_key("old/0"));
    assert_eq!(verbs(&world.apply([two(), app("new")])), [""; 0], "what was replaced is known from then on");
}

#[test]
fn nothing_automatic_touches_it() {
    let mut world = lost([app("api"), app("old")]);
    assert_eq!(verbs(&world.wakeup_plan()), [""; 0]);
    // An older state came back: it knows the app, and not what really runs.
    world.desired = World::with([app("api")]).desired;
    assert_eq!(verbs(&world.wakeup_plan()), [""; 0]);
    assert_eq!(verbs(&world.edit("api", None, &Edit::Restart).unwrap()), ["roll api [0]"], "a person may");
}

#[test]
fn copies_beyond_the_declared_number_stop_and_missing_ones_start() {
    let mut world = lost([app_with("api", |app| app.instances = Some(3))]);
    world.live.instances.remove(&"shop:api/0".parse().unwrap());
    let plan = world.apply([app_with("api", |app| app.instances = Some(2))]);
    assert_eq!(verbs(&plan), ["start api [0]", "roll api [1]", "scale api 2->2 +[] -[2]"]);
}

#[test]
fn a_new_name_does_not_double_it() {
    let renamed = || app_with("api", |app| app.moved_from = vec!["shop:old".parse().unwrap()]);
    let mut world = lost([app("old")]);
    let plan = world.apply([renamed()]);
    assert_eq!(verbs(&plan), ["rename old to api", "roll api [0]"]);
    assert_eq!(world.pids().keys().collect::<Vec<_>>(), ["api/0"]);
}

#[test]
fn a_person_can_stop_and_delete_it_and_nothing_else() {
    let world = lost([app_with("old", |app| app.instances = Some(2))]);
    let (project, nothing) = (shop(), Project::default());
    let cases = [
        (Edit::Stop { is_held: false }, Some(1), Some("stop old [1]")),
        (Edit::Stop { is_held: false }, None, Some("stop old [0, 1]")),
        (Edit::Delete, None, Some("delete old [0, 1]")),
        (Edit::Stop { is_held: true }, None, None),
        (Edit::Start, None, None),
        (Edit::Restart, None, None),
        (Edit::Scale { to: 1 }, None, None),
        (Edit::Unhold, None, None),
    ];
    for (edit, slot, expected) in cases {
        let targets = [("old".parse().unwrap(), slot)];
        let request = request(&project, &targets, &edit);
        let changes = super::edit(&nothing, &world.live, &request);
        assert_eq!(changes.is_ok(), expected.is_some(), "{edit:?}: {changes:?}");
        assert_eq!(changes.unwrap_or_default(), [], "nothing is stored of it");
        let mut plan = plan_wakeup(&project, &nothing, &world.live);
        add_forgotten(&mut plan, &nothing, &world.live, &request);
        assert_eq!(verbs(&plan), expected.into_iter().collect::<Vec<_>>(), "{edit:?}");
    }
    let shutdown = plan_shutdown(&project, &nothing, &world.live, "alice");
    assert_eq!(verbs(&shutdown), ["stop old [0, 1]"]);
}
