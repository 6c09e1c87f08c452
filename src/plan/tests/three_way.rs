//! The three-way table: what was applied last, what the file says now, and what users changed in between.

use super::*;
use crate::model::{DesiredState, Note, Template};

/// `env.LEVEL` and `instances` of an app, where the file says anything.
fn api(level: Option<&str>, instances: Option<u32>) -> App {
    app_with("api", |app| {
        app.instances = instances;
        app.run.env.extend(level.map(|level| ("LEVEL".to_owned(), Template::literal(level))));
    })
}

/// What a file says: both of [`api`].
type Said<'a> = (Option<&'a str>, Option<u32>);

/// Last applied, the file, the override, who applies; then what is declared, and what the plan does.
type Case<'a> = (Said<'a>, Said<'a>, Override, &'a ApplyOptions, &'a str, &'a [&'a str]);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Override {
    None,
    Scale(u32),
    Stop,
    Hold,
}

fn overridden(before: App, by: Override) -> World {
    let mut world = World::with([before]);
    let edit = match by {
        Override::None => return world,
        Override::Scale(to) => Edit::Scale { to },
        Override::Stop => Edit::Stop { is_held: false },
        Override::Hold => Edit::Stop { is_held: true },
    };
    world.edit("api", None, &edit).unwrap();
    world
}

/// `debug 2 up`: the variable, how many copies, and whether they run.
fn shown(world: &World) -> String {
    let declared = world.declared("api");
    let level = declared.spec.run.env.get("LEVEL").map_or("-", Template::source);
    let state = match &declared.desired_state {
        DesiredState::Up => "up",
        DesiredState::NotStarted => "not-started",
        DesiredState::Stopped { is_held: true, .. } => "held",
        DesiredState::Stopped { .. } => "stopped",
    };
    format!("{level} {} {state}", declared.instances())
}

#[test]
fn the_file_the_last_apply_and_users_make_one_state() {
    use Override::{Hold, None as Nobody, Scale, Stop};
    let keep = ApplyOptions { keep_overrides: true, ..ApplyOptions::default() };
    let by_itself = ApplyOptions { is_wakeup: true, ..ApplyOptions::default() };
    let by_user = ApplyOptions::default();
    let (info, debug) = (Some("info"), Some("debug"));
    let cases: &[Case<'_>] = &[
        ((info, None), (info, None), Nobody, &by_user, "info 1 up", &[]),
        ((info, None), (debug, None), Nobody, &by_user, "debug 1 up", &["roll api [0]"]),
        ((info, None), (None, None), Nobody, &by_user, "- 1 up", &["roll api [0]"]),
        // The file has no opinion: the operator's number stays.
        ((info, None), (info, None), Scale(3), &by_user, "info 3 up", &[]),
        ((info, None), (debug, None), Scale(3), &by_user, "debug 3 up", &["roll api [0, 1, 2]"]),
        // Drift: an apply restores the file's number, unless it is told not to.
        ((info, Some(1)), (info, Some(1)), Scale(3), &by_user, "info 1 up", &["scale api 3->1 +[] -[1, 2]"]),
        ((info, Some(1)), (info, Some(1)), Scale(3), &keep, "info 3 up", &[]),
        ((info, Some(1)), (info, Some(1)), Scale(3), &by_itself, "info 3 up", &[]),
        // A new number of the file wins over either.
        ((info, Some(1)), (info, Some(2)), Scale(3), &by_user, "info 2 up", &["scale api 3->2 +[] -[2]"]),
        ((info, Some(1)), (info, Some(2)), Scale(3), &keep, "info 2 up", &["scale api 3->2 +[] -[2]"]),
        ((info, Some(1)), (info, Some(2)), Scale(3), &by_itself, "info 2 up", &["scale api 3->2 +[] -[2]"]),
        // A stop is respected by everything automatic; an apply by a user ends it.
        ((info, None), (info, None), Stop, &by_user, "info 1 up", &["start api [0]"]),
        ((info, None), (info, None), Stop, &by_itself, "info 1 stopped", &[]),
        ((info, None), (debug, None), Stop, &by_itself, "debug 1 stopped", &["reconfigure api"]),
        // A hold is respected by all; what the file says is declared, and the plan says so.
        ((info, None), (info, None), Hold, &by_user, "info 1 held", &[]),
        ((info, None), (debug, None), Hold, &by_user, "debug 1 held", &["reconfigure api"]),
        ((info, None), (debug, None), Hold, &keep, "debug 1 held", &["reconfigure api"]),
        ((info, None), (debug, None), Hold, &by_itself, "debug 1 held", &["reconfigure api"]),
    ];
    for (before, file, by, options, declared, steps) in cases {
        let (before, file) = (api(before.0, before.1), api(file.0, file.1));
        let mut world = overridden(before.clone(), *by);
        let plan = world.apply_with(&proposed([file.clone()]), options).unwrap();
        let row = format!("{:?} {by:?} {options:?}", (before.instances, file.instances));
        assert_eq!(
            (shown(&world).as_str(), verbs(&plan).as_slice()),
            (*declared, &steps.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{row}"
        );
        let is_cleared = plan.notes.iter().any(|note| matches!(note, Note::OverrideCleared { .. }));
        let was_scaled = matches!(by, Scale(_)) && world.declared("api").scaled.is_none();
        assert_eq!(is_cleared, was_scaled, "a plan says that it ends an override: {row}");
        // The same once more does nothing.
        let again = world.apply_with(&proposed([file.clone()]), options).unwrap();
        assert_eq!(verbs(&again), Vec::<String>::new(), "{row}");
    }
}
