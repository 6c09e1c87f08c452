//! The exit codes that scripts rely on. Codes of refused plans and broken files have files of their own.

use crate::support::Sandbox;

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

#[test]
fn a_wrong_call_is_64() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["aply"]).code(64).says(&["apply"]);
    sandbox.pm(&["apply", "--no-such-flag"]).code(64);
    sandbox.pm(&["scale", "api"]).code(64);
    sandbox.ecosystem(FILE);
    sandbox.pm(&["apply", "--only", "api", "--yes", "--no-prune", "--wait", "--detach"]).code(64);
}

#[test]
fn files_of_two_projects_are_a_wrong_call() {
    let sandbox = Sandbox::new();
    sandbox.file("a.toml", format!("project = \"a\"\n{FILE}"));
    sandbox.file("b.toml", "project = \"b\"\n[[apps]]\nname = \"x\"\ncommand = \"sleep 1000\"\n");
    for verb in ["apply", "check", "plan"] {
        sandbox.pm(&[verb, "a.toml", "b.toml"]).code(64).says(&["several-projects"]);
    }
}

#[test]
fn help_and_version_are_0_and_go_to_standard_output() {
    let sandbox = Sandbox::new();
    for args in [&["--help"][..], &["apply", "--help"], &["--version"]] {
        let output = sandbox.pm(args).ok();
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{output}");
    }
    assert_eq!(sandbox.processes(), [], "help needs no daemon");
}

#[test]
fn an_app_that_dies_at_once_is_6() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo no database >&2; exit 3'\"\nrestart = \"never\"\n",
    );
    sandbox.pm(&["apply"]).code(6).says(&["api", "exit code 3", "no database"]);
}

#[test]
fn a_task_well_done_is_0() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"once\"\ncommand = \"true\"\nrestart = \"on-failure\"\n");
    sandbox.pm(&["apply"]).ok();
    sandbox.wait_phase("once/0", "done");
}

#[test]
fn one_failure_among_others_is_said_and_the_others_run() {
    let sandbox = Sandbox::new();
    sandbox
        .ecosystem(&format!("{FILE}[[apps]]\nname = \"broken\"\ncommand = \"sh -c 'exit 3'\"\nrestart = \"never\"\n"));
    sandbox.pm(&["apply"]).code(6).says(&["broken"]);
    sandbox.pid("api/0");
}

#[test]
fn another_file_set_of_the_same_project_is_8() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.file("other.toml", "project = \"shop\"\n[[apps]]\nname = \"other\"\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["apply", "other.toml"]).code(8).says(&["--replace-files", "api"]);
    sandbox.pm(&["apply", "other.toml", "--replace-files", "--yes"]).ok();
}

#[test]
fn a_defaulted_name_from_another_folder_is_5() {
    let sandbox = Sandbox::new();
    for folder in ["one/app", "two/app"] {
        sandbox.file(&format!("{folder}/ecosystem.toml"), FILE);
    }
    sandbox.pm(&["apply", "one/app/ecosystem.toml"]).ok();
    sandbox.pm(&["apply", "two/app/ecosystem.toml"]).code(5).says(&["one/app", "two/app"]);
}

#[test]
fn an_unknown_app_is_an_error_with_a_suggestion() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["stop", "apii"]).code(1).says(&["apii", "api"]);
}

#[test]
fn what_a_later_command_takes_over_is_3() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nready = { exec = \"test -e go\", timeout = \"60s\" }\n",
    );
    let applying = sandbox.start(&["apply"]);
    sandbox.wait_pid("api/0");
    sandbox.pm(&["stop", "api"]).ok();
    crate::support::finish(applying, "apply").code(3).says(&["1 taken over by a later command"]);
}

#[test]
fn a_timeout_is_7_and_the_work_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(FILE);
    sandbox.pm(&["apply", "--timeout", "1ms"]).code(7);
    sandbox.pid("api/0");
}

#[test]
fn a_failure_is_the_same_as_data_and_in_words() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["exec", "api/7", "--", "true"]).code(64).says(&["`api` has no slot 7"]);
    for (args, code) in [
        (&["cron", "next", "api"][..], 1),
        (&["rollout", "pause", "apii"], 1),
        (&["rollout", "pause"], 64),
        (&["apply", "--no-such-flag"], 64),
        (&["reload", "api/7"], 64),
        (&["env", "api/7"], 64),
        (&["list", "api/7"], 64),
        (&["describe", "api/7"], 64),
        (&["why", "api/7"], 64),
        (&["logs", "api/7"], 64),
    ] {
        sandbox.pm(args).code(code);
        let told = sandbox.pm(&[args, &["--json"]].concat()).code(code).json();
        assert_eq!(told["exit_code"], code, "{args:?}: {told}");
        assert!(told["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{args:?}: {told}");
    }
}
