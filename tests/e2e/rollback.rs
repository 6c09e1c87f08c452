//! `pm rollback` declares again what was declared before, and that lasts until the file says something else.

use std::fs;
use std::time::{Duration, Instant};

use crate::history::{app, apply, entries, told};
use crate::support::{SOON, Sandbox, kill_both_now, run, wait_until};

/// The environments of the processes: `api=2 web=1`.
fn versions(sandbox: &Sandbox) -> String {
    let version = |pid: u32| {
        let environ = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split('\0').find_map(|line| line.strip_prefix("VERSION=").map(str::to_owned)).unwrap_or_default()
    };
    let rows = sandbox.list();
    let shown = rows.iter().filter_map(|row| Some(format!("{}={}", row.id.split('/').next()?, version(row.pid?))));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn it_goes_to_the_last_healthy_generation_and_sticks() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    apply(&sandbox, &[("api", "2"), ("web", "1")]).ok();
    apply(&sandbox, &[("api", "bad"), ("web", "2")]).code(6);
    assert_eq!(versions(&sandbox), "api=2 web=2", "the failed rollout was rolled back by itself");
    let before = sandbox.list();
    let planned = sandbox.pm(&["rollback", "--dry-run", "--detailed-exitcode"]).code(2);
    planned.says(&["rollback to generation 2", "web", "env.VERSION \"2\" -> \"1\"", "Processes interrupted: 1"]);
    assert_eq!((sandbox.list(), told(&sandbox).len()), (before, 3), "a dry run touches nothing");
    sandbox.pm(&["rollback"]).ok().says(&["rollback to generation 2", "web"]);
    assert_eq!(versions(&sandbox), "api=2 web=1");
    assert_eq!(told(&sandbox)[0], "4 rollback applied healthy ~api ~web");
    assert_eq!(entries(&sandbox)[0]["to"], 2);
    assert!(entries(&sandbox)[0]["is_current"].as_bool().unwrap());

    // The file still declares it: refused, and not by accident.
    let file = |web: &str| sandbox.ecosystem(&(app("api", "2") + &app("web", web)));
    file("2");
    let refused = sandbox.pm(&["apply"]).code(8);
    refused.says(&["`web` was rolled back to generation 2", "--again"]);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok().says(&["`pm apply --again`"]);
    // Another app changes: that goes through, and `web` stays.
    apply(&sandbox, &[("api", "3"), ("web", "2")]).ok().says(&["web stays as it was rolled back to generation 2"]);
    assert_eq!(versions(&sandbox), "api=3 web=1");
    sandbox.kill_daemon();
    sandbox.pm(&["apply"]).code(8);
    // The fix goes through without an option.
    apply(&sandbox, &[("api", "3"), ("web", "3")]).ok();
    assert_eq!(versions(&sandbox), "api=3 web=3");
    sandbox.pm(&["rollback", "--to", "2", "--app", "web"]).ok();
    sandbox.pm(&["apply", "--again"]).ok();
    assert_eq!(versions(&sandbox), "api=3 web=3");
    sandbox.pm(&["apply"]).ok().says(&["nothing to do"]);
}

#[test]
fn it_goes_to_any_entry_within_a_second() {
    let sandbox = Sandbox::new();
    for version in 1..=20 {
        apply(&sandbox, &[("api", &version.to_string())]).ok();
    }
    for generation in [1, 20, 7, 13] {
        let began = Instant::now();
        sandbox.pm(&["rollback", "--to", &generation.to_string()]).ok();
        let took = began.elapsed();
        assert_eq!(versions(&sandbox), format!("api={generation}"));
        // A new process counts as started after 300 ms; the bound leaves room for a loaded machine.
        eprintln!("rollback to generation {generation}: {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    sandbox.pm(&["rollback", "--to", "13"]).ok().says(&["nothing to do"]);
}

#[test]
fn removed_apps_come_back_and_new_ones_stay_unless_pruned() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("old", "1")]).ok();
    apply(&sandbox, &[("api", "1"), ("new", "1")]).ok();
    let (api, new) = (sandbox.pid("api/0"), sandbox.pid("new/0"));
    sandbox.pm(&["rollback"]).ok().says(&["new is not in generation 1 and stays"]);
    assert_eq!(versions(&sandbox), "api=1 new=1 old=1");
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("new/0")), (api, new), "what is as it was is left alone");
    sandbox.pm(&["apply"]).code(8).says(&["`old` was rolled back to generation 1"]);
    sandbox.pm(&["rollback", "--to", "1", "--prune"]).ok().says(&["not in generation 1"]);
    assert_eq!(versions(&sandbox), "api=1 old=1");
    sandbox.pm(&["apply", "--again"]).ok();
    assert_eq!(versions(&sandbox), "api=1 new=1");
    sandbox.pm(&["rollback", "--prune", "--app", "api"]).code(64);
}

#[test]
fn what_cannot_be_gone_back_to_is_refused_with_the_way_on() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["rollback"]).code(1).says(&["no projects"]);
    apply(&sandbox, &[("api", "1")]).ok();
    sandbox.pm(&["rollback"]).code(8).says(&["no earlier generation", "pm rollback --to N"]);
    for wrong in ["9", "v1", "-1", "0"] {
        sandbox.pm(&["rollback", &format!("--to={wrong}")]).code(64).says(&["no entry", "pm history"]);
    }
    sandbox.pm(&["rollback", "--app", "nobody", "--to", "1"]).code(64).says(&["generation 1 has no app `nobody`"]);
    apply(&sandbox, &[("api", "2")]).ok();
    let json = sandbox.pm(&["rollback", "--json"]).ok().json();
    assert_eq!((json["exit_code"].as_u64(), json["plans"][0]["accepted_generation"].as_u64()), (Some(0), Some(3)));
}

#[test]
fn two_projects_have_two_histories() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1")]).ok();
    apply(&sandbox, &[("api", "2")]).ok();
    let other = |version: &str| {
        let file = sandbox.file("other/ecosystem.toml", format!("project = \"blog\"\n{}", app("api", version)));
        sandbox.pm(&["apply", file.to_str().unwrap()]).ok();
    };
    other("7");
    other("8");
    // The folder says which one is meant; elsewhere it has to be named.
    sandbox.pm(&["rollback"]).ok();
    assert_eq!(versions(&sandbox), "api=8 api=1");
    run(sandbox.command(&["history"]).current_dir("/")).code(64).says(&["several projects", "blog", "shop"]);
    run(sandbox.command(&["rollback", "-p", "blog"]).current_dir("/")).ok();
    assert_eq!(versions(&sandbox), "api=7 api=1");
    assert_eq!(told(&sandbox).len(), 3);
}

#[test]
fn a_stop_by_hand_is_undone_as_by_an_apply_and_a_hold_is_not() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1"), ("job", "1")]).ok();
    apply(&sandbox, &[("api", "2"), ("web", "1"), ("job", "2")]).ok();
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["hold", "job"]).ok();
    sandbox.pm(&["rollback"]).ok().says(&["stopped by", "~   job", "declared, not started", "held by"]);
    assert_eq!(versions(&sandbox), "api=1 web=1");
    sandbox.pm(&["unhold", "job"]).ok();
    sandbox.pm(&["start", "job"]).ok();
    assert_eq!(versions(&sandbox), "api=1 job=1 web=1");
}

#[test]
fn the_environment_of_the_shell_comes_back_with_the_rest() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&app("api", "1"));
    run(sandbox.command(&["apply"]).env("TZ", "Asia/Tokyo")).ok();
    apply(&sandbox, &[("api", "2")]).ok();
    let zone = || {
        let environ = fs::read_to_string(format!("/proc/{}/environ", sandbox.pid("api/0"))).unwrap();
        environ.split('\0').find_map(|line| line.strip_prefix("TZ=").map(str::to_owned))
    };
    assert_eq!(zone(), None);
    sandbox.pm(&["history", "show", "2", "--diff", "1"]).ok().says(&["environment of the shell: TZ"]);
    sandbox.pm(&["rollback"]).ok();
    assert_eq!((zone().as_deref(), versions(&sandbox).as_str()), (Some("Asia/Tokyo"), "api=1"));
}

#[test]
fn a_rollback_whose_daemon_is_killed_is_finished_by_the_next_one() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    apply(&sandbox, &[("api", "2"), ("web", "2")]).ok();
    sandbox.pm(&["rollback", "--detach"]).ok();
    kill_both_now(&sandbox);
    wait_until("both are back", SOON, || versions(&sandbox) == "api=1 web=1");
    wait_until("the history says so", SOON, || told(&sandbox)[0] == "3 rollback applied healthy ~api ~web");
    sandbox.pm(&["apply"]).code(8);
}

#[test]
fn a_rollback_that_fails_is_undone_and_told() {
    let sandbox = Sandbox::new();
    let file = |version: &str| {
        format!(
            "[[apps]]\nname = \"api\"\nshell = true\ncommand = '''[ -e ok-$VERSION ] || exit 3; exec sleep 1000'''\n\
             env = {{ VERSION = \"{version}\" }}\nupdate = {{ min_healthy_time = \"0s\" }}\nmax_restarts = 0\n"
        )
    };
    for version in ["1", "2"] {
        sandbox.file(&format!("ok-{version}"), "");
        sandbox.ecosystem(&file(version));
        sandbox.pm(&["apply"]).ok();
    }
    // What version 1 needs is gone by now.
    fs::remove_file(sandbox.path("ok-1")).unwrap();
    sandbox.pm(&["rollback"]).code(6).says(&["exit code 3"]);
    assert_eq!(
        (versions(&sandbox).as_str(), told(&sandbox)[0].as_str()),
        ("api=2", "3 rollback failed unhealthy ~api")
    );
    // What runs is what the file says.
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn an_app_that_got_another_name_without_a_word_is_replaced_and_not_doubled() {
    let sandbox = Sandbox::new();
    let file = |name: &str, version: &str| {
        let script = "sleep 1000";
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"{name}\"\ncommand = \"{script}\"\nenv = {{ VERSION = \"{version}\" }}\n\
             update = {{ min_healthy_time = \"0s\" }}\n"
        ));
    };
    file("old", "1");
    sandbox.pm(&["apply"]).ok();
    file("new", "2");
    sandbox.pm(&["apply"]).ok().says(&["replaces old"]);
    sandbox.pm(&["rollback"]).ok().says(&["renamed from new", "looks like new under a new name"]);
    assert_eq!(versions(&sandbox), "old=1");
    assert_eq!(sandbox.app_processes().len(), 1);
    sandbox.pm(&["apply"]).code(8).says(&["rolled back to generation 1", "--again"]);
    sandbox.pm(&["apply", "--again"]).ok();
    assert_eq!(versions(&sandbox), "new=2");
    assert_eq!(sandbox.app_processes().len(), 1);
}
