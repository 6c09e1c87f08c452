//! PM2's commands for processes that go on, its settings, scripts in the foreground, JavaScript on standard input.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Output, Sandbox, kill, node, run, wait_until};

const LONG: Duration = Duration::from_secs(20);
const APP: &str = "trap 'echo got usr2' USR2\necho started\nwhile :; do sleep 0.05; done\n";

fn pm2(sandbox: &Sandbox, line: &str) -> Output {
    let words: Vec<&str> = std::iter::once("pm2").chain(line.split(' ').filter(|word| !word.is_empty())).collect();
    sandbox.pm(&words)
}

fn app(sandbox: &Sandbox, name: &str) -> Value {
    let all = pm2(sandbox, "jlist").ok().json();
    all.as_array().unwrap().iter().find(|app| app["name"] == name).cloned().unwrap_or_else(|| panic!("no {name}"))
}

fn printed(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join("logs/_/app-out-0.log")).unwrap_or_default()
}

fn started() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", APP);
    pm2(&sandbox, "start app.sh").ok();
    wait_until("the first line", LONG, || printed(&sandbox).contains("started"));
    sandbox
}

#[test]
fn a_signal_reaches_the_process_and_a_wrong_one_nobody() {
    let sandbox = started();
    let before = app(&sandbox, "app")["pid"].clone();
    pm2(&sandbox, "sendSignal SIGUSR2 app").ok().says(&["[PM2] SIGUSR2 sent to app (process "]);
    wait_until("the signal", LONG, || printed(&sandbox).contains("got usr2"));
    for (line, says) in [
        ("sendSignal SIGNOPE app", "SIGNOPE"),
        ("sendSignal SIGUSR2 nope", "no app, namespace or id `nope`"),
        ("sendSignal SIGUSR2", "write `sendSignal SIGNAL APP`"),
    ] {
        let output = pm2(&sandbox, line).code(1);
        assert!(output.stdout.is_empty() && output.stderr.contains(says), "{line}: {output}");
    }
    assert_eq!(app(&sandbox, "app")["pid"], before);
    pm2(&sandbox, "stop app").ok();
    pm2(&sandbox, "sendSignal SIGUSR2 app").code(1).says(&["it does not run"]);
}

#[test]
fn restarts_are_counted_from_a_reset_on() {
    let sandbox = started();
    pm2(&sandbox, "restart app").ok();
    pm2(&sandbox, "restart app").ok();
    let before = app(&sandbox, "app");
    assert_eq!(before["pm2_env"]["restart_time"], 2);
    pm2(&sandbox, "reset app").ok().says(&["restarts of app (0) are counted from now on"]);
    let after = app(&sandbox, "app");
    assert_eq!(after["pm2_env"]["restart_time"], 0);
    assert_eq!(after["pid"], before["pid"], "nothing is restarted");
    assert!(after["pm2_env"]["created_at"].as_u64() > before["pm2_env"]["created_at"].as_u64(), "{after}");
    pm2(&sandbox, "restart 0").ok();
    assert_eq!(app(&sandbox, "app")["pm2_env"]["restart_time"], 1);
    pm2(&sandbox, "reset nope").code(1);
    pm2(&sandbox, "delete app").ok();
    pm2(&sandbox, "start app.sh").ok();
    assert_eq!(app(&sandbox, "app")["pm2_env"]["restart_time"], 0);
}

#[test]
fn flush_empties_the_log_and_the_app_goes_on_writing_to_it() {
    let sandbox = started();
    let path = sandbox.home().join("logs/_/app-out-0.log");
    pm2(&sandbox, "flush app").ok().says(&["emptied ", "app-out-0.log (8 bytes)"]);
    assert_eq!(fs::read(&path).unwrap(), b"");
    pm2(&sandbox, "sendSignal SIGUSR2 app").ok();
    wait_until("the next line", LONG, || printed(&sandbox) == "got usr2\n");
    assert_eq!(pm2(&sandbox, "logs app --nostream --raw").ok().stdout, "got usr2\n");
    pm2(&sandbox, "flush").ok();
    pm2(&sandbox, "start app.sh -n named --time -o named.out").ok();
    pm2(&sandbox, "describe named").ok().says(&["named.out"]);
    pm2(&sandbox, "flush named").ok().says(&["named.out ("]);
    pm2(&sandbox, "flush nope").code(1);
    // What is not the app's own file is left alone.
    let kept = sandbox.file("kept", "keep\n");
    fs::remove_file(&path).unwrap();
    symlink(&kept, &path).unwrap();
    pm2(&sandbox, "flush app").code(1).says(&["not emptied"]);
    assert_eq!(fs::read(kept).unwrap(), b"keep\n");
}

#[test]
fn settings_are_kept_and_say_that_nothing_reads_them() {
    let sandbox = started();
    pm2(&sandbox, "get region").code(1).says(&["there is no setting `region`"]);
    pm2(&sandbox, "set region eu").ok().says(&["region: it has no effect on apps"]);
    pm2(&sandbox, "set pm2-logrotate:max_size 10M").ok().says(&["log files rotate by themselves"]);
    assert_eq!(pm2(&sandbox, "get region").ok().stdout, "eu\n");
    assert_eq!(pm2(&sandbox, "conf pm2-logrotate.max_size").ok().stdout, "10M\n");
    run(&mut sandbox.command(&["pm2", "multiset", "a 1 b 2"])).ok();
    assert_eq!(pm2(&sandbox, "get").ok().stdout, "a 1\nb 2\npm2-logrotate:max_size 10M\nregion eu\n");
    pm2(&sandbox, "unset a").ok();
    pm2(&sandbox, "unset a").code(1);
    pm2(&sandbox, "unset all").ok();
    assert_eq!(pm2(&sandbox, "conf").ok().stdout, "");
    for (line, says) in [
        ("set app:PORT 80", "variables of an app are declared"),
        ("set a", "write `set KEY VALUE`"),
        ("multiset a", "write `multiset"),
    ] {
        pm2(&sandbox, line).code(1).says(&[says]);
    }
    pm2(&sandbox, "report").ok().says(&["│ app "]);
    pm2(&sandbox, "monit").code(1).says(&["needs a terminal"]);
}

#[test]
fn javascript_on_standard_input_is_evaluated_and_nothing_of_it_is_left() {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", APP);
    let with_input = |line: &str, text: &str| {
        let file = sandbox.file("in", text);
        let words: Vec<&str> = std::iter::once("pm2").chain(line.split(' ')).collect();
        let mut command = sandbox.command(&words);
        if let Some(folder) = node(20).program.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
        }
        run(command.stdin(Stdio::from(fs::File::open(file).unwrap())))
    };
    let text = "{ apps: [{ name: 'js' + (1 + 1), script: './app.sh', vizion: true, }] } // for PM2";
    with_input("start -", text).ok().says(&["[PM2][WARN] js2.vizion: ignored"]);
    assert_eq!(app(&sandbox, "js2")["pm2_env"]["status"], "online");
    with_input("stop -", text).ok();
    assert_eq!(app(&sandbox, "js2")["pm2_env"]["status"], "stopped");
    with_input("start -", "{ apps: ").code(1).says(&["[PM2][ERROR]"]);
    let left = fs::read_dir(sandbox.home()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("pm2-input")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_version_is_that_of_the_package() {
    let sandbox = Sandbox::new();
    sandbox.file("shop/package.json", r#"{ "name": "shop", "version": "1.4.2" }"#);
    sandbox.file("shop/bin/app.sh", APP);
    sandbox.file("plain.sh", APP);
    pm2(&sandbox, "start shop/bin/app.sh -n a").ok();
    pm2(&sandbox, "start plain.sh -n b").ok();
    assert_eq!(app(&sandbox, "a")["pm2_env"]["version"], "1.4.2");
    assert_eq!(app(&sandbox, "b")["pm2_env"]["version"], "N/A");
    pm2(&sandbox, "ls").ok().says(&["│ 1.4.2   │"]);
}

/// `CMD ["pm2-runtime", "app.js"]`.
#[test]
fn a_script_runs_in_the_foreground_until_it_ends_or_is_asked_to() {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", "echo \"with $*\"; echo oops >&2; exit 3\n");
    sandbox.file("long.sh", "trap 'echo bye; exit 0' INT\necho up\nwhile :; do sleep 0.05; done\n");
    let link = sandbox.path("pm2-runtime");
    symlink(env!("CARGO_BIN_EXE_pm"), &link).unwrap();
    let runtime = |words: &[&str]| {
        let ours = sandbox.command(&[]);
        let mut command = Command::new(&link);
        command.args(words).env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let output = run(&mut runtime(&["start", "app.sh", "--no-autorestart", "--auto-exit", "--", "x", "y"])).code(3);
    assert_eq!(output.stdout, "with x y\noops\n", "{output}");
    sandbox.file("pm2.json", r#"[{ "name": "a", "script": "./app.sh", "autorestart": false, "env_x": { "A": "b" } }]"#);
    let output = run(&mut runtime(&["--env", "x", "pm2.json"])).code(3);
    assert!(output.stdout.contains("with"), "{output}");
    run(&mut runtime(&["--only", "x", "pm2.json"])).code(1).says(&["`--only` is not there for a file"]);
    run(&mut runtime(&["nope.js"])).code(1).says(&["no script"]);
    run(&mut runtime(&["app.sh", "--bogus"])).code(1).says(&["unknown option `--bogus`"]);
    assert!(sandbox.processes().is_empty(), "nothing is left");
    let running = runtime(&["long.sh", "-i", "2"]).spawn().unwrap();
    let pid = running.id();
    wait_until("both copies", LONG, || {
        (0..2).all(|slot| {
            fs::read_to_string(sandbox.home().join(format!("logs/_/long-out-{slot}.log")))
                .is_ok_and(|text| text.contains("up"))
        })
    });
    kill(pid, 15);
    let output = crate::support::finish(running, "pm2-runtime long.sh");
    assert_eq!(output.status, 0, "{output}");
    assert_eq!(output.stdout.matches("bye").count(), 2, "{output}");
    assert!(sandbox.processes().is_empty(), "nothing is left");
}
