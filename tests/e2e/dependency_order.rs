//! Apps start after what they depend on, and stop before it.

use crate::support::{SOON, Sandbox, kill, wait_until};

/// Three apps that write their start and their end into one file; the order in the file is the reverse.
fn file(sandbox: &Sandbox) -> String {
    let app = |name: &str, needs: &str| {
        let order = sandbox.path("order");
        let script = format!(
            "trap \"echo stop {name} >>{0}; exit 0\" TERM; echo start {name} >>{0}; while :; do sleep 0.05; done",
            order.display()
        );
        sandbox.file(&format!("{name}.sh"), script);
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"sh {name}.sh\"\n{needs}\n")
    };
    app("web", "depends_on = [\"api\"]") + &app("api", "depends_on = { db = \"started\" }") + &app("db", "")
}

#[test]
fn starts_follow_dependencies_and_stops_go_backwards() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file(&sandbox));
    sandbox.pm(&["apply"]).ok();
    wait_until("all three have said that they start", SOON, || sandbox.read("order").lines().count() == 3);
    sandbox.pm(&["down"]).ok();
    let order = sandbox.read("order");
    let said: Vec<&str> = order.lines().collect();
    // A process needs some time to its first line: two starts right after each other may print swapped.
    // The plan says the order that was kept; the stops are certain, since each is waited for.
    assert_eq!(said[3..], ["stop web", "stop api", "stop db"]);
}

#[test]
fn the_plan_lists_dependencies_first() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file(&sandbox));
    let plan = sandbox.pm(&["plan"]).ok().stdout;
    let at = |name: &str| plan.find(&format!(" {name} ")).unwrap_or_else(|| panic!("{name} is not in {plan}"));
    assert!(at("db") < at("api") && at("api") < at("web"), "{plan}");
}

#[test]
fn what_depends_on_a_failed_start_is_skipped() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "db"
        command = "sh -c 'exit 3'"
        restart = "never"
        [[apps]]
        name = "api"
        command = "sleep 1000"
        depends_on = ["db"]
        [[apps]]
        name = "alone"
        command = "sleep 1000"
        "#,
    );
    sandbox.pm(&["apply"]).code(6).says(&["db", "skipped"]);
    sandbox.pid("alone/0");
    assert_eq!(sandbox.instance("api/0").and_then(|api| api.pid), None);
}

#[test]
fn an_app_follows_the_restarts_of_what_it_depends_on_if_it_says_so() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"db\"\ncommand = \"sleep 1000\"\n\
         [[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ndepends_on = [\"db\"]\non_dependency_restart = \"restart\"\n\
         [[apps]]\nname = \"other\"\ncommand = \"sleep 1000\"\ndepends_on = [\"db\"]\n",
    );
    let (api, other) = (sandbox.pid("api/0"), sandbox.pid("other/0"));
    kill(sandbox.pid("db/0"), libc::SIGKILL);
    wait_until("api has a new process", SOON, || {
        sandbox.instance("api/0").and_then(|row| row.pid).is_some_and(|pid| pid != api)
    });
    sandbox.pm(&["why", "api"]).ok().says(&["db got a new process"]);
    assert_eq!(sandbox.pid("other/0"), other, "it did not ask for that");
    // Once is enough, for the next daemon too.
    let api = sandbox.pid("api/0");
    sandbox.kill_daemon();
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.pid("api/0"), api);
}
