//! What happened, in order, with cause; and why an app is as it is.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{SOON, Sandbox, fixture, kill, wait_until};

#[test]
fn every_start_and_exit_is_an_event_across_daemons() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let pid = sandbox.pid("api/0");
    kill(pid, libc::SIGKILL);
    wait_until("it runs again", SOON, || sandbox.pid("api/0") != pid);
    sandbox.kill_daemon();
    sandbox.pm(&["stop", "api"]).ok();
    let events = sandbox.events();
    let about_api: Vec<&str> =
        events.iter().filter(|event| event.about == "shop:api/0").map(|event| event.fact.as_str()).collect();
    let count = |fact: &str| about_api.iter().filter(|word| **word == fact).count();
    assert_eq!((count("started"), count("exited"), count("stopped")), (2, 2, 1), "{about_api:?}");
    assert_eq!(events.iter().filter(|event| event.fact == "daemon_started").count(), 2);
    assert!(events.is_sorted_by(|a, b| a.seq < b.seq), "numbers grow, across daemons too");
}

/// One number means one thing, and one clock counts: whoever looks, and in whichever form.
#[test]
fn numbers_and_times_agree_wherever_they_are_shown() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nkill_timeout = \"5s\"\nmax_memory_restart = \"300M\"\n",
    );
    sandbox.pm(&["restart", "api"]).ok(); // a person's restart is none of those that are counted
    for restarts in 1..=3 {
        kill(sandbox.pid("api/0"), libc::SIGKILL);
        wait_until("it runs again", SOON, || {
            sandbox.instance("api/0").is_some_and(|api| api.restarts == restarts && api.phase == "running")
        });
    }
    let told = sandbox.pm(&["events", "api"]).ok().says(&["restart 1 (", "restart 2 (", "restart 3 ("]);
    assert!(!told.stdout.contains("restart 4"), "{told}");
    sandbox.pm(&["why", "api"]).ok().says(&["3 restarts that nobody requested"]);

    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let is_recent = |moment: &Value| moment.as_u64().is_some_and(|at| now.abs_diff(at) < 120_000);
    let list = sandbox.pm(&["list", "--json"]).ok().json();
    let row = &list["apps"][0];
    assert_eq!(row["restarts"], 3);
    assert!(is_recent(&list["now"]) && is_recent(&row["phase"]["since"]), "{list:#}");
    let causes = row["status"]["because"].as_array().unwrap();
    assert!(causes.iter().any(|why| why["is"] == "started" && why["cause"] == "policy"), "{row:#}");

    for document in [sandbox.pm(&["describe", "api", "--json"]), sandbox.pm(&["why", "api", "--json"])] {
        let spec = document.ok().json()["apps"][0]["spec"].clone();
        assert_eq!((&spec["stop"]["kill_timeout"], &spec["max_memory_restart"]), (&"5s".into(), &"300M".into()));
    }
    let config = sandbox.pm(&["config", "--json"]).ok().json();
    assert_eq!(config["apps"][0]["stop"]["kill_signal"], "SIGTERM");
}

#[test]
fn a_status_says_since_when() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"bad\"\ncommand = \"false\"\nrestart = \"never\"\nautostart = false\n\
         [[apps]]\nname = \"done\"\ncommand = \"true\"\nkind = \"task\"\n",
    );
    sandbox.pm(&["start", "bad"]).code(6);
    sandbox.wait_phase("done/0", "done");
    let since = |app: &str| {
        let row = sandbox.pm(&["list", app, "--json"]).ok().json()["apps"][0].clone();
        row["status"]["since"].as_u64().unwrap_or_else(|| panic!("no since: {row:#}"))
    };
    let before = ["bad", "done"].map(since);
    sandbox.kill_daemon();
    // The next daemon knows it from the end of the process.
    for (after, before) in ["bad", "done"].map(since).into_iter().zip(before) {
        assert!(after.abs_diff(before) < 1000, "{after} is not {before}");
    }
}

#[test]
fn why_tells_the_chain_from_the_exit_to_the_next_attempt() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"api\"\nscript = {:?}\nargs = [\"3\"]\nrestart_delay = \"60s\"\n",
        fixture("exits.sh")
    ));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("api/0", "backoff");
    sandbox.pm(&["why", "api"]).ok().says(&["exit code 3", "last words"]);
    sandbox.pm(&["why", "api", "--json"]).ok().json();
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["why", "api"]).ok().says(&["stopped by"]);
}

#[test]
fn an_app_is_not_told_what_happens_to_others() {
    let app = |number: u32| format!("[[apps]]\nname = \"a{number}\"\ncommand = \"sleep 1000\"\n");
    let apps = (0..12).map(app).collect::<Vec<_>>().concat();
    let sandbox = Sandbox::applied(&apps);
    sandbox.pm(&["restart", "a1"]).ok();
    for look in ["events", "why"] {
        let told = sandbox.pm(&[look, "a7"]).ok().says(&["start a0, a1, a2 and 9 more"]);
        assert!(!told.stdout.contains("restart a1"), "{told}");
        sandbox.pm(&[look, "a1"]).ok().says(&["restart a1"]);
    }
    sandbox.pm(&["events", "--project", "shop"]).ok().says(&["restart a1"]);
    let deleted = sandbox.pm(&["delete", "all"]).ok();
    assert!(!deleted.stdout.contains(" new"), "{deleted}");
}

#[test]
fn why_names_the_failed_task_that_a_start_depends_on() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"migrate\"\nkind = \"task\"\nautorestart = false\ncommand = 'sh -c \"exit 7\"'\n\
         [[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\ndepends_on = { migrate = \"completed\" }\n",
    );
    sandbox.pm(&["apply"]).code(6);
    sandbox.pm(&["why", "web"]).ok().says(&["because it depends on migrate", "exit code 7"]);
    let why = sandbox.pm(&["why", "web", "--json"]).ok().json()["why"][0].clone();
    assert_eq!((&why["status"]["word"], &why["status"]["severity"]), (&"stopped".into(), &"error".into()), "{why}");
    assert_eq!(why["status"]["because"][0]["app"], "migrate", "{why}");
    assert!(why["because"][0].as_str().is_some_and(|text| text.contains("exit code 7")), "{why}");
}

#[test]
fn why_says_who_had_a_process_started() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["why", "api"]).ok().says(&["because its process was started (apply by", "generation 1"]);
    sandbox.kill_daemon();
    sandbox.pm(&["why", "api"]).ok().says(&["because its process was started (apply by", "generation 1"]);
}

#[test]
fn what_why_promises_for_an_app_that_rests_is_what_happens() {
    // How it comes to rest, what is promised, the command that changes nothing, and those that start it.
    type Commands<'a> = &'a [&'a [&'a str]];
    let cases: [(&str, Commands, &str, Commands, Commands); 4] = [
        ("autostart = false", &[], "nothing until `pm start`", &[&["apply"]], &[&["start", "api"]]),
        ("instances = 0", &[], "nothing until `pm scale`, or an apply", &[&["apply"]], &[&["scale", "api", "1"]]),
        (
            "",
            &[&["stop", "--hold", "api"]],
            "nothing until `pm unhold`, and then",
            &[&["apply"], &["unhold", "api"]],
            &[&["apply"]],
        ),
        ("", &[&["stop", "api"]], "nothing until `pm start` or `pm apply`", &[], &[&["apply"]]),
    ];
    for (key, rest, promise, nothing, start) in cases {
        let sandbox = Sandbox::applied(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n{key}\n"));
        let run = |commands: Commands| {
            for command in commands {
                sandbox.pm(command).ok();
            }
        };
        run(rest);
        let why = sandbox.pm(&["why", "api"]).ok();
        let next = why.stdout.lines().find_map(|line| line.trim_start().strip_prefix("next: ")).unwrap_or_default();
        assert!(next.starts_with(promise), "{promise}: {why}");
        let runs = || sandbox.instance("api/0").is_some_and(|one| one.phase == "running");
        run(nothing);
        assert!(!runs(), "{promise}: {nothing:?} starts it all the same");
        run(start);
        assert!(runs(), "{promise}: {start:?} does not start it");
    }
}

#[test]
fn a_suspended_process_is_marked() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    kill(sandbox.pid("api/0"), libc::SIGSTOP);
    let says = |words: &str| sandbox.pm(&["list"]).ok().stdout.contains(words);
    wait_until("the list says so", SOON, || says("running, suspended"));
    sandbox.pm(&["why", "api"]).ok().says(&["suspended by a signal"]);
    sandbox.pm(&["describe", "api"]).ok().says(&["suspended"]);
    kill(sandbox.pid("api/0"), libc::SIGCONT);
    wait_until("it goes on", SOON, || !says("suspended"));
}

#[test]
fn what_waits_for_its_turn_says_so() {
    let sandbox = Sandbox::new();
    let app = |name: &str| {
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"sleep 1000\"\nready.exec = \"test -e up-{name}\"\n")
    };
    sandbox.ecosystem(&format!("start_concurrency = 1\n{}{}", app("one"), app("two")));
    sandbox.pm(&["apply", "--detach"]).ok();
    let why = || sandbox.pm(&["why", "two"]).ok().stdout;
    wait_until("it says what it waits for", SOON, || {
        why().contains("it waits for its turn: one process starts at a time (start_concurrency)")
    });
    sandbox.pm(&["list"]).ok().says(&["waiting: one process starts at a time (start_concurrency)"]);
    sandbox.file("up-one", "");
    wait_until("its turn has come", SOON, || sandbox.instance("two/0").is_some_and(|two| two.phase == "starting"));
    assert!(!why().contains("turn"), "{}", why());
    sandbox.file("up-two", "");
    sandbox.wait_phase("two/0", "running");
}
