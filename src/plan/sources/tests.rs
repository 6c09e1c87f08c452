//! Who may deploy a project, and which apps stay in their release.

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Change, Declared, DesiredState, Environment, GitSource, Pin, SameInputs, SourceRecord, SourceSpec, Template,
};
use crate::plan::tests::{app, proposed, shop};

const OLD: &str = "/home/sources/shop/releases/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW: &str = "/home/sources/shop/releases/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn source(project: Option<&str>) -> GitSource {
    GitSource {
        spec: SourceSpec {
            url: "/srv/shop.git".into(),
            branch: "main".into(),
            path: None,
            profile: None,
            allowed_signers: None,
            interval: SourceSpec::INTERVAL,
            dwell: SourceSpec::DWELL,
            policy: crate::model::SyncPolicy::default(),
        },
        is_suspended: false,
        webhook: None,
        record: SourceRecord { project: project.map(|name| name.parse().unwrap()), ..SourceRecord::default() },
    }
}

fn in_release(name: &str, release: &str, level: &str) -> App {
    let mut app = app(name);
    app.run.cwd = format!("{release}/apps/{name}").into();
    app.run.script = Some(format!("{release}/apps/{name}/main.js"));
    app.run.env.insert("PATH".into(), Template::literal(&format!("{release}/bin:/usr/bin")));
    app.run.env.insert("LEVEL".into(), Template::literal(level));
    app
}

fn declare(desired: &mut Desired, app: App) {
    let (project, name) = (app.project.clone(), app.name.clone());
    let declared = Declared::new(Arc::new(app), Arc::new(Environment::new()), DesiredState::Up);
    desired.accept(Change::App { project, name, declared: Box::new(declared) });
}

fn apply_of(source: &str, same: &[(&str, &str)]) -> ApplyOptions {
    let same = same
        .iter()
        .map(|(app, release)| SameInputs { app: app.parse().unwrap(), releases: vec![PathBuf::from(*release)] });
    let apply = SourceApply { source: source.parse().unwrap(), release: NEW.into(), same: same.collect() };
    ApplyOptions { source: Some(Box::new(apply)), ..ApplyOptions::default() }
}

#[test]
fn a_project_has_one_source_and_a_source_takes_over_no_project() {
    let by_file = {
        let mut desired = Desired::default();
        declare(&mut desired, app("api"));
        desired.sources.insert("shop".parse().unwrap(), source(None));
        desired
    };
    let by_source = {
        let mut desired = by_file.clone();
        desired.sources.insert("shop".parse().unwrap(), source(Some("shop")));
        desired.sources.insert("second".parse().unwrap(), source(None));
        desired
    };
    let suspended = {
        let mut desired = by_source.clone();
        desired.sources.get_mut(&"shop".parse().unwrap()).unwrap().is_suspended = true;
        desired
    };
    let person = ApplyOptions::default();
    let (own, second, gone) = (apply_of("shop", &[]), apply_of("second", &[]), apply_of("gone", &[]));
    let cases = [
        (&by_file, &person, None),
        (&by_file, &own, Some("exists already, and was applied from")),
        (&by_source, &own, None),
        (&by_source, &second, Some("is deployed by the source `shop`")),
        (&by_source, &person, Some("is deployed by the source `shop`, not from files")),
        (&by_source, &gone, Some("suspended or removed meanwhile")),
        (&suspended, &person, None),
        (&suspended, &own, Some("suspended or removed meanwhile")),
    ];
    for (at, (desired, options, expected)) in cases.into_iter().enumerate() {
        let refused = check_source(desired, &proposed([app("api")]), options).err().map(|refusal| refusal.message);
        match (refused, expected) {
            (None, None) => {}
            (Some(message), Some(words)) if message.contains(words) => {}
            other => panic!("case {at}: {other:?}"),
        }
    }
}

#[test]
fn an_app_stays_in_its_release_only_if_both_its_spec_and_its_inputs_are_the_same() {
    let mut desired = Desired::default();
    for name in ["same", "files", "spec", "new"] {
        if name != "new" {
            declare(&mut desired, in_release(name, OLD, "info"));
        }
    }
    let names = ["same", "files", "spec", "new"];
    let level = |name: &str| if name == "spec" { "debug" } else { "info" };
    let next = proposed(names.map(|name| in_release(name, NEW, level(name))));
    let options = apply_of("shop", &[("same", OLD), ("spec", OLD), ("new", OLD)]);
    let settled = settled(desired.projects.get(&shop()), &next, options.source.as_ref().unwrap(), |_| None);
    let folders: BTreeMap<&str, bool> =
        settled.apps.iter().map(|app| (app.name.as_str(), app.run.cwd.starts_with(OLD))).collect();
    assert_eq!(folders, [("files", false), ("new", false), ("same", true), ("spec", false)].into());
    let same = settled.apps.iter().find(|app| app.name.as_str() == "same").unwrap();
    assert_eq!(*same, in_release("same", OLD, "info"), "word for word, also in the middle of a text");
}

#[test]
fn what_was_rolled_back_is_recognised_in_a_later_release() {
    let mut desired = Desired::default();
    let (good, bad) = (in_release("api", "/elsewhere", "info"), in_release("api", OLD, "debug"));
    let from = Digest::of_content(&bad);
    declare(&mut desired, good);
    let project = desired.projects.get_mut(&shop()).unwrap();
    for declared in project.apps.values_mut() {
        declared.pin = Some(Pin { generation: 1, from: Some(from) });
    }
    let next = proposed([in_release("api", NEW, "debug")]);
    let options = apply_of("shop", &[("api", OLD)]);
    let known = Arc::new(bad.clone());
    let spec = |digest: &Digest| (*digest == from).then(|| Arc::clone(&known));
    let settled = settled(desired.projects.get(&shop()), &next, options.source.as_ref().unwrap(), spec);
    assert_eq!(settled.apps, [bad]);
}

#[test]
fn the_release_of_an_app_is_found_in_its_spec() {
    let folder = Path::new("/home/sources/shop/releases");
    assert_eq!(release_of(&in_release("api", OLD, "info"), folder), Some(PathBuf::from(OLD)));
    assert_eq!(release_of(&app("api"), folder), None);
    assert_eq!(release_of(&in_release("api", "/home/sources/shop/releases/short", "info"), folder), None);
}

#[test]
fn an_apply_of_a_source_leaves_what_a_user_stopped_until_it_changes() {
    let options = apply_of("shop", &[]);
    let mut desired = Desired::default();
    for name in ["api", "web"] {
        declare(&mut desired, app(name));
    }
    let stopped = DesiredState::Stopped { by: "alice".into(), at: crate::model::WallTime(1), is_held: false };
    for declared in desired.projects.get_mut(&shop()).unwrap().apps.values_mut() {
        declared.desired_state = stopped.clone();
    }
    let mut web = app("web");
    web.run.env.insert("LEVEL".into(), Template::literal("debug"));
    let live = crate::model::Live::default();
    let decision =
        crate::plan::decide(desired.projects.get(&shop()), &proposed([app("api"), web]), &live, &options).unwrap();
    for change in decision.changes {
        desired.accept(change);
    }
    let state = |name: &str| &desired.projects[&shop()].apps[&name.parse().unwrap()].desired_state;
    assert_eq!((state("api"), state("web")), (&stopped, &DesiredState::Up));
}
