//! New processes take the place of old ones: the new one first where it can be, and back if it is no good.

use std::time::Duration;

use crate::support::{SOON, Sandbox, kill, kill_both_now, wait_for, wait_until};

/// An app that runs for as long as `VERSION` is not `bad`; `extra` stands inside the app's table.
fn app(version: &str, instances: u32, extra: &str) -> String {
    format!(
        "[[apps]]\nname = \"api\"\nshell = true\ncommand = '''[ \"$VERSION\" != bad ] || [ \"$PM_INSTANCE\" = 0 ] || exit 3; exec sleep 1000'''\n\
         instances = {instances}\nenv = {{ VERSION = \"{version}\" }}\n{extra}\n"
    )
}

const OVERLAP: &str = "update = { strategy = \"rolling\", min_healthy_time = \"0s\" }";
const GAP: &str = "update = { min_healthy_time = \"400ms\" }";

fn versions(sandbox: &Sandbox) -> Vec<String> {
    let environ = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
    let version = |text: &str| text.split('\0').find_map(|line| line.strip_prefix("VERSION=").map(str::to_owned));
    let mut versions: Vec<_> = sandbox.list().iter().filter_map(|row| version(&environ(row.pid?))).collect();
    versions.sort();
    versions
}

#[test]
fn the_new_process_runs_before_the_old_one_is_asked_to_end() {
    let sandbox = Sandbox::applied(&app("1", 2, OVERLAP));
    let before = sandbox.list();
    sandbox.ecosystem(&app("2", 2, OVERLAP));
    sandbox.pm(&["plan"]).ok().says(&["roll 2, 1 at a time, new before old"]);
    let applying = sandbox.start(&["apply"]);
    let most = wait_for("a successor beside its slot", SOON, || {
        let rows = sandbox.list();
        rows.iter().any(|row| row.id.ends_with('+')).then_some(rows.len())
    });
    assert_eq!(most, 3, "one more than declared, never two");
    crate::support::finish(applying, "pm apply").ok();
    let after = sandbox.list();
    let ids = |rows: &[crate::support::InstanceView]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before), "the slots keep their names");
    assert!(after.iter().all(|row| before.iter().all(|old| old.pid != row.pid)), "{after:?}");
    assert_eq!(versions(&sandbox), ["2", "2"]);
    assert_eq!(sandbox.app_processes().len(), 2);
    // What took over is an instance like any other: stopped, started and found by the next daemon.
    sandbox.kill_daemon();
    assert_eq!(sandbox.list(), after);
    sandbox.pm(&["stop", "api"]).ok();
    assert!(sandbox.app_processes().is_empty());
}

#[test]
fn a_new_revision_that_fails_beside_the_old_one_changes_nothing() {
    let sandbox = Sandbox::applied(&app("1", 1, OVERLAP));
    let before = sandbox.list();
    let broken = app("bad", 1, OVERLAP).replace("[ \"$PM_INSTANCE\" = 0 ]", "false");
    sandbox.ecosystem(&broken);
    sandbox.pm(&["apply"]).code(6).says(&["exit code 3"]);
    assert_eq!(sandbox.list(), before, "same process, nothing left over");
    assert_eq!(sandbox.app_processes().len(), 1);
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
    // Its restart policy does not try it a second time.
    assert_eq!(sandbox.starts_of("api/0"), 2, "one good process and one try of the new revision");
}

/// A number names one process for ever: in events, in the row, in what a process says of itself.
#[test]
fn a_failed_successors_number_is_not_given_again_whoever_dies() {
    let deaths: [fn(&Sandbox); 2] = [Sandbox::kill_daemon, kill_both_now];
    for dies in deaths {
        let sandbox = Sandbox::applied(&app("1", 1, OVERLAP));
        let broken = app("bad", 1, OVERLAP).replace("[ \"$PM_INSTANCE\" = 0 ]", "false");
        sandbox.ecosystem(&broken);
        sandbox.pm(&["apply"]).code(6);
        dies(&sandbox);
        let pid = sandbox.pid("api/0");
        kill(pid, libc::SIGKILL);
        wait_until("it runs again", SOON, || {
            sandbox.instance("api/0").is_some_and(|api| api.phase == "running" && api.pid != Some(pid))
        });
        let started = sandbox.events_of("api").into_iter().filter(|event| event.fact == "started");
        let numbers: Vec<_> = started.filter_map(|event| event.incarnation).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}

#[test]
fn slots_that_were_replaced_already_go_back_too() {
    let sandbox = Sandbox::applied(&app("good", 3, GAP));
    sandbox.ecosystem(&app("bad", 3, GAP));
    sandbox.pm(&["apply"]).code(6).says(&["api/1", "exit code 3", "rolled back to the old version"]);
    wait_until("all run the old revision", SOON, || versions(&sandbox) == ["good", "good", "good"]);
    assert!(sandbox.list().iter().all(|row| row.phase == "running"), "{:?}", sandbox.list());
    // Nothing automatic tries it again; a person may.
    sandbox.kill_daemon();
    assert_eq!(versions(&sandbox), ["good", "good", "good"]);
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
    sandbox.ecosystem(&app("better", 3, GAP));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(versions(&sandbox), ["better", "better", "better"]);
}

#[test]
fn a_roll_goes_on_where_the_dead_daemon_was() {
    let sandbox = Sandbox::applied(&app("1", 3, "update = { strategy = \"rolling\", min_healthy_time = \"500ms\" }"));
    sandbox.ecosystem(&app("2", 3, "update = { strategy = \"rolling\", min_healthy_time = \"500ms\" }"));
    sandbox.pm(&["apply", "--detach"]).ok();
    for _ in 0..3 {
        wait_until("a successor runs", SOON, || sandbox.list().iter().any(|row| row.id.ends_with('+')));
        sandbox.kill_daemon();
        assert!(sandbox.app_processes().len() <= 4, "never more than one above what is declared");
    }
    wait_until("all are replaced", Duration::from_mins(1), || {
        versions(&sandbox) == ["2", "2", "2"] && sandbox.app_processes().len() == 3
    });
    assert!(sandbox.list().iter().all(|row| !row.id.ends_with('+')));
}

#[test]
fn what_fails_under_the_next_daemon_goes_back_too() {
    let slow = "update = { min_healthy_time = \"1s\" }";
    let sandbox = Sandbox::applied(&app("good", 3, slow));
    sandbox.ecosystem(&app("bad", 3, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the first slot is replaced", SOON, || versions(&sandbox) == ["bad", "good", "good"]);
    sandbox.kill_daemon();
    wait_until("the second slot fails", SOON, || {
        sandbox.events_of("api").iter().any(|event| event.fact == "exited" && event.about.ends_with("/1"))
    });
    wait_until("all run the old revision", SOON, || versions(&sandbox) == ["good", "good", "good"]);
    sandbox.kill_daemon();
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
    assert_eq!(versions(&sandbox), ["good", "good", "good"], "nothing tries it again");
}

#[test]
fn a_replaced_process_is_judged_by_the_next_daemon() {
    let extra = "ready = { exec = '[ \"$VERSION\" != mute ]', timeout = \"2s\" }\nrestart = \"never\"\nupdate = { min_healthy_time = \"0s\" }";
    let sandbox = Sandbox::applied(&app("good", 1, extra));
    sandbox.ecosystem(&app("mute", 1, extra));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the new process waits to be ready", SOON, || versions(&sandbox) == ["mute"]);
    sandbox.kill_daemon();
    assert_eq!(versions(&sandbox), ["mute"]);
    wait_until("the old revision runs again", SOON, || versions(&sandbox) == ["good"]);
    // One that is good after all is good: nothing is left to go back to.
    sandbox.ecosystem(&app("loud", 1, extra));
    sandbox.pm(&["apply"]).ok();
    sandbox.kill_daemon();
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    assert_eq!(versions(&sandbox), ["loud"]);
}

#[test]
fn an_update_after_one_that_never_came_to_an_end_goes_back_to_the_last_good_revision() {
    let slow = "update = { min_healthy_time = \"60s\" }";
    let sandbox = Sandbox::applied(&app("good", 2, slow));
    sandbox.ecosystem(&app("untried", 2, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the first slot is replaced", SOON, || versions(&sandbox) == ["good", "untried"]);
    sandbox.ecosystem(&app("bad", 2, GAP));
    sandbox.pm(&["apply"]).code(6).says(&["rolled back to the old version"]);
    assert_eq!(versions(&sandbox), ["good", "good"]);
}

#[test]
fn a_pause_outlives_the_daemon() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"300ms\" }";
    let sandbox = Sandbox::applied(&app("1", 3, slow));
    sandbox.ecosystem(&app("2", 3, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it has begun", SOON, || sandbox.list().len() == 4);
    sandbox.pm(&["rollout", "pause", "api"]).ok().says(&["paused"]);
    wait_until("the slot is finished", SOON, || sandbox.list().len() == 3);
    sandbox.kill_daemon();
    wait_until("it is paused again", SOON, || sandbox.pm(&["rollout", "status"]).ok().stdout.contains("paused"));
    assert_eq!(versions(&sandbox), ["1", "1", "2"]);
    sandbox.pm(&["rollout", "resume", "api"]).ok();
    wait_until("all are replaced", SOON, || versions(&sandbox) == ["2", "2", "2"]);
    wait_until("it is over", SOON, || !sandbox.pm(&["rollout", "status"]).ok().stdout.contains("api"));
    sandbox.kill_daemon();
    assert!(!sandbox.pm(&["rollout", "status"]).ok().stdout.contains("api"));
}

#[test]
fn another_release_behind_a_link_is_another_program() {
    let sandbox = Sandbox::new();
    for release in ["1", "2"] {
        let text = format!("#!/bin/sh\nexport VERSION={release}\nexec sleep 1000\n");
        let file = sandbox.file(&format!("releases/{release}/run.sh"), text);
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let point_to = |release: &str| {
        let _ = std::fs::remove_file(sandbox.path("current"));
        std::os::unix::fs::symlink(sandbox.path(&format!("releases/{release}")), sandbox.path("current")).unwrap();
    };
    point_to("1");
    sandbox.ecosystem(
        "[defaults]\nupdate = { min_healthy_time = \"0s\" }\n\
         [[apps]]\nname = \"a\"\nscript = \"current/run.sh\"\n\
         [[apps]]\nname = \"b\"\ncommand = \"current/run.sh\"\n\
         [[apps]]\nname = \"c\"\ncommand = \"./run.sh\"\ncwd = \"current\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    assert_eq!(versions(&sandbox), ["1", "1", "1"]);
    point_to("2");
    // A crash brings back the release that was applied, not what the link says by now.
    let crashed = sandbox.list();
    for row in &crashed {
        kill(row.pid.unwrap(), libc::SIGKILL);
    }
    wait_until("all run again", SOON, || {
        versions(&sandbox) == ["1", "1", "1"]
            && sandbox.list().iter().zip(&crashed).all(|(new, old)| new.pid != old.pid)
    });
    sandbox.pm(&["plan"]).ok().says(&["roll 1"]);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(versions(&sandbox), ["2", "2", "2"]);
}

#[test]
fn a_stop_while_it_goes_back_is_a_stop() {
    let extra =
        "ready = { log = \"^up$\", timeout = \"20s\" }\nrestart = \"never\"\nupdate = { min_healthy_time = \"0s\" }";
    let command = "[ \"$VERSION\" != bad ] || [ \"$PM_INSTANCE\" != 2 ] || exit 3; [ \"$VERSION\" = bad ] || [ -e first ] && sleep 1; echo up; exec sleep 1000";
    let file = |version: &str| {
        app(version, 3, extra)
            .replace("[ \"$VERSION\" != bad ] || [ \"$PM_INSTANCE\" = 0 ] || exit 3; exec sleep 1000", command)
    };
    let sandbox = Sandbox::applied(&file("good"));
    sandbox.file("first", "over");
    sandbox.ecosystem(&file("bad"));
    sandbox.pm(&["apply", "--detach"]).ok();
    let is_going_back = || sandbox.pm(&["events", "api"]).ok().stdout.contains("the newer revision failed");
    wait_until("it goes back", SOON, is_going_back);
    sandbox.pm(&["stop", "api"]).ok();
    assert!(sandbox.app_processes().is_empty(), "{:?}", sandbox.app_processes());
    crate::support::pause_between_faults(Duration::from_millis(1500));
    assert!(sandbox.app_processes().is_empty(), "a person has stopped it: {:?}", sandbox.app_processes());
}

#[test]
fn a_later_command_is_not_held_up_by_a_pause() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"200ms\" }";
    let sandbox = Sandbox::applied(&app("1", 2, slow));
    for (version, command) in [("2", "apply"), ("4", "abort"), ("6", "stop")] {
        sandbox.ecosystem(&app(version, 2, slow));
        sandbox.pm(&["apply", "--detach"]).ok();
        wait_until("it has begun", SOON, || sandbox.list().len() == 3);
        sandbox.pm(&["rollout", "pause", "api"]).ok();
        wait_until("the slot is finished", SOON, || sandbox.list().len() == 2);
        match command {
            "apply" => {
                sandbox.ecosystem(&app("3", 2, slow));
                sandbox.pm(&["apply", "--timeout", "20s"]).ok();
                assert_eq!(versions(&sandbox), ["3", "3"]);
            }
            "stop" => {
                sandbox.pm(&["stop", "api", "--timeout", "20s"]).ok();
                sandbox.pm(&["start", "api", "--timeout", "20s"]).ok();
                assert_eq!(versions(&sandbox), ["6", "6"]);
            }
            _ => {
                sandbox.pm(&["rollout", "abort", "api"]).ok();
                wait_until("it is back", SOON, || versions(&sandbox) == ["3", "3"]);
            }
        }
        wait_until("it is over", SOON, || !sandbox.pm(&["rollout", "status"]).ok().stdout.contains("api"));
    }
}

#[test]
fn an_abort_that_was_accepted_outlives_the_daemon() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"3s\" }";
    let sandbox = Sandbox::applied(&app("1", 2, slow));
    sandbox.ecosystem(&app("2", 2, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("one is replaced, and the next begun", SOON, || versions(&sandbox) == ["1", "2", "2"]);
    sandbox.pm(&["rollout", "abort", "api"]).ok();
    sandbox.kill_daemon();
    wait_until("it is back", SOON, || versions(&sandbox) == ["1", "1"]);
    sandbox.kill_daemon();
    assert_eq!(versions(&sandbox), ["1", "1"]);
}

#[test]
fn what_was_good_in_an_update_is_good_while_others_go_on() {
    let two = |first: &str, second: &str| {
        let quick = app(first, 1, GAP);
        format!("{quick}{}", app(second, 1, "update = { min_healthy_time = \"60s\" }").replace("\"api\"", "\"slow\""))
    };
    let sandbox = Sandbox::applied(&two("1", "1"));
    sandbox.ecosystem(&two("2", "2"));
    sandbox.pm(&["apply", "--detach"]).ok();
    let is_good =
        || sandbox.pm(&["rollout", "status"]).ok().stdout.lines().filter(|line| line.contains("api")).count() == 0;
    wait_until("the first app is replaced", SOON, || versions(&sandbox) == ["2", "2"] && is_good());
    sandbox.ecosystem(&two("bad", "2").replace("[ \"$PM_INSTANCE\" = 0 ]", "false"));
    sandbox.pm(&["apply", "--only", "api"]).code(6).says(&["rolled back to the old version"]);
    assert_eq!(versions(&sandbox), ["2", "2"], "not the one before");
}

#[test]
fn another_name_and_another_revision_at_once() {
    let sandbox = Sandbox::applied(&app("1", 1, GAP));
    let renamed = app("2", 1, GAP).replace("name = \"api\"", "name = \"web\"\nmoved_from = [\"api\"]");
    sandbox.ecosystem(&renamed);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(versions(&sandbox), ["2"]);
    assert_eq!(sandbox.list()[0].id, "web/0");
}

/// The same app by another name, with another revision.
fn renamed(version: &str, instances: u32, extra: &str) -> String {
    app(version, instances, extra).replace("name = \"api\"", "name = \"web\"\nmoved_from = [\"api\"]")
}

#[test]
fn another_name_and_another_revision_that_fails_goes_back_under_its_new_name() {
    for extra in [OVERLAP, GAP] {
        let sandbox = Sandbox::applied(&app("good", 2, extra));
        sandbox.ecosystem(&renamed("bad", 2, extra));
        sandbox.pm(&["apply"]).code(6).says(&["exit code 3", "rolled back to the old version"]);
        assert_eq!(versions(&sandbox), ["good", "good"]);
        sandbox.pm(&["env", "web/1"]).ok().says(&["VERSION=good"]);
        sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
        let first = sandbox.pid("web/1");
        kill(first, libc::SIGKILL);
        wait_until("it is started again", SOON, || sandbox.instance("web/1").is_some_and(|web| web.pid != Some(first)));
        sandbox.pid("web/1");
        assert_eq!(versions(&sandbox), ["good", "good"], "as it was");
    }
}

#[test]
fn another_name_and_another_revision_outlive_the_daemon() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"500ms\" }";
    let sandbox = Sandbox::applied(&app("1", 2, slow));
    sandbox.ecosystem(&renamed("2", 2, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("a successor runs", SOON, || sandbox.list().iter().any(|row| row.id == "web/0+" && row.pid.is_some()));
    sandbox.kill_daemon();
    wait_until("both are of the new revision", SOON, || versions(&sandbox) == ["2", "2"]);
    wait_until("the update is over", SOON, || {
        sandbox.pm(&["rollout", "status"]).ok().stderr.contains("no rollout is in progress")
    });
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn an_update_that_goes_back_leaves_as_many_copies_as_there_were() {
    for (before, after) in [(3, 4), (3, 2)] {
        let sandbox = Sandbox::applied(&app("good", before, OVERLAP));
        sandbox.ecosystem(&app("bad", after, OVERLAP));
        sandbox.pm(&["apply"]).code(6).says(&["rolled back to the old version"]);
        assert_eq!(versions(&sandbox), ["good", "good", "good"], "{before} to {after}");
        let rows = sandbox.list();
        assert!(rows.len() == 3 && rows.iter().all(|row| row.phase == "running"), "{rows:?}");
    }
}

#[test]
fn a_service_that_becomes_a_task_is_run_as_one() {
    let file = |kind: &str| {
        format!(
            "[[apps]]\nname = \"api\"\ncommand = \"sh run.sh\"\nkind = \"{kind}\"\nupdate = {{ min_healthy_time = \"0s\" }}\n"
        )
    };
    let sandbox = Sandbox::new();
    sandbox.file("run.sh", "[ -e once ] || { touch once; exec sleep 1000; }; echo done");
    sandbox.ecosystem(&file("service"));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&file("task"));
    sandbox.pm(&["apply"]).ok();
    wait_until("the task has run", SOON, || sandbox.app_processes().is_empty());
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn a_later_command_takes_a_roll_over_and_leaves_no_successor() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"60s\" }";
    let sandbox = Sandbox::applied(&app("1", 1, slow));
    sandbox.ecosystem(&app("2", 1, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("a successor runs", SOON, || sandbox.list().iter().any(|row| row.id.ends_with('+')));
    sandbox.pm(&["stop", "api"]).ok();
    assert!(sandbox.app_processes().is_empty(), "{:?}", sandbox.app_processes());
    assert_eq!(sandbox.list().len(), 1);
}

#[test]
fn a_reload_replaces_what_runs_and_starts_nothing_that_was_stopped() {
    let sandbox = Sandbox::applied(&app("1", 2, OVERLAP));
    let before = sandbox.list();
    sandbox.pm(&["reload", "api"]).ok();
    let after = sandbox.list();
    assert!(after.iter().zip(&before).all(|(new, old)| new.pid != old.pid && new.id == old.id), "{after:?}");
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["reload", "api"]).ok();
    assert!(sandbox.app_processes().is_empty());
}

#[test]
fn a_roll_can_be_held_up_and_called_off() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"300ms\" }";
    let sandbox = Sandbox::applied(&app("1", 3, slow));
    sandbox.pm(&["rollout", "pause", "api"]).code(1).says(&["none of these apps is being rolled out"]);
    sandbox.ecosystem(&app("2", 3, slow));
    let applying = sandbox.start(&["apply"]);
    wait_until("it has begun", SOON, || sandbox.pm(&["rollout", "status"]).ok().stdout.contains("rolling"));
    sandbox.pm(&["rollout", "pause", "api"]).ok().says(&["paused"]);
    // The slot that is under way is finished; then nothing goes on.
    wait_until("no successor is left", SOON, || sandbox.list().len() == 3);
    assert!(versions(&sandbox).contains(&"1".to_owned()));
    sandbox.pm(&["rollout", "resume", "api"]).ok();
    wait_until("it goes on", SOON, || sandbox.list().len() == 4);
    sandbox.pm(&["rollout", "abort", "api"]).ok();
    crate::support::finish(applying, "pm apply").code(6).says(&["aborted"]);
    assert_eq!(versions(&sandbox), ["1", "1", "1"]);
}

#[test]
fn an_apply_beside_a_roll_of_the_same_revision_replaces_nothing_twice() {
    for strategy in ["rolling", "restart"] {
        let slow = format!("update = {{ strategy = \"{strategy}\", min_healthy_time = \"400ms\" }}");
        let sandbox = Sandbox::applied(&app("1", 2, &slow));
        sandbox.ecosystem(&app("2", 2, &slow));
        let applying: Vec<_> = (0..3).map(|_| sandbox.start(&["apply"])).collect();
        for apply in applying {
            crate::support::finish(apply, "pm apply").ok();
        }
        assert_eq!(versions(&sandbox), ["2", "2"]);
        for slot in ["api/0", "api/1"] {
            assert_eq!(sandbox.starts_of(slot), 2, "{strategy}: one process of each revision");
        }
        assert_eq!(sandbox.app_processes().len(), 2);
    }
}

#[test]
fn a_daemon_that_dies_when_the_old_process_is_gone_leaves_the_new_one_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&app("1", 1, OVERLAP));
    crate::support::run(sandbox.command(&["apply"]).env("PM_KILLPOINT", "roll.vacated:1")).ok();
    let before = sandbox.daemon_pid();
    sandbox.ecosystem(&app("2", 1, OVERLAP));
    sandbox.pm(&["apply"]);
    wait_until("the daemon has died", SOON, || sandbox.daemon_pid() != before);
    wait_until("the slot has its name", SOON, || sandbox.instance("api/0").is_some_and(|row| row.phase == "running"));
    assert_eq!(versions(&sandbox), ["2"]);
    assert_eq!((sandbox.list().len(), sandbox.app_processes().len()), (1, 1));
    assert_eq!(sandbox.starts_of("api/0"), 2, "the new process was good, and is kept");
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn a_later_revision_is_never_confused_with_the_one_that_is_under_way() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"700ms\" }";
    let sandbox = Sandbox::applied(&app("1", 2, slow));
    sandbox.ecosystem(&app("2", 2, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("a successor runs", SOON, || sandbox.list().iter().any(|row| row.id.ends_with('+')));
    sandbox.ecosystem(&app("3", 2, slow));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(versions(&sandbox), ["3", "3"]);
    assert_eq!(sandbox.app_processes().len(), 2);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn an_apply_that_joins_a_rollout_says_how_long_that_took() {
    let slow = "update = { strategy = \"rolling\", min_healthy_time = \"1s\" }";
    let sandbox = Sandbox::applied(&app("1", 2, slow));
    sandbox.ecosystem(&app("2", 2, slow));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it has begun", SOON, || sandbox.list().iter().any(|row| row.id.ends_with('+')));
    let joined = sandbox.pm(&["apply"]).ok();
    let line = joined.to_string().lines().find(|line| line.contains("ok") && line.contains("api")).map(str::to_owned);
    let line = line.unwrap_or_else(|| panic!("{joined}"));
    assert!(line.ends_with('s') && !line.ends_with("ms"), "it took more than a second: {line}");
}
