//! What is not done by accident.

use super::*;
use crate::model::{Confirm, ListenAddress};

fn refusal(world: &World, proposed: &Proposed, change: impl FnOnce(&mut ApplyOptions)) -> Refusal {
    let mut options = ApplyOptions::default();
    change(&mut options);
    world.decide(proposed, &options).unwrap_err()
}

fn kind(refusal: &Refusal) -> (RefusalKind, Option<Confirm>) {
    (refusal.kind, refusal.confirm)
}

/// Consent is to one plan: whatever happens between the look and the answer, that one is carried out or none.
#[test]
fn what_was_shown_is_carried_out_or_nothing() {
    let meant = || proposed(meant_by_all());
    let shown = |world: &World| plan(world.stored(), &meant(), &world.live, &ApplyOptions::default()).unwrap().0;
    let world = World::with([app("api"), app("web")]);
    let agreed = ApplyOptions { shown: Some(shown(&world).digest()), ..ApplyOptions::default() };
    let apply = |mut world: World| world.apply_with(&meant(), &agreed).map(|plan| plan.digest());
    assert_eq!(apply(world.clone()), Ok(shown(&world).digest()));

    let somebody: [(&str, Meddle); 6] = [
        ("applies another app", |world| drop(world.apply([app("api"), app("web"), app("mine")]))),
        ("applies the same", |world| drop(world.apply(meant_by_all()))),
        ("applies, and takes it back", |world| {
            world.apply(meant_by_all());
            world.apply([app("api"), app("web")]);
        }),
        ("stops it", |world| drop(world.edit("web", None, &Edit::Stop { is_held: false }))),
        ("holds it", |world| drop(world.edit("api", None, &Edit::Stop { is_held: true }))),
        ("has it end", |world| world.set_phase(&"shop:web/0".parse().unwrap(), errored())),
    ];
    for (who, does) in somebody {
        let mut world = world.clone();
        does(&mut world);
        assert_eq!(apply(world).unwrap_err().kind, RefusalKind::Stale, "somebody {who}");
    }
}

/// What somebody else does meanwhile.
type Meddle = fn(&mut World);

fn meant_by_all() -> [App; 2] {
    [app("api"), app_with("web", |app| app.run.port = Some(80))]
}

#[test]
fn a_defaulted_name_belongs_to_its_folder() {
    let world = World::with([app("api")]);
    let mut elsewhere = proposed([app("api")]);
    elsewhere.origin.folder = "/home/me/shop".into();
    elsewhere.origin.files = vec!["/home/me/shop/ecosystem.toml".into()];
    let refused = refusal(&world, &elsewhere, |_| ());
    assert_eq!(kind(&refused), (RefusalKind::Ownership, None));
    assert!(refused.message.contains("`/srv/shop`") && refused.message.contains("`/home/me/shop`"), "{refused}");
    // An explicit name may move between release folders.
    elsewhere.origin.is_named = true;
    assert!(world.decide(&elsewhere, &ApplyOptions::default()).is_ok());
}

#[test]
fn another_file_set_may_not_delete_by_surprise() {
    let world = World::with([app("api"), app("db")]);
    let mut other = proposed([app("api")]);
    other.origin.files = vec!["/srv/shop/other.toml".into()];
    let refused = refusal(&world, &other, |_| ());
    assert_eq!(kind(&refused), (RefusalKind::Safety, Some(Confirm::ReplaceFiles)));
    assert!(refused.message.contains("delete `db`"), "{refused}");
    let confirmed = ApplyOptions { replace_files: true, ..ApplyOptions::default() };
    assert_eq!(verbs(&world.decide(&other, &confirmed).unwrap().plan), ["delete db [0]"]);
    // A part of the project from another file leaves the project's files as they were.
    let no_prune = ApplyOptions { no_prune: true, ..ApplyOptions::default() };
    assert_eq!(world.decide(&other, &no_prune).unwrap().changes, []);
}

#[test]
fn mass_deletes_protected_apps_and_empty_files_are_refused() {
    let names = ["a", "b", "c", "d"];
    let world = World::with(names.map(app));
    assert_eq!(kind(&refusal(&world, &proposed([]), |_| ())), (RefusalKind::Safety, Some(Confirm::AllowEmpty)));
    assert_eq!(kind(&refusal(&world, &proposed([app("a")]), |_| ())), (RefusalKind::Safety, Some(Confirm::Yes)));
    assert!(world.decide(&proposed(["a", "b"].map(app)), &ApplyOptions::default()).is_ok());
    let yes = ApplyOptions { yes: true, allow_empty: true, ..ApplyOptions::default() };
    assert_eq!(world.decide(&proposed([]), &yes).unwrap().plan.summary.delete, 4);

    let world = World::with([app("a"), app_with("db", |app| app.protect = true)]);
    let refused = refusal(&world, &proposed([app("a")]), |options| options.yes = true);
    assert_eq!(kind(&refused), (RefusalKind::Safety, None));
    assert!(refused.message.contains("`db`"), "{refused}");
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let world = World::with([app("api")]);
    let only = |name: &str| {
        let name = name.parse().unwrap();
        move |options: &mut ApplyOptions| options.only = vec![name]
    };
    assert_eq!(kind(&refusal(&world, &proposed([app("api")]), only("apj"))), (RefusalKind::Usage, None));
    let foreign = app_with("api", |app| app.project = "other".parse().unwrap());
    assert_eq!(kind(&refusal(&world, &proposed([foreign]), |_| ())), (RefusalKind::Usage, None));
    let huge = app_with("api", |app| app.instances = Some(u32::MAX));
    assert_eq!(kind(&refusal(&world, &proposed([huge]), |_| ())), (RefusalKind::Usage, None));
}

fn listening(name: &str, address: &str) -> App {
    app_with(name, |app| app.run.listen = vec![ListenAddress::Tcp(address.parse().unwrap())])
}

#[test]
fn two_projects_cannot_listen_at_one_address() {
    let mut world = World::with([listening("web", "127.0.0.1:80")]);
    let theirs = |address: &str| {
        let mut theirs = proposed([listening("site", address)]);
        theirs.project = "blog".parse().unwrap();
        theirs.apps[0].project = theirs.project.clone();
        theirs
    };
    let check = |world: &World, proposed: &Proposed| check_sockets(&world.desired, proposed, &ApplyOptions::default());
    for address in ["127.0.0.1:80", "0.0.0.0:80"] {
        let refused = check(&world, &theirs(address)).unwrap_err();
        assert_eq!(kind(&refused), (RefusalKind::Ownership, None));
        assert!(refused.message.contains("`blog:site`") && refused.message.contains("`shop:web`"), "{refused}");
    }
    check(&world, &theirs("127.0.0.1:81")).unwrap();
    check(&world, &proposed([listening("web", "0.0.0.0:80")])).unwrap();
    let mut waiting = theirs("127.0.0.1:80");
    waiting.apps[0].autostart = false;
    check(&world, &waiting).unwrap();
    world.apply_with(&proposed([]), &ApplyOptions { allow_empty: true, ..ApplyOptions::default() }).unwrap();
    check(&world, &theirs("127.0.0.1:80")).unwrap();
}

/// Whatever an apply refuses can be looked at, with every flag that it asks for.
#[test]
fn a_refused_plan_can_be_looked_at() {
    let elsewhere = |apps: &[&str]| {
        let mut elsewhere = proposed(apps.iter().map(|name| app(name)));
        elsewhere.origin.folder = "/home/me/shop".into();
        elsewhere
    };
    let other_file = |apps: &[&str]| {
        let mut other = proposed(apps.iter().map(|name| app(name)));
        other.origin.files = vec!["/srv/shop/other.toml".into()];
        other
    };
    let here = |apps: &[&str]| proposed(apps.iter().map(|name| app(name)));
    let names = ["a", "b", "c", "d"];
    for (what, proposed, is_protected, expected, deletes) in [
        ("another folder", elsewhere(&names), false, vec![(RefusalKind::Ownership, None)], 0),
        (
            "no apps",
            here(&[]),
            false,
            vec![(RefusalKind::Safety, Some(Confirm::AllowEmpty)), (RefusalKind::Safety, Some(Confirm::Yes))],
            4,
        ),
        ("most apps", here(&["a"]), false, vec![(RefusalKind::Safety, Some(Confirm::Yes))], 3),
        ("another file", other_file(&["a", "b"]), false, vec![(RefusalKind::Safety, Some(Confirm::ReplaceFiles))], 2),
        ("a protected app", here(&["a", "b", "c"]), true, vec![(RefusalKind::Safety, None)], 1),
        (
            "everything at once",
            other_file(&["a"]),
            true,
            vec![
                (RefusalKind::Safety, Some(Confirm::ReplaceFiles)),
                (RefusalKind::Safety, None),
                (RefusalKind::Safety, Some(Confirm::Yes)),
            ],
            3,
        ),
    ] {
        let world = World::with(names.map(|name| app_with(name, |app| app.protect = is_protected && name == "d")));
        let options = ApplyOptions::default();
        let (shown, refusals) = plan(world.desired.projects.get(&shop()), &proposed, &world.live, &options).unwrap();
        assert_eq!(refusals.iter().map(kind).collect::<Vec<_>>(), expected, "{what}");
        assert_eq!(shown.summary.delete, deletes, "{what}");
        assert_eq!(world.decide(&proposed, &options).unwrap_err(), refusals[0], "an apply of {what} is refused");
        // The flags that are named are all that is asked for.
        let has = |flag| refusals.iter().any(|refusal| refusal.confirm == Some(flag));
        let confirmed = ApplyOptions {
            allow_empty: has(Confirm::AllowEmpty),
            replace_files: has(Confirm::ReplaceFiles),
            yes: has(Confirm::Yes),
            ..options
        };
        let is_confirmable = refusals.iter().all(|refusal| refusal.confirm.is_some());
        assert_eq!(world.decide(&proposed, &confirmed).is_ok(), is_confirmable, "{what}");
    }
}

#[test]
fn a_change_of_another_generation_is_refused_before_anything_else() {
    let demanded = |generation| ApplyOptions {
        guard: crate::model::ApplyGuard { again: false, if_generation: Some(generation) },
        ..ApplyOptions::default()
    };
    let (new, known) = (World::default(), World::with([app("a")]));
    for (world, generation, message) in [
        (&new, 0, None),
        (&new, 1, Some("project `shop` is new, and not at generation 1; nothing was done")),
        (&known, 1, None),
        (&known, 0, Some("project `shop` is at generation 1, and not new; nothing was done")),
        (&known, 2, Some("project `shop` is at generation 1, no longer at 2; nothing was done")),
    ] {
        // An empty file, which would be refused, too.
        let proposed = proposed([]);
        let refused = world.decide(&proposed, &demanded(generation)).unwrap_err();
        let expected = message.unwrap_or("the file declares no apps for project `shop`");
        assert_eq!(refused.message, expected);
        assert_eq!(refused.kind == RefusalKind::Stale, message.is_some(), "{expected}");
        let (_, refusals) = plan(world.stored(), &proposed, &world.live, &demanded(generation)).unwrap();
        assert_eq!(refusals[0].message, expected);
    }
}
