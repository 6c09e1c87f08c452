//! Selectors against three projects: whose `api` is meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::model::{App, Declared, DesiredState, Environment, Origin, Run};

fn declared(project: &str, name: &str, namespace: &str) -> Declared {
    let spec = App {
        project: project.parse().unwrap(),
        name: name.parse().unwrap(),
        moved_from: Vec::new(),
        namespace: namespace.to_owned(),
        instances: None,
        autostart: true,
        protect: false,
        depends_on: BTreeMap::default(),
        run: Run::default(),
        ..crate::lifecycle::samples::app()
    };
    Declared::new(Arc::new(spec), Arc::new(Environment::new()), DesiredState::Up)
}

/// `shop` in /srv/shop, `blog` in /srv/blog, apps started by hand in `_`.
fn desired() -> Desired {
    let mut desired = Desired::default();
    let content = [
        ("shop", "/srv/shop", vec![("api", "web"), ("worker", "jobs"), ("mailer", "jobs")]),
        ("blog", "/srv/blog", vec![("api", "web"), ("render", "")]),
        ("_", "", vec![("echo", "")]),
    ];
    for (name, folder, apps) in content {
        let origin = Origin { folder: folder.into(), ..Origin::default() };
        let apps = apps.into_iter().map(|(app, ns)| (app.parse().unwrap(), declared(name, app, ns))).collect();
        desired.projects.insert(name.parse().unwrap(), Project { origin, generation: 1, apps, ..Project::default() });
    }
    desired
}

fn scope(folder: &str, everywhere: bool) -> Scope {
    Scope { project: None, folder: Some(folder.into()), everywhere }
}

fn ask(selector: &str, scope: Scope) -> Result<String, Problem> {
    let selection = Selection { selectors: vec![selector.to_owned()], scope };
    let text = |target: &Target| match target.slot {
        Some(slot) => format!("{}/{slot}", target.app),
        None => target.app.to_string(),
    };
    select(&desired(), &selection).map(|targets| targets.iter().map(text).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_bare_name_means_the_project_of_the_folder_first() {
    let cases = [
        ("api", "/srv/shop", "shop:api"),
        ("api", "/srv/blog/src/deep", "blog:api"),
        ("api/1", "/srv/shop", "shop:api/1"),
        ("render", "/srv/shop", "blog:render"),
        ("echo", "/srv/shop", "_:echo"),
        ("blog:api", "/srv/shop", "blog:api"),
        ("web", "/srv/shop", "shop:api"),
        ("jobs", "/", "shop:mailer shop:worker"),
        ("shop:jobs", "/", "shop:mailer shop:worker"),
        ("all", "/srv/blog", "blog:api blog:render"),
        ("shop:all", "/", "shop:api shop:mailer shop:worker"),
    ];
    for (selector, folder, expected) in cases {
        assert_eq!(ask(selector, scope(folder, false)).unwrap(), expected, "{selector} in {folder}");
    }
    assert_eq!(ask("api", scope("/", true)).unwrap(), "blog:api shop:api");
    assert_eq!(ask("all", scope("/srv/shop", true)).unwrap().split(' ').count(), 6);
}

#[test]
fn several_candidates_are_listed_never_guessed() {
    let problem = ask("api", scope("/tmp", false)).unwrap_err();
    assert_eq!((problem.code, problem.exit_code), (ProblemCode::Ambiguous, 64));
    assert_eq!(problem.details, ["blog:api", "shop:api"]);
    assert_eq!(ask("all", scope("/tmp", false)).unwrap_err().details, ["_:all", "blog:all", "shop:all"]);
}

#[test]
fn an_unknown_name_is_answered_with_what_was_probably_meant() {
    let hint = |selector: &str| {
        let problem = ask(selector, scope("/srv/shop", false)).unwrap_err();
        assert_eq!(problem.code, ProblemCode::NoSuchApp, "{selector}");
        problem.hint.unwrap()
    };
    assert_eq!(hint("workr"), "did you mean `worker`?");
    assert_eq!(hint("shop:mailr"), "did you mean `shop:mailer`?");
    assert_eq!(hint("0"), "apps are named, not numbered: `pm list` shows the names");
    assert!(hint("zzzzzz").contains("pm list -A"));
    for wrong in ["api/x", "all/1"] {
        assert_eq!(ask(wrong, scope("/srv/shop", false)).unwrap_err().code, ProblemCode::Usage, "{wrong}");
    }
}

#[test]
fn a_named_project_is_the_only_one_looked_at() {
    let only = |name: &str| Scope { project: Some(name.parse().unwrap()), ..scope("/srv/shop", false) };
    assert_eq!(ask("api", only("blog")).unwrap(), "blog:api");
    assert_eq!(ask("worker", only("blog")).unwrap_err().code, ProblemCode::NoSuchApp);
    assert_eq!(ask("all", only("blog")).unwrap(), "blog:api blog:render");
    assert_eq!(ask("all", only("nothing")).unwrap_err().code, ProblemCode::NoSuchApp);
}
