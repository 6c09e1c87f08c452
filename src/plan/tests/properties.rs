//! What holds for every history of applies, edits, crashes and plans that were cut short.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::{Condition, Millis, Note, Template};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[derive(Clone, Debug)]
enum Act {
    Apply { apps: Vec<App>, options: ApplyOptions, done: usize },
    Edit(&'static str, Option<u32>, Edit),
    Fate(usize, Phase),
}

fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

prop_compose! {
    fn any_app(name: &'static str)(
        count in prop::option::of(0_u32..4),
        flags in any::<[bool; 3]>(),
        port in prop::option::of(80_u16..83),
        script in prop::sample::select(&["x", "y", "z"][..]),
        level in prop::option::of("[a-c]"),
        timeout in 1_u64..3,
        dependencies in prop::collection::vec(any_name(), 0..2),
        old in prop::option::of(any_name()),
    ) -> App {
        app_with(name, |app| {
            app.instances = count;
            app.autostart = flags[0] || flags[1];
            app.run.port = port;
            app.run.script = Some(format!("/srv/shop/{script}.js"));
            app.run.env.extend(level.map(|level| ("LEVEL".to_owned(), Template::literal(&level))));
            app.stop.kill_timeout = Millis::seconds(timeout);
            // Only towards earlier letters: the reader refuses cycles.
            let earlier = dependencies.into_iter().filter(|dependency| *dependency < name);
            app.depends_on = earlier.map(|name| (name.parse().unwrap(), Condition::Started)).collect();
            let old = old.filter(|old| *old != name && flags[2]);
            app.moved_from = old.map(|old| AppId::new(shop(), old.parse().unwrap())).into_iter().collect();
        })
    }
}

fn any_apps() -> impl Strategy<Value = Vec<App>> {
    prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len())
        .prop_flat_map(|names| names.into_iter().map(any_app).collect::<Vec<_>>())
        .prop_shuffle()
}

fn any_act() -> impl Strategy<Value = Act> {
    let apply = (any_apps(), any::<[bool; 3]>(), prop::collection::vec(any_name(), 0..2), 0_usize..12);
    let apply = apply.prop_map(|(apps, flags, only, done)| {
        let only = only.into_iter().filter(|_| flags[2]).map(|name| name.parse().unwrap()).collect();
        let options = ApplyOptions {
            only,
            no_prune: flags[0],
            keep_overrides: flags[1],
            allow_empty: true,
            yes: true,
            ..ApplyOptions::default()
        };
        Act::Apply { apps, options, done }
    });
    let edits = prop_oneof![
        Just(Edit::Start),
        any::<bool>().prop_map(|is_held| Edit::Stop { is_held }),
        Just(Edit::Restart),
        Just(Edit::Delete),
        (0_u32..5).prop_map(|to| Edit::Scale { to }),
        Just(Edit::Unhold),
    ];
    let edit = (any_name(), prop::option::of(0_u32..3), edits);
    let phases = prop_oneof![
        Just(errored()),
        Just(Phase::Done { exit: Exit::Code(0) }),
        Just(Phase::Stopped),
        Just(Phase::Backoff { until: Moment(1), delay: Millis(1), attempt: 1 }),
    ];
    prop_oneof![
        3 => apply,
        2 => edit.prop_map(|(name, slot, edit)| Act::Edit(name, slot, edit)),
        1 => (any::<prop::sample::Index>(), phases).prop_map(|(at, phase)| Act::Fate(at.index(100), phase)),
    ]
}

/// What every plan keeps to, whatever it was made from.
fn check_plan(world: &World, plan: &Plan) {
    let mut started = BTreeSet::new();
    let mut is_deleting = false;
    for operation in &plan.operations {
        let Operation { app, verb, reasons, after, interrupts } = operation;
        assert!(!verb.is_change() || !reasons.is_empty(), "{operation:?}");
        assert!(after.iter().all(|name| started.contains(name)), "{operation:?} waits for what comes later");
        let is_delete = matches!(verb, Verb::Delete { .. });
        assert!(is_delete || !is_deleting, "{operation:?} after a delete");
        is_deleting = is_delete;
        assert!(*interrupts == 0 || !matches!(verb, Verb::Start { .. } | Verb::Reconfigure | Verb::Rename { .. }));
        let specs = world.stored().map(|stored| &stored.apps);
        let dependencies = specs.and_then(|apps| apps.get(app)).map(|declared| &declared.spec.depends_on);
        if matches!(verb, Verb::Start { .. } | Verb::Roll { .. }) {
            for name in dependencies.into_iter().flat_map(|all| all.keys()).filter(|name| started.contains(*name)) {
                let is_started = plan.operations.iter().any(|other| {
                    other.app == *name
                        && other.verb != Verb::Reconfigure
                        && other.verb.is_change()
                        && !matches!(other.verb, Verb::Rename { .. } | Verb::Stop { .. })
                        && !matches!(&other.verb, Verb::Scale { add, .. } if add.is_empty())
                });
                assert!(!is_started || after.contains(name), "{operation:?} does not wait for {name}");
            }
        }
        started.insert(app.clone());
    }
}

/// What everything that lives keeps to, once there is nothing left to do.
fn check_rest(world: &World) {
    let wakeup = world.wakeup_plan();
    assert_eq!(wakeup.operations, [], "a wake-up after everything was carried out");
    for (id, instance) in world.live.instances.iter().filter(|(id, _)| id.app.project == shop()) {
        let declared = &world.stored().unwrap().apps[&id.app.name];
        assert!(id.slot < declared.instances(), "{id} is one too many");
        assert!(!instance.phase.is_alive() || declared.should_run(id.slot), "{id} should not run");
        assert!(!instance.phase.is_alive() || instance.spec.run == declared.spec.run, "{id} runs an old spec");
    }
    for (name, declared) in world.stored().into_iter().flat_map(|stored| &stored.apps) {
        let wanted = (0..declared.instances()).filter(|slot| declared.should_run(*slot));
        let app = AppId::new(shop(), name.clone());
        wanted.for_each(|slot| {
            assert!(world.live.instances.contains_key(&app.instance(slot)), "{name}/{slot} is missing");
        });
    }
}

/// Processes that no operation names keep their pid.
fn check_survivors(before: &World, after: &World, plan: &Plan) {
    let mut touched = BTreeSet::new();
    let mut renamed = BTreeMap::new();
    for Operation { app, verb, .. } in &plan.operations {
        match verb {
            Verb::Roll { slots, .. } | Verb::Restart { slots, .. } | Verb::Stop { slots } | Verb::Delete { slots } => {
                touched.extend(slots.iter().map(|slot| format!("{app}/{slot}")));
            }
            Verb::Scale { remove, .. } => touched.extend(remove.iter().map(|slot| format!("{app}/{slot}"))),
            Verb::Replace { old, .. } => touched.extend((0..9).map(|slot| format!("{old}/{slot}"))),
            Verb::Rename { from } => drop(renamed.insert(from.to_string(), app.to_string())),
            Verb::Start { .. } | Verb::Reconfigure | Verb::Keep | Verb::Hold => {}
        }
    }
    let now = after.pids();
    for (name, pid) in before.pids() {
        let (app, slot) = name.split_once('/').unwrap();
        let name = format!("{}/{slot}", renamed.get(app).map_or(app, String::as_str));
        assert!(touched.contains(&name) || now.get(&name) == Some(&pid), "{name} lost its process");
    }
    let ended = before.pids().values().filter(|pid| !now.values().any(|now| now == *pid)).count();
    assert_eq!(plan.summary.interrupted as usize, ended, "interrupted processes are counted");
}

fn apply(world: &mut World, apps: Vec<App>, options: &ApplyOptions, done: usize) {
    let proposed = proposed(apps);
    let Ok(decision) = world.decide(&proposed, options) else { return };
    assert_eq!(world.decide(&proposed, options).unwrap(), decision, "the same inputs, the same plan");
    let before = world.clone();
    world.store(decision.changes);
    check_plan(world, &decision.plan);

    // Cut short after some operations: the next wake-up finishes it.
    let mut cut = world.clone();
    cut.execute(&decision.plan.operations[..done.min(decision.plan.operations.len())]);
    let rest = cut.wakeup_plan();
    check_plan(&cut, &rest);
    cut.execute(&rest.operations);
    check_rest(&cut);

    world.execute(&decision.plan.operations);
    check_survivors(&before, world, &decision.plan);
    world.wake(); // apps that the apply had no opinion about
    check_rest(world);
    let again = world.decide(&proposed, options).unwrap();
    assert!(again.plan.is_empty(), "{:#?}", again.plan.operations);
    assert_eq!(again.changes, [], "applied twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_where_it_should(acts in prop::collection::vec(any_act(), 1..8)) {
        let mut world = World::default();
        let other: InstanceId = "other:a/0".parse().unwrap();
        let stranger = LiveInstance {
            phase: Phase::Running { pid: 9999, since: Moment(0), readiness: Readiness::Ready },
            incarnation: 1, since: None, restarts: 0, counts: Counts::default(), spec: Arc::new(app("a")), restart_requests: 0, started: None, last_exit: None,
            trouble: None,
            status_text: None,
            hook: None,
            taken: crate::model::Taken::default(),
            following: None,
            is_unreachable: false,
        };
        world.live.instances.insert(other.clone(), stranger.clone());
        for act in acts {
            match act {
                Act::Apply { apps, options, done } => apply(&mut world, apps, &options, done),
                Act::Edit(name, slot, edit) => {
                    if world.stored().is_some() && world.edit(name, slot, &edit).is_ok() {
                        check_rest(&world);
                    }
                }
                Act::Fate(at, phase) => {
                    let id = world.live.instances.keys().nth(at).cloned();
                    if let Some(id) = id.filter(|id| id.app.project == shop()) {
                        world.set_phase(&id, phase);
                    }
                }
            }
            prop_assert_eq!(&world.live.instances[&other], &stranger);
        }
    }

    #[test]
    fn live_changes_keep_every_process(timeouts in prop::collection::vec(1_u64..9, 1..5), count in 1_u32..4) {
        let with = |timeout: &u64| app_with("api", |app| {
            app.instances = Some(count);
            app.stop.kill_timeout = Millis::seconds(*timeout);
            app.logs.log_rotate.keep = u32::try_from(*timeout).unwrap();
        });
        let mut world = World::with([with(&1)]);
        let pids = world.pids();
        for timeout in &timeouts {
            let plan = world.apply([with(timeout)]);
            prop_assert!(plan.operations.iter().all(|operation| matches!(operation.verb, Verb::Reconfigure | Verb::Keep)));
            prop_assert_eq!(&world.pids(), &pids);
        }
    }
}

#[test]
fn a_plan_reads_back_from_json() {
    let mut world = World::with([app("api"), app("db")]);
    let plan = world.apply([app_with("api2", |app| app.run.script = Some("/srv/shop/api.js".into()))]);
    assert!(plan.notes.iter().any(|note| matches!(note, Note::WriteMovedFrom { .. })));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}
