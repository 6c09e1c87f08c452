//! The three-way table: what was applied last, what the file says now, and what users changed in between.

use super::*;
use crate::model::{ChangedFile, ChangedFiles, DesiredState, Digest, HealPolicy, Note, SelfHeal, Template};

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

/// A file of `restart_on`, as it was applied and as it is now.
const CONF: &str = "/srv/shop/app.conf";

fn with_conf(mut app: App, contents: &[u8]) -> App {
    app.run.restart_on.insert(CONF.into(), Digest::of(contents));
    app
}

fn changed_at(since: u64) -> ChangedFiles {
    [(CONF.into(), ChangedFile { digest: Digest::of(b"new"), since: WallTime(since) })].into()
}

/// When users do what they do in these worlds, and when it is old.
const DONE_AT: u64 = 7;
const OLD: WallTime = WallTime(DONE_AT + HealPolicy::OVERRIDE_GRACE.0);

/// What the file says of `instances`, the override, what was changed on the disk, the mode; then what is declared, and what is
/// done.
type HealCase<'a> = (Option<u32>, Override, ChangedFiles, SelfHeal, &'a str, &'a [&'a str]);

#[test]
fn without_an_apply_each_mode_puts_right_what_its_word_says() {
    use Override::{Hold, None as Nobody, Scale, Stop};
    use SelfHeal::{Config, Full, Off};
    let none = || ChangedFiles::new();
    let new = || changed_at(DONE_AT);
    let cases: &[HealCase<'_>] = &[
        // What users scaled.
        (Some(1), Scale(3), none(), Off, "info 3 up", &[]),
        (Some(1), Scale(3), none(), Config, "info 3 up", &[]),
        (Some(1), Scale(3), none(), Full, "info 1 up", &["scale api 3->1 +[] -[1, 2]"]),
        (Some(3), Scale(1), none(), Full, "info 3 up", &["scale api 1->3 +[1, 2] -[]"]),
        (Some(2), Scale(2), none(), Full, "info 2 up", &[]),
        // The file has no opinion.
        (None, Scale(3), none(), Full, "info 3 up", &[]),
        // Files that were changed.
        (Some(1), Nobody, new(), Off, "info 1 up", &[]),
        (Some(2), Nobody, new(), Config, "info 2 up", &["roll api [0, 1]"]),
        (Some(2), Nobody, new(), Full, "info 2 up", &["roll api [0, 1]"]),
        (Some(1), Scale(2), new(), Config, "info 2 up", &["roll api [0, 1]"]),
        (Some(1), Scale(2), new(), Full, "info 1 up", &["roll api [0]", "scale api 2->1 +[] -[1]"]),
        // What users stopped.
        (Some(1), Stop, new(), Off, "info 1 stopped", &[]),
        (Some(1), Stop, new(), Config, "info 1 stopped", &[]),
        (Some(1), Stop, new(), Full, "info 1 stopped", &[]),
        (Some(1), Hold, new(), Config, "info 1 held", &[]),
        (Some(1), Hold, new(), Full, "info 1 held", &[]),
    ];
    for (count, by, files, mode, declared, steps) in cases {
        let file = with_conf(api(Some("info"), *count), b"old");
        let mut world = overridden(file.clone(), *by);
        world.set_heal(*mode);
        let row = format!("{count:?} {by:?} {} files {mode:?}", files.len());
        let early = WallTime(DONE_AT + 1);
        assert_eq!(world.heal(files, early), Vec::<String>::new(), "{row}: too early");
        // A plan of the file as it is now says the same, where it is about the same.
        let now = if files.is_empty() { file } else { with_conf(file, b"new") };
        let options =
            ApplyOptions { keep_overrides: *mode != Full, is_wakeup: *mode != Full, ..ApplyOptions::default() };
        let planned = world.decide(&proposed([now]), &options).unwrap();
        let done = world.heal(files, OLD);
        assert_eq!((shown(&world).as_str(), done.as_slice()), (*declared, &texts(steps)[..]), "{row}");
        if !done.is_empty() {
            assert_eq!(verbs(&planned.plan), done, "{row}");
        }
        let later = WallTime(OLD.0 * 10);
        assert_eq!(world.heal(files, later), Vec::<String>::new(), "{row}: once is enough");
    }
}

fn texts(steps: &[&str]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_put_right_can_fail_and_is_rolled_back_like_any_other_revision() {
    let mut world = World::with([with_conf(api(Some("info"), Some(1)), b"old")]);
    world.set_heal(SelfHeal::Config);
    let (before, generation) = (world.declared("api").revision(), world.stored().unwrap().generation);
    assert_eq!(world.heal(&changed_at(0), OLD), ["roll api [0]"]);
    let stored = world.stored().unwrap();
    assert_eq!(stored.generation, generation + 1);
    let rollout = &stored.rollouts[&"api".parse().unwrap()];
    assert_eq!(rollout.from.as_ref(), Some(&before), "a failure leads back there");
    assert_ne!(stored.apps[&"api".parse().unwrap()].digest, before.digest);
}

#[test]
fn a_user_who_scales_again_has_the_whole_grace_again_and_a_new_declaration_starts_the_count_anew() {
    let mut world = World::with([api(Some("info"), Some(1))]);
    world.set_heal(SelfHeal::Full);
    for count in 1..=2 {
        world.edit("api", None, &Edit::Scale { to: 3 }).unwrap();
        assert_eq!(world.declared("api").scaled_at, Some(WallTime(DONE_AT)));
        // The same once more is no change.
        world.edit("api", None, &Edit::Scale { to: 3 }).unwrap();
        assert_eq!(world.heal(&ChangedFiles::new(), WallTime(OLD.0 + count * 120_000)).len(), 1);
        let declared = world.declared("api");
        assert_eq!((declared.scaled, declared.scaled_at), (None, None));
        assert_eq!(declared.heals.map(|heals| u64::from(heals.count)), Some(count));
    }
    world.apply([api(Some("info"), Some(1))]);
    assert!(world.declared("api").heals.is_some(), "the same file says nothing new");
    world.apply([api(Some("debug"), Some(1))]);
    assert_eq!(world.declared("api").heals, None);
}
