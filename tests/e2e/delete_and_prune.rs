//! An app that left the file is deleted, and only ever an app of this project.

use crate::support::{Sandbox, run, start_time};

const THREE: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
[[apps]]
name = "worker"
command = "sleep 2000"
[[apps]]
name = "mailer"
command = "sleep 3000"
"#;

fn without_mailer() -> &'static str {
    THREE.split("[[apps]]\nname = \"mailer\"").next().unwrap()
}

#[test]
fn an_app_that_left_the_file_is_deleted() {
    let sandbox = Sandbox::applied(THREE);
    let mailer = sandbox.pid("mailer/0");
    sandbox.ecosystem(without_mailer());
    sandbox.pm(&["apply"]).ok().says(&["mailer"]);
    assert_eq!(sandbox.instance("mailer/0"), None);
    assert_eq!(start_time(mailer), None);
}

#[test]
fn no_prune_keeps_it() {
    let sandbox = Sandbox::applied(THREE);
    let before = sandbox.list();
    sandbox.ecosystem(without_mailer());
    sandbox.pm(&["apply", "--no-prune"]).ok();
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["apply", "--only", "api", "--no-prune"]).ok();
}

#[test]
fn a_protected_app_is_not_deleted() {
    let sandbox = Sandbox::applied(&format!("{THREE}protect = true\n"));
    let before = sandbox.list();
    sandbox.ecosystem(without_mailer());
    sandbox.pm(&["apply"]).code(8).says(&["mailer"]);
    assert_eq!(sandbox.list(), before);
}

#[test]
fn a_file_without_apps_deletes_nothing_unless_it_is_meant() {
    let sandbox = Sandbox::applied(THREE);
    let before = sandbox.list();
    sandbox.ecosystem("");
    sandbox.pm(&["apply"]).code(8).says(&["--allow-empty"]);
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["apply", "--allow-empty", "--yes"]).ok();
    assert_eq!(sandbox.list(), []);
}

#[test]
fn deleting_more_than_half_of_a_project_needs_yes() {
    let sandbox = Sandbox::applied(&format!("{THREE}[[apps]]\nname = \"fourth\"\ncommand = \"sleep 4000\"\n"));
    let before = sandbox.list();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["apply"]).code(8).says(&["--yes"]);
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["apply", "--yes"]).ok();
    assert_eq!(sandbox.list().len(), 1);
}

#[test]
fn another_project_is_never_touched() {
    let sandbox = Sandbox::applied(THREE);
    let shop = sandbox.list();
    sandbox.file("../blog/ecosystem.toml", "project = \"blog\"\n[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    run(sandbox.command(&["apply"]).current_dir(sandbox.path("../blog"))).ok();
    run(sandbox.command(&["delete", "api"]).current_dir(sandbox.path("../blog"))).ok();
    assert_eq!(sandbox.list(), shop);
}

#[test]
fn a_failed_start_withholds_deletes() {
    let sandbox = Sandbox::applied(THREE);
    let mailer = sandbox.pid("mailer/0");
    sandbox.ecosystem(&format!(
        "{}[[apps]]\nname = \"broken\"\ncommand = \"sh -c 'exit 3'\"\nrestart = \"never\"\n",
        without_mailer()
    ));
    sandbox.pm(&["apply"]).code(6).says(&["broken", "3"]);
    assert_eq!(sandbox.pid("mailer/0"), mailer);
}

#[test]
fn down_stops_and_forgets_the_project() {
    let sandbox = Sandbox::applied(THREE);
    sandbox.pm(&["down"]).ok();
    assert_eq!(sandbox.list(), []);
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn a_refused_plan_is_shown_with_the_flag_that_confirms_it() {
    let app = |name: char| {
        format!(
            "[[apps]]
name = \"{name}\"
command = \"sleep 1000\"
"
        )
    };
    let apps = |names: &str| names.chars().map(app).collect::<Vec<_>>().concat();
    let sandbox = Sandbox::applied(&apps("abcdefgh"));
    let is_whole = || sandbox.list().iter().filter(|it| it.phase == "running").count() == 8;
    for (file, deletes, words) in [
        (apps("ab"), "6 deletes", &["`pm apply` would be refused", "6 of the 8", "`pm apply --yes`"][..]),
        (String::new(), "8 deletes", &["declares no apps", "`pm apply --allow-empty --yes`"]),
    ] {
        sandbox.ecosystem(&file);
        sandbox.pm(&["plan"]).code(0).says(words).says(&[deletes]);
        sandbox.pm(&["plan", "--detailed-exitcode"]).code(2).says(words);
        sandbox.pm(&["apply", "--dry-run"]).code(0).says(words);
        sandbox.pm(&["diff"]).code(1).says(words);
        let data = sandbox.pm(&["plan", "--json"]).code(0).json();
        assert_eq!(data["refusals"].as_array().unwrap().last().unwrap()["confirm"], "yes", "{data}");
        sandbox.pm(&["apply"]).code(8);
        assert!(is_whole());
    }
    // A file of another name, and of another folder.
    sandbox.file("other.toml", format!("project = \"shop\"\n{}", apps("abcde")));
    sandbox.pm(&["plan", "other.toml"]).code(0).says(&["3 deletes", "`pm apply --replace-files`"]);
    sandbox.pm(&["apply", "other.toml"]).code(8);
    // What makes no sense has no plan.
    sandbox.pm(&["plan", "--only", "nobody", "other.toml"]).code(64);
    sandbox.ecosystem(&apps("ab"));
    sandbox.pm(&["apply", "--yes"]).ok();
    assert_eq!(sandbox.list().len(), 2);
}
