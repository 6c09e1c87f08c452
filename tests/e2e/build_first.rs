//! `build` before the first process: a fresh clone serves what was built, or nothing.

use crate::support::{SOON, Sandbox, kill, run, wait_until};

/// Serves `dist`, which only its build makes.
fn ecosystem(sandbox: &Sandbox, build: &str) {
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"web\"\nshell = true\ncommand = \"cat dist || exit 3; sleep 1000\"\nwatch = [\"src\"]\n\
         watch_delay = \"10ms\"\nbuild = '''{build}'''\nready.log = \"^built\"\n"
    ));
}

fn built(sandbox: &Sandbox) -> usize {
    sandbox.read("builds").lines().count()
}

#[test]
fn an_app_is_built_before_it_is_started_and_not_when_it_starts_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    ecosystem(&sandbox, "echo x >> builds; echo built > dist");
    sandbox.pm(&["plan"]).says(&["web is built before it starts"]);
    sandbox.pm(&["apply"]).ok().says(&["ok", "web"]);
    assert_eq!((built(&sandbox), sandbox.instance("web/0").unwrap().phase.as_str()), (1, "running"));
    sandbox.pm(&["apply"]).ok().says(&["nothing to do"]);
    kill(sandbox.pid("web/0"), libc::SIGKILL);
    wait_until("it was restarted", SOON, || sandbox.starts_of("web/0") == 2);
    sandbox.wait_phase("web/0", "running");
    sandbox.pm(&["restart", "web"]).ok();
    assert_eq!(built(&sandbox), 1, "nobody has started it");
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["start", "web"]).ok();
    assert_eq!(built(&sandbox), 2, "while it was down nobody has built it");
}

#[test]
fn while_it_is_built_it_says_so() {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    ecosystem(&sandbox, "while ! test -e go; do sleep 0.05; done; echo built > dist");
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it is being built", SOON, || sandbox.pm(&["list"]).stdout.contains("its build runs"));
    sandbox.pm(&["list"]).ok().says(&["web/0", "waiting", "of at most 15m"]);
    sandbox.pm(&["why", "web"]).ok().says(&[
        "waiting",
        "its build has been running for",
        "as soon as that has happened",
    ]);
    sandbox.file("go", "");
    sandbox.wait_phase("web/0", "running");
    assert!(!sandbox.pm(&["list"]).ok().stdout.contains("build"), "it is over");
    sandbox.pm(&["stop", "web"]).ok();
    std::fs::remove_file(sandbox.path("go")).unwrap();
    sandbox.pm(&["start", "web", "--detach"]).ok();
    wait_until("it is built again", SOON, || sandbox.pm(&["list"]).stdout.contains("its build runs"));
    sandbox.pm(&["stop", "web"]).ok();
    wait_until("nothing is built any more", SOON, || !sandbox.pm(&["list"]).stdout.contains("build"));
    sandbox.pm(&["why", "web"]).ok().says(&["stopped by"]);
}

#[test]
fn what_cannot_be_built_is_not_started_until_it_can() {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    ecosystem(&sandbox, "echo x >> builds; echo no such module; test -e good && echo built > dist");
    let failed = sandbox.pm(&["apply"]).code(6);
    failed.says(&["FAILED", "the build failed", "exit code 1", "no such module"]);
    assert_eq!(sandbox.starts_of("web/0"), 0);
    sandbox.pm(&["why", "web"]).says(&["the build failed"]);
    sandbox.pm(&["events", "web"]).ok().says(&["could not be started: the build failed"]);
    // Whatever looks at what should run does not start it.
    sandbox.kill_daemon();
    sandbox.pm(&["list"]).ok();
    assert_eq!((sandbox.starts_of("web/0"), built(&sandbox)), (0, 1));
    sandbox.pm(&["apply"]).code(6).says(&["no such module"]);
    assert_eq!(built(&sandbox), 2, "an apply tries it again");
    sandbox.file("good", "");
    sandbox.pm(&["start", "web"]).ok();
    sandbox.wait_phase("web/0", "running");
    assert_eq!(built(&sandbox), 3);
}

#[test]
fn a_saved_file_starts_what_could_not_be_built() {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    ecosystem(&sandbox, "grep -q good src/a && echo built > dist");
    sandbox.pm(&["apply"]).code(6);
    sandbox.file("src/a", "good");
    sandbox.wait_phase("web/0", "running");
    assert_eq!(sandbox.starts_of("web/0"), 1);
}

#[test]
fn a_build_that_nobody_wants_any_more_ends() {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    ecosystem(&sandbox, "echo $$$$ > builds; exec sleep 1000");
    let mut applying = sandbox.command(&["apply", "--detach"]);
    run(&mut applying).ok();
    wait_until("the build runs", SOON, || built(&sandbox) == 1);
    sandbox.pm(&["stop", "web"]).ok();
    let builder: u32 = sandbox.read("builds").trim().parse().unwrap();
    wait_until("the build has ended", SOON, || crate::support::start_time(builder).is_none());
    assert_eq!(sandbox.starts_of("web/0"), 0);
}

/// An app whose build waits for `go`, while it is being built.
fn being_built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("src/a", "one");
    sandbox.ecosystem(
        "[[apps]]\nname = \"web\"\nshell = true\ncommand = \"cat dist || exit 3; sleep 1000\"\nwatch = [\"src\"]\n\
         build = \"echo $$$$ >> builds; while ! test -e go; do sleep 0.05; done; echo built > dist\"\nready.log = \"^built\"\n",
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the build runs", SOON, || built(&sandbox) == 1);
    sandbox
}

#[test]
fn whoever_starts_it_meanwhile_waits_for_the_same_build() {
    for command in [&["restart", "web"][..], &["start", "web"], &["apply"], &["scale", "web", "2"], &["reload", "web"]]
    {
        let sandbox = being_built();
        let asking = sandbox.start(command);
        wait_until("it is asked", SOON, || {
            sandbox.events().iter().filter(|event| event.fact == "accepted").count() > 1 || command[0] == "reload"
        });
        assert_eq!(built(&sandbox), 1, "{command:?}");
        sandbox.file("go", "");
        crate::support::finish(asking, &command.join(" ")).ok();
        sandbox.wait_phase("web/0", "running");
        assert_eq!((built(&sandbox), sandbox.starts_of("web/0")), (1, 1), "{command:?}");
    }
}

#[test]
fn who_ends_it_is_told_that() {
    for command in [
        &["stop", "web"][..],
        &["stop", "web", "--hold"],
        &["stop", "all"],
        &["scale", "web", "0"],
        &["delete", "web"],
        &["stop", "web/0"],
    ] {
        let sandbox = being_built();
        let output = sandbox.pm(command).ok().says(&["the build of web was ended"]);
        assert!(!format!("{}{}", output.stdout, output.stderr).contains("nothing to do"), "{command:?}\n{output}");
        let builder: u32 = sandbox.read("builds").trim().parse().unwrap();
        wait_until("the build has ended", SOON, || crate::support::start_time(builder).is_none());
        sandbox.file("go", "");
        sandbox.pm(&["list"]).ok();
        assert_eq!((sandbox.starts_of("web/0"), sandbox.path("dist").exists()), (0, false), "{command:?}");
    }
}

#[test]
fn a_build_that_its_daemon_did_not_live_to_see_begins_again_before_anything_is_started() {
    let sandbox = being_built();
    for builds in 2..4 {
        sandbox.kill_daemon();
        wait_until("it is built again", SOON, || built(&sandbox) == builds);
        sandbox.pm(&["list"]).ok().says(&["waiting"]);
        assert_eq!(sandbox.starts_of("web/0"), 0);
    }
    sandbox.file("go", "");
    sandbox.wait_phase("web/0", "running");
    assert_eq!((sandbox.starts_of("web/0"), built(&sandbox)), (1, 3));
    // What was built is what runs: nothing is left to be done by a later daemon.
    sandbox.kill_daemon();
    kill(sandbox.pid("web/0"), libc::SIGKILL);
    wait_until("it was restarted", SOON, || sandbox.starts_of("web/0") == 2);
    sandbox.wait_phase("web/0", "running");
    assert_eq!(built(&sandbox), 3);
}

#[test]
fn what_was_stopped_while_it_was_built_is_not_built_by_the_next_daemon() {
    let sandbox = being_built();
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.kill_daemon();
    sandbox.file("go", "");
    sandbox.pm(&["list"]).ok().says(&["stopped"]);
    assert_eq!((built(&sandbox), sandbox.starts_of("web/0")), (1, 0));
}
