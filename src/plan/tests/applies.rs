//! What users see when they apply.

use super::*;
use crate::model::{Condition, DesiredState, FieldChange, Millis, Note, OnDependencyRestart, Template};

fn options(change: impl FnOnce(&mut ApplyOptions)) -> ApplyOptions {
    let mut options = ApplyOptions::default();
    change(&mut options);
    options
}

fn depends_on(app: &mut App, names: &[&str]) {
    app.depends_on = names.iter().map(|name| (name.parse().unwrap(), Condition::Started)).collect();
}

#[test]
fn a_first_apply_starts_everything_in_dependency_order() {
    let mut world = World::default();
    let plan = world.apply([
        app_with("web", |app| depends_on(app, &["api"])),
        app_with("api", |app| app.instances = Some(2)),
        app_with("later", |app| app.autostart = false),
    ]);
    assert_eq!(verbs(&plan), ["start api [0, 1]", "start web [0]"]);
    assert_eq!(plan.operations[1].after, ["api".parse().unwrap()]);
    assert_eq!(reasons(&plan, "api"), [Reason::New]);
    assert_eq!(reasons(&plan, "later"), [Reason::NotAutostarted]);
    assert_eq!((plan.generation, world.stored().unwrap().generation), (0, 1));
    assert_eq!((plan.summary.start, plan.summary.unchanged, plan.summary.interrupted), (2, 1, 0));
}

#[test]
fn applying_twice_does_nothing_the_second_time() {
    let mut world = World::with([app("api"), app("worker")]);
    let decision = world.decide(&proposed([app("worker"), app("api")]), &ApplyOptions::default()).unwrap();
    assert!(decision.plan.is_empty());
    assert_eq!(decision.changes, []);
    assert_eq!(world.wake().operations, []);
}

#[test]
fn what_waits_for_its_next_start_is_not_fine_and_its_dependents_wait_for_it() {
    let apps = || [app("api"), app_with("web", |app| depends_on(app, &["api"]))];
    let mut world = World::with(apps());
    let backoff = Phase::Backoff { until: Moment(9), delay: Millis(9), attempt: 2 };
    world.set_phase(&"shop:api/0".parse().unwrap(), backoff);
    world.set_phase(&"shop:web/0".parse().unwrap(), errored());
    let unasked = world.decide(&proposed(apps()), &options(|options| options.is_wakeup = true)).unwrap();
    assert_eq!(verbs(&unasked.plan), [""; 0], "nobody asked: the policy decides when");
    let plan = world.apply(apps());
    assert_eq!(verbs(&plan), ["start api [0]", "start web [0]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::WasInBackoff]);
    assert_eq!(plan.operations[1].after, ["api".parse().unwrap()]);
    assert!(world.apply(apps()).is_empty());
}

#[test]
fn each_class_of_field_costs_what_it_says() {
    let cases: [(&str, Alter, &[&str]); 6] = [
        ("respawn", |app| app.run.port = Some(80), &["roll api [0, 1]"]),
        ("live", |app| app.stop.kill_timeout = Millis(1), &["reconfigure api"]),
        ("both", |app| (app.run.port, app.autostart, app.stop.kill_signal) = (Some(80), true, 2), &["roll api [0, 1]"]),
        ("scale", |app| app.instances = Some(4), &["scale api 2->4 +[2, 3] -[]"]),
        (
            "scale and respawn",
            |app| (app.instances, app.run.port) = (Some(3), Some(80)),
            &["roll api [0, 1]", "scale api 2->3 +[2] -[]"],
        ),
        ("next", |app| app.autostart = false, &[]),
    ];
    for (what, change, expected) in cases {
        let two = |app: &mut App| app.instances = Some(2);
        let mut world = World::with([app_with("api", two)]);
        let before = world.pids();
        let changed = app_with("api", |app| {
            two(app);
            change(app);
        });
        let plan = world.apply([changed]);
        assert_eq!(verbs(&plan), expected, "{what}");
        assert_eq!(
            world.pids().values().eq(before.values()),
            plan.summary.interrupted == 0 && what != "scale",
            "{what}"
        );
        assert_eq!(world.stored().unwrap().generation, 2, "{what}");
    }
}

#[test]
fn a_removed_variable_is_gone_and_a_shell_variable_is_named_as_cause() {
    let set =
        |value: &'static str| move |app: &mut App| drop(app.run.env.insert("HOST".into(), Template::literal(value)));
    let mut world = World::with([app_with("api", set("a"))]);
    let mut again = proposed([app_with("api", set("b"))]);
    again.from_shell.insert("api.env.HOST".into(), "DB_HOST".into());
    let plan = world.apply_with(&again, &ApplyOptions::default()).unwrap();
    let change = |old: Option<&str>, new: Option<&str>, from_shell: Option<&str>| {
        Reason::Field(FieldChange {
            field: "env.HOST".into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
            is_sensitive: false,
            from_shell: from_shell.map(Into::into),
        })
    };
    assert_eq!(reasons(&plan, "api"), [change(Some("\"a\""), Some("\"b\""), Some("DB_HOST"))]);
    assert_eq!(reasons(&world.apply([app("api")]), "api"), [change(Some("\"b\""), None, None)]);
}

#[test]
fn survivors_of_a_scale_keep_slot_and_process() {
    let count = |count| app_with("api", move |app| app.instances = Some(count));
    let mut world = World::with([count(4)]);
    let before = world.pids();
    let plan = world.apply([count(2)]);
    assert_eq!(verbs(&plan), ["scale api 4->2 +[] -[2, 3]"]);
    assert_eq!((plan.summary.slots_removed, plan.summary.interrupted), (2, 2));
    assert!(world.pids().iter().all(|(name, pid)| before[name] == *pid));
    assert_eq!(world.pids().keys().collect::<Vec<_>>(), ["api/0", "api/1"]);
    assert_eq!(verbs(&world.apply([count(0)])), ["scale api 2->0 +[] -[0, 1]"]);
    assert_eq!(verbs(&world.apply([count(1)])), ["scale api 0->1 +[0] -[]"]);
}

#[test]
fn an_operators_scale_stays_without_an_opinion_in_the_file_and_gives_way_to_one() {
    let fixed = |count| app_with("api", move |app| app.instances = Some(count));
    let scaled = |apps: [App; 1], to| {
        let mut world = World::with(apps);
        world.edit("api", None, &Edit::Scale { to }).unwrap();
        world
    };
    // no opinion
    assert_eq!(verbs(&scaled([app("api")], 3).apply([app("api")])), [""; 0]);
    // the old opinion: restored, as drift
    let plan = scaled([fixed(1)], 3).apply([fixed(1)]);
    assert_eq!(verbs(&plan), ["scale api 3->1 +[] -[1, 2]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::ScaledByHand { to: 3 }]);
    assert_eq!(plan.summary.drift, 1);
    assert_eq!(plan.notes, [Note::OverrideCleared { app: "api".parse().unwrap() }]);
    // the old opinion, overrides kept: shown as drift, nothing done
    let keep = options(|options| options.keep_overrides = true);
    let plan = scaled([fixed(1)], 3).apply_with(&proposed([fixed(1)]), &keep).unwrap();
    assert!(plan.is_empty());
    assert_eq!((reasons(&plan, "api"), plan.summary.drift), (vec![Reason::ScaledByHand { to: 3 }], 1));
    // a new opinion
    assert_eq!(verbs(&scaled([fixed(1)], 3).apply([fixed(2)])), ["scale api 3->2 +[] -[2]"]);
}

#[test]
fn a_renamed_app_keeps_its_process_and_rolls_only_if_it_must() {
    let renamed = |port| {
        app_with("api2", move |app| {
            app.moved_from = vec!["shop:api".parse().unwrap()];
            app.run.script = Some("/srv/shop/api.js".into());
            app.run.port = port;
        })
    };
    let mut world = World::with([app("api")]);
    let pid = world.pids()["api/0"];
    let mut rolled = world.clone();
    let plan = world.apply([renamed(None)]);
    assert_eq!(verbs(&plan), ["rename api to api2"]);
    assert_eq!((world.pids()["api2/0"], plan.summary.rename, plan.summary.interrupted), (pid, 1, 0));
    assert!(world.apply([renamed(None)]).is_empty());
    assert_eq!(verbs(&rolled.apply([renamed(Some(80))])), ["rename api to api2", "roll api2 [0]"]);
}

#[test]
fn an_app_under_a_new_name_takes_the_place_of_the_old_one() {
    let new = app_with("api2", |app| app.run.script = Some("/srv/shop/api.js".into()));
    let mut world = World::with([app("api"), app("db")]);
    let plan = world.apply([new, app("db")]);
    assert_eq!(verbs(&plan), ["replace api by api2 [0]"]);
    assert_eq!((plan.summary.replace, plan.summary.delete, plan.summary.interrupted), (1, 0, 1));
    let note = Note::WriteMovedFrom { app: "api2".parse().unwrap(), old: "api".parse().unwrap() };
    assert_eq!(plan.notes, [note]);
    assert_eq!(world.pids().len(), 2);

    let port = |name| app_with(name, |app| app.run.port = Some(80));
    assert_eq!(verbs(&World::with([port("a")]).apply([port("b")])), ["replace a by b [0]"]);
    assert_eq!(verbs(&World::with([app("a")]).apply([app("b")])), ["start b [0]", "delete a [0]"]);
}

#[test]
fn what_left_the_file_is_deleted_last_and_dependents_first() {
    let old = [app("db"), app_with("api", |app| depends_on(app, &["db"])), app("keep")];
    let plan = World::with(old.clone()).apply([app("keep"), app("new")]);
    assert_eq!(verbs(&plan), ["start new [0]", "delete api [0]", "delete db [0]"]);
    assert_eq!(plan.operations.last().unwrap().after, ["api".parse().unwrap()]);

    let no_prune = options(|options| options.no_prune = true);
    let plan = World::with(old.clone()).apply_with(&proposed([app("keep")]), &no_prune).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.notes.len(), 2);
    let only = options(|options| options.only = vec!["new".parse().unwrap()]);
    let file = proposed([app_with("keep", |app| app.run.port = Some(1)), app("new")]);
    let plan = World::with(old).apply_with(&file, &only).unwrap();
    assert_eq!(verbs(&plan), ["start new [0]"]);
    assert_eq!(plan.operations.len(), 1);
}

#[test]
fn an_apply_starts_what_was_stopped_and_retries_what_was_given_up_but_respects_a_hold() {
    let mut world = World::with([app("api"), app("held"), app("bad")]);
    world.edit("api", None, &Edit::Stop { is_held: false }).unwrap();
    world.edit("held", None, &Edit::Stop { is_held: true }).unwrap();
    world.set_phase(&"shop:bad/0".parse().unwrap(), errored());
    assert!(world.wakeup_plan().is_empty());

    let plan = world.apply([app("api"), app("held"), app("bad")]);
    assert_eq!(verbs(&plan), ["start api [0]", "start bad [0]"]);
    assert_eq!(reasons(&plan, "api"), [Reason::WasStopped { by: "alice".into(), at: WallTime(7) }]);
    assert_eq!(reasons(&plan, "bad"), [Reason::WasErrored]);
    assert_eq!(reasons(&plan, "held"), [Reason::StoppedByHand { by: "alice".into(), is_held: true }]);
    assert_eq!((plan.summary.drift, plan.summary.start, plan.summary.held), (1, 1, 1));
    assert!(matches!(world.declared("held").desired_state, DesiredState::Stopped { is_held: true, .. }));
}

#[test]
fn an_automatic_apply_respects_what_people_did() {
    let mut world = World::with([app("api"), app("bad")]);
    world.edit("api", None, &Edit::Stop { is_held: false }).unwrap();
    world.set_phase(&"shop:bad/0".parse().unwrap(), errored());
    let automatic = options(|options| options.is_wakeup = true);
    assert!(world.apply_with(&proposed([app("api"), app("bad")]), &automatic).unwrap().is_empty());
}

#[test]
fn a_plan_names_what_will_follow_its_restarts() {
    let following = |name: &str, needs: &str| {
        app_with(name, |app| {
            depends_on(app, &[needs]);
            app.on_dependency_restart = OnDependencyRestart::Restart;
        })
    };
    let lazy = || app_with("lazy", |app| depends_on(app, &["db"]));
    let file =
        |port: u16, web: App| [app_with("db", |app| app.run.port = Some(port)), web, following("front", "web"), lazy()];
    let note = |app: &str, dependency: &str| Note::RestartsWith {
        app: app.parse().unwrap(),
        dependency: dependency.parse().unwrap(),
    };
    let world = World::with(file(1, following("web", "db")));
    let plan = world.clone().apply(file(2, following("web", "db")));
    assert_eq!(verbs(&plan), ["roll db [0]"]);
    assert_eq!(plan.notes, [note("web", "db"), note("front", "web")]);
    // What has a step of its own is not named; who follows it is.
    let mut other = following("web", "db");
    other.run.port = Some(80);
    let plan = world.clone().apply(file(2, other));
    assert_eq!((verbs(&plan).len(), plan.notes), (2, vec![note("front", "web")]));
    // By hand it is the same; what is down, or had no process before, makes nobody follow.
    let plan = world.clone().edit("db", None, &Edit::Restart).unwrap();
    assert_eq!(plan.notes, [note("web", "db"), note("front", "web")]);
    let mut down = world;
    down.set_phase(&"shop:web/0".parse().unwrap(), Phase::Stopped);
    down.edit("web", None, &Edit::Stop { is_held: true }).unwrap();
    assert_eq!(down.edit("db", None, &Edit::Restart).unwrap().notes, []);
}

/// What is recorded of the shell is what the processes have: it changes together with them, and the plan says so.
#[test]
fn another_shell_counts_for_new_processes_only() {
    let two = || app_with("api", |app| app.instances = Some(2));
    let down = || app_with("down", |app| app.autostart = false);
    let world = World::with([two(), app("web"), down()]);
    let elsewhere = |apps: &[App]| {
        let mut other = proposed(apps.iter().cloned());
        other.base = [("PATH", "/opt/bin"), ("LANG", "C")].map(|(name, value)| (name.into(), value.into())).into();
        other
    };
    let names = || vec!["LANG".to_owned(), "PATH".to_owned()];
    let kept = |apps: &[&str]| Note::ShellKept { apps: list(apps), names: names() };
    let taken = |apps: &[&str]| Note::ShellTaken { apps: list(apps), names: names() };
    let has_new = |world: &World, name: &str| world.declared(name).base.contains_key("LANG");

    let mut same = world.clone();
    let plan = same.apply_with(&elsewhere(&[two(), app("web"), down()]), &ApplyOptions::default()).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.notes, [kept(&["api", "web"]), taken(&["down"])]);
    assert_eq!(["api", "web", "down"].map(|name| has_new(&same, name)), [false, false, true]);
    same.edit("api", None, &Edit::Scale { to: 3 }).unwrap();
    assert!(!has_new(&same, "api"), "a further copy is as the others");
    let again = same.apply_with(&proposed([two(), app("web"), down()]), &ApplyOptions::default()).unwrap();
    assert!(!again.notes.contains(&kept(&["api", "web"])), "the shell that they have is nothing to tell");

    // New processes for all copies, or for one only.
    let mut changed = world.clone();
    let newer = app_with("web", |app| app.run.port = Some(80));
    let plan = changed.apply_with(&elsewhere(&[two(), newer, down()]), &ApplyOptions::default()).unwrap();
    assert_eq!(plan.notes, [kept(&["api"]), taken(&["down", "web"])]);
    let mut partly = world.clone();
    partly.set_phase(&"shop:api/1".parse().unwrap(), errored());
    partly.set_phase(&"shop:web/0".parse().unwrap(), errored());
    let plan = partly.apply_with(&elsewhere(&[two(), app("web"), down()]), &ApplyOptions::default()).unwrap();
    assert_eq!(verbs(&plan), ["start api [1]", "start web [0]"]);
    assert_eq!((has_new(&partly, "api"), has_new(&partly, "web")), (false, true));

    // A replacement of the same revision may come to nothing: then the old process goes on.
    let mut outlived = world;
    outlived.live.instances.get_mut(&"shop:web/0".parse().unwrap()).unwrap().is_unreachable = true;
    let plan = outlived.apply_with(&elsewhere(&[two(), app("web"), down()]), &ApplyOptions::default()).unwrap();
    assert_eq!(verbs(&plan), ["roll web [0]"]);
    assert!(!has_new(&outlived, "web"));
    let before = outlived.stored().unwrap().generation;
    outlived.apply_with(&elsewhere(&[two(), app("web"), down()]), &ApplyOptions::default()).unwrap();
    assert_eq!(outlived.stored().unwrap().generation, before, "nothing has changed since");
}

fn list(names: &[&str]) -> Vec<AppName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn only_a_person_has_copies_replaced_that_nobody_can_connect_to() {
    let two = || app_with("web", |app| app.instances = Some(2));
    let mut world = World::with([two()]);
    for (id, instance) in &mut world.live.instances {
        instance.is_unreachable = id.slot == 1;
    }
    assert_eq!(world.wakeup_plan().operations, []);
    let plan = world.apply([two()]);
    assert_eq!(verbs(&plan), ["roll web [1]"]);
    assert_eq!(reasons(&plan, "web"), [Reason::Unreachable]);
}
