//! `pm dev`: everything in the foreground, restarted on save, and nothing left after Ctrl-C.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::{SOON, Sandbox, kill, pause_between_faults, wait_until};

const FILE: &str = r#"
[[apps]]
name = "api"
command = "sh -c 'cat server.txt; exec sleep 1000'"
cwd = "app"
watch_delay = "100ms"

[[apps]]
name = "still"
command = "sh -c 'echo still here; exec sleep 1000'"
cwd = "app"
watch = false
"#;

/// A running `pm dev` and all that it has said.
struct Dev {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Dev {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut child = sandbox.command(&[&["dev"], args].concat()).process_group(0).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for mut stream in streams {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            });
        }
        Self { child, said }
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let mut last = String::new();
        wait_until(&format!("`pm dev` says `{words}`"), SOON, || {
            last.clone_from(&self.said.lock().unwrap());
            last.contains(words)
        });
    }

    /// Forgets what was said.
    fn hush(&self) {
        self.said.lock().unwrap().clear();
    }

    fn interrupt(&self) {
        kill(self.child.id(), libc::SIGINT);
    }

    #[track_caller]
    fn ended(mut self) -> (Option<i32>, String) {
        let mut code = None;
        wait_until("`pm dev` ends", SOON, || {
            self.child.try_wait().unwrap().is_some_and(|status| {
                code = status.code();
                true
            })
        });
        (code, self.said.lock().unwrap().clone())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app/server.txt", "hello one\n");
    sandbox.ecosystem(FILE);
    sandbox
}

#[test]
fn a_saved_file_shows_its_effect_and_ctrl_c_leaves_nothing() {
    let sandbox = project();
    let dev = Dev::start(&sandbox, &[]);
    dev.says("api/0   | hello one");
    dev.says("still/0 | still here");
    let still = sandbox.pid("still/0");
    sandbox.file("app/server.txt", "hello two\n");
    dev.says("api/0   | hello two");
    dev.says("server.txt changed");
    assert_eq!(sandbox.pid("still/0"), still, "`watch = false` is respected");
    dev.interrupt();
    let (code, said) = dev.ended();
    assert_eq!(code, Some(0), "{said}");
    wait_until("neither app nor daemon is left", SOON, || sandbox.processes().is_empty());
}

#[test]
fn the_file_is_applied_when_it_is_saved_and_an_error_in_it_changes_nothing() {
    let sandbox = project();
    let dev = Dev::start(&sandbox, &[]);
    dev.says("hello one");
    let (api, still) = (sandbox.pid("api/0"), sandbox.pid("still/0"));
    sandbox.ecosystem(&FILE.replace("command", "comand"));
    dev.says("unknown-key");
    dev.says("nothing was changed");
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("still/0")), (api, still));
    sandbox.ecosystem(&format!(
        "{FILE}\n[[apps]]\nname = \"third\"\ncommand = \"sh -c 'echo third is up; sleep 1000'\"\n"
    ));
    dev.says("third is up");
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("still/0")), (api, still));
    sandbox.ecosystem(FILE);
    wait_until("an app that left the file is gone", SOON, || sandbox.instance("third/0").is_none());
    dev.interrupt();
    dev.ended();
}

/// What is made of a file of PM2 is not what stands in it.
#[test]
fn a_file_of_pm2_is_applied_again_only_when_it_is_saved() {
    let sandbox = Sandbox::new();
    sandbox.file("run.sh", "echo $WORD; exec sleep 1000\n");
    let file = |word: &str| format!(r#"{{"apps":[{{"name":"api","script":"./run.sh","env":{{"WORD":"{word}"}}}}]}}"#);
    sandbox.file("pm2.json", file("first"));
    let dev = Dev::start(&sandbox, &["pm2.json"]);
    dev.says("| first");
    sandbox.file("pm2.json", file("second"));
    dev.says("| second");
    sandbox.file("pm2.json", file("third"));
    dev.says("| third");
    dev.interrupt();
    let (code, said) = dev.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("the file was saved").count(), 2, "{said}");
}

/// Reading takes away what a pipe holds, and a writer that has left does not come back.
#[test]
fn secrets_from_a_pipe_are_read_once_and_hold_until_the_command_ends() {
    let sandbox = Sandbox::new();
    let with_secrets = |word: &str| {
        format!(
            "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo {word} $TOKEN; exec sleep 1000'\"\nenv_file = \"secrets\"\n"
        )
    };
    sandbox.ecosystem(&with_secrets("first"));
    let pipe = sandbox.path("secrets");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = thread::spawn(move || std::fs::write(pipe, "TOKEN=abc\n").unwrap());
    let dev = Dev::start(&sandbox, &[]);
    dev.says("first abc");
    writer.join().unwrap();
    sandbox.ecosystem(&with_secrets("second"));
    dev.says("second abc");
    assert_eq!(sandbox.starts_of("api/0"), 2, "reading the pipe is no change of it");
    dev.interrupt();
    dev.ended();
}

/// Two apps that watch the folder in which the file lies, and print what they are told.
const BESIDE: &str = r#"
[defaults]
watch_delay = "100ms"
[[apps]]
name = "a"
command = "sh -c 'echo a: $X$Y; exec sleep 1000'"
env_file = ["a.env", { path = "conf/y.env", required = false }]
[[apps]]
name = "b"
command = "sh -c 'echo b: $X; exec sleep 1000'"
watch = true
"#;

/// How often an app was started by something else than a mark, and how often by one.
fn starts(sandbox: &Sandbox, app: &str) -> (usize, usize) {
    let document = sandbox.pm(&["events", app, "--limit", "100000", "--json"]).ok().json();
    let is_start = |event: &&serde_json::Value| event["event"] == "started";
    let of_app = document["events"].as_array().unwrap().iter().filter(is_start);
    let (marks, others): (Vec<_>, Vec<_>) = of_app.partition(|event| event["path"] == "mark");
    (others.len(), marks.len())
}

/// Waits until nothing that was saved before can cause anything any more: a mark that is written now has been answered
/// by both apps. Gives how often they were started by something else.
#[track_caller]
fn settled(sandbox: &Sandbox) -> [usize; 2] {
    let marks = || ["a", "b"].map(|app| starts(sandbox, app).1);
    let (before, mut round) = (marks(), 0);
    wait_until("the mark is answered", SOON, || {
        if round % 5 == 0 {
            sandbox.file("mark", format!("{before:?} {round}"));
        }
        round += 1;
        pause_between_faults(Duration::from_millis(300));
        marks().iter().zip(before).all(|(now, before)| *now > before)
    });
    ["a", "b"].map(|app| starts(sandbox, app).0)
}

#[test]
fn saving_the_ecosystem_file_restarts_nothing_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.file("a.env", "X=1\n");
    sandbox.ecosystem(BESIDE);
    let dev = Dev::start(&sandbox, &[]);
    dev.says("| a: 1");
    dev.says("| b:");
    assert_eq!(settled(&sandbox), [1, 1]);
    sandbox.ecosystem(&format!("{BESIDE}oops = ["));
    dev.says("nothing was changed");
    assert_eq!(settled(&sandbox), [1, 1]);
    sandbox.ecosystem(&format!("{BESIDE}env = {{ X = \"new\" }}\n"));
    dev.says("| b: new");
    assert_eq!(settled(&sandbox), [1, 2]);
    dev.interrupt();
    let (_, said) = dev.ended();
    assert!(!said.contains("a later command took over") && !said.contains("ecosystem.toml changed"), "{said}");
}

#[test]
fn a_saved_env_file_is_applied_also_a_new_one_and_after_an_error() {
    let sandbox = Sandbox::new();
    sandbox.file("a.env", "X=1\n");
    sandbox.ecosystem(BESIDE);
    let dev = Dev::start(&sandbox, &[]);
    dev.says("| a: 1");
    assert_eq!(settled(&sandbox), [1, 1]);
    sandbox.file("a.env", "X=2\n");
    dev.says("| a: 2");
    sandbox.file("conf/y.env", "Y=3\n");
    dev.says("| a: 23");
    sandbox.file("a.env", "no equals sign\n");
    dev.says("nothing was changed");
    sandbox.file("a.env", "X=4\n");
    dev.says("| a: 43");
    assert_eq!(settled(&sandbox), [4, 1]);
    dev.interrupt();
    dev.ended();
}

#[test]
fn what_ran_before_is_stopped_and_only_what_is_new_is_deleted() {
    let sandbox = project();
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&format!("{FILE}\n[[apps]]\nname = \"new\"\ncommand = \"sh -c 'echo new is up; sleep 1000'\"\n"));
    let dev = Dev::start(&sandbox, &[]);
    dev.says("new is up");
    dev.interrupt();
    dev.ended();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    assert_eq!(sandbox.instance("new/0"), None);
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn a_second_ctrl_c_returns_at_once() {
    let sandbox = Sandbox::new();
    let stubborn = "sh -c 'trap \\\"\\\" TERM; echo ready; while :; do sleep 0.1; done'";
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"{stubborn}\"\nkill_timeout = \"3s\"\n"));
    let dev = Dev::start(&sandbox, &["--no-watch"]);
    dev.says("| ready");
    dev.interrupt();
    dev.says("stopping all apps");
    wait_until("it is being stopped", SOON, || sandbox.instance("api/0").is_none_or(|api| api.phase == "stopping"));
    dev.interrupt();
    assert_eq!(dev.ended().0, Some(130));
    wait_until("the daemon has finished it and is gone, too", SOON, || sandbox.processes().is_empty());
}

#[test]
fn without_watch_nothing_is_restarted_and_a_killed_daemon_is_survived() {
    let sandbox = project();
    let dev = Dev::start(&sandbox, &["--no-watch"]);
    dev.says("hello one");
    let api = sandbox.pid("api/0");
    sandbox.kill_daemon();
    dev.hush();
    sandbox.file("app/server.txt", "hello two\n");
    sandbox.pm(&["restart", "api"]).ok();
    dev.says("hello two");
    assert_ne!(sandbox.pid("api/0"), api);
    assert_eq!(sandbox.starts_of("api/0"), 2, "the restart by hand was the only one");
    dev.interrupt();
    assert_eq!(dev.ended().0, Some(0));
    assert_eq!(sandbox.app_processes(), []);
}

/// What an app prints while it is stopped is often what one wants to see: a trace, a coverage report.
#[test]
fn the_last_words_of_the_apps_are_shown() {
    for is_declared in [false, true] {
        let sandbox = Sandbox::new();
        let script =
            "trap 'for n in 1 2 3 4 5 6 7 8; do echo bye $n; done; exit 0' TERM; echo up; while :; do sleep 0.1; done";
        sandbox.file("app/talk.sh", script);
        sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh talk.sh\"\ncwd = \"app\"\n");
        if is_declared {
            sandbox.pm(&["apply"]).ok();
            wait_until("it is up", SOON, || String::from_utf8_lossy(&sandbox.log_text("api", "out", 0)).contains("up"));
            // Nothing that it prints before is shown, so there is nothing else to wait for.
        }
        let dev = Dev::start(&sandbox, &[]);
        if is_declared {
            dev.says("dev: 1 done");
        } else {
            dev.says("| up");
        }
        dev.interrupt();
        let (code, said) = dev.ended();
        assert_eq!(code, Some(0), "{said}");
        let words: Vec<&str> = said.lines().filter(|line| line.contains("| bye")).collect();
        let expected: Vec<String> = (1..=8).map(|number| format!("api/0 | bye {number}")).collect();
        assert_eq!(words, expected, "{said}");
        assert!(said.ends_with("dev: everything is cleaned up\n"), "{said}");
    }
}

#[test]
fn a_file_that_is_removed_is_told_once_and_one_that_is_replaced_is_not() {
    let sandbox = Sandbox::new();
    sandbox.file("app/server.txt", "one\n");
    let file = sandbox.ecosystem(FILE);
    let dev = Dev::start(&sandbox, &[]);
    dev.says("one");
    dev.hush();
    // As editors do it.
    std::fs::remove_file(&file).unwrap();
    sandbox.ecosystem(&FILE.replace("still here", "replaced"));
    dev.says("replaced");
    assert!(!dev.said.lock().unwrap().contains("gone"));
    std::fs::remove_file(&file).unwrap();
    dev.says("ecosystem.toml is gone; the apps go on as it declared them");
    sandbox.ecosystem(&FILE.replace("still here", "again"));
    dev.says("again");
    assert_eq!(dev.said.lock().unwrap().matches("is gone").count(), 1);
    dev.interrupt();
    assert_eq!(dev.ended().0, Some(0));
}
