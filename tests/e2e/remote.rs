//! `pm --host`: commands for another machine, through a real ssh.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Output, SOON, Sandbox, SshServer, finish, free_port, kill, run, wait_until};

const SHOP: &str = "[apps.api]\ncommand = \"sh -c 'echo hello from $GREETING; exec sleep 1000'\"\ncwd = \"/\"\n";

/// `pm --host … args` in the folder of `here`, for the home of `there`.
fn far(server: &SshServer, here: &Sandbox, there: &Sandbox, args: &[&str]) -> Command {
    let url = server.url(&there.home());
    let mut command = here.command(&[&["--host", &url], args].concat());
    server.lend(&mut command);
    command
}

fn on(server: &SshServer, here: &Sandbox, there: &Sandbox, args: &[&str]) -> Output {
    run(&mut far(server, here, there, args))
}

#[test]
fn commands_run_on_the_other_machine_with_the_files_of_this_one() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    here.ecosystem(&format!("{SHOP}env = {{ GREETING = \"${{TOKEN}}\" }}\n"));
    let applied = on(&server, &here, &there, &["apply", "--var", "TOKEN=sesame-open-37"]);
    applied.ok().says(&["api"]);
    assert!(!here.home().exists(), "nothing runs here");
    assert_eq!(there.wait_phase("api/0", "running").phase, "running");
    // The folder says which project is meant, there as here.
    on(&server, &here, &there, &["restart", "api"]).ok();
    wait_until("the app has said hello twice", SOON, || {
        on(&server, &here, &there, &["logs", "api"]).ok().stdout.matches("hello from sesame-open-37").count() == 2
    });
    let list = on(&server, &here, &there, &["list", "--json"]).ok().json();
    assert_eq!(list["apps"][0]["app"], "api", "{list}");
    // Exit codes, errors and usage are those of the command.
    on(&server, &here, &there, &["describe", "nobody"]).code(1).says(&["nobody"]);
    on(&server, &here, &there, &["list", "--no-such-option"]).code(64);
    here.ecosystem("[apps.api]\ncommand = \"sleep 1\"\ncwd = \"/no/such/folder\"\n");
    on(&server, &here, &there, &["apply"]).code(65).says(&["/no/such/folder", "are those of `ssh://127.0.0.1"]);
    // Nothing of a call is in the arguments of ssh.
    let calls = server.calls();
    assert!(calls.contains("__remote") && !calls.contains("sesame") && !calls.contains("apply"), "{calls}");
}

#[test]
fn a_file_of_the_other_machine_is_named_with_a_colon() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    let file = there.ecosystem(SHOP);
    on(&server, &here, &there, &["apply", &format!(":{}", file.display())]).ok();
    there.wait_phase("api/0", "running");
    on(&server, &here, &there, &["apply", ":ecosystem.toml"]).code(64).says(&["absolute"]);
    on(&server, &here, &there, &["dev"]).code(64).says(&["in this terminal"]);
    on(&server, &here, &there, &["plan", "-o", "x.pmp", &format!(":{}", file.display())]).code(64);
    // What asks no machine needs none.
    run(&mut here.command(&["--host", "nowhere.invalid", "explain", "port"])).ok();
}

#[test]
fn a_command_in_the_context_of_an_app_reads_and_writes_here() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    here.ecosystem(SHOP);
    on(&server, &here, &there, &["apply"]).ok();
    let mut command =
        far(&server, &here, &there, &["exec", "api", "--", "sh", "-c", "tr a-z A-Z; echo err >&2; exit 9"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // More than all pipes on the way hold.
    let text = "lower\n".repeat(100_000);
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = finish(child, "pm exec");
    writer.join().unwrap();
    assert_eq!(
        (output.status, output.stdout.matches("LOWER\n").count(), output.stderr.as_str()),
        (9, 100_000, "err\n")
    );
}

#[test]
fn ctrl_c_ends_what_follows_and_nothing_is_left_there() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    here.ecosystem(SHOP);
    on(&server, &here, &there, &["apply"]).ok();
    let mut child = far(&server, &here, &there, &["logs", "-f", "api"]).spawn().unwrap();
    let mut seen = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut seen).unwrap();
    kill(child.id(), libc::SIGINT);
    let output = finish(child, "pm logs -f");
    assert_eq!(output.status, 130, "{output}");
    // One that is killed takes its end at the other machine along.
    let mut child = far(&server, &here, &there, &["logs", "-f", "api"]).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut seen).unwrap();
    kill(child.id(), libc::SIGKILL);
    child.wait().unwrap();
    wait_until("no command runs there any more", SOON, || server.ends() == 0);
    there.wait_phase("api/0", "running");
}

#[test]
fn an_apply_whose_connection_is_lost_goes_on_there() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    let flag = here.path("go");
    let wait = format!("while ! test -e {}; do sleep 0.05; done; echo listening; exec sleep 1000", flag.display());
    here.ecosystem(&format!(
        "[apps.api]\ncommand = \"sh -c '{wait}'\"\ncwd = \"/\"\nready = {{ log = \"listening\", timeout = \"60s\" }}\n"
    ));
    let child = far(&server, &here, &there, &["apply"]).spawn().unwrap();
    there.wait_pid("api/0");
    server.cut();
    let output = finish(child, "pm apply");
    output.code(7).says(&["was lost", "goes on"]);
    fs::write(&flag, "").unwrap();
    there.wait_phase("api/0", "running");
    // What only shows has nothing that goes on.
    let mut child = far(&server, &here, &there, &["logs", "-f", "api"]).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    server.cut();
    finish(child, "pm logs -f").code(69).says(&["was lost"]);
}

#[test]
fn whatever_keeps_a_machine_from_answering_is_told() {
    let (server, here, there) = (SshServer::with_pm(), Sandbox::new(), Sandbox::new());
    let list = || on(&server, &here, &there, &["list"]);
    list().ok();
    server.use_other_key();
    list().code(69).says(&["does not let you in", "Permission denied"]);
    let json = on(&server, &here, &there, &["list", "--json"]).code(69).json();
    assert_eq!(json["exit_code"], 69, "{json}");
    server.forget_host();
    list().code(69).says(&["is not known", "nothing was sent"]);
    server.change_host();
    list().code(69).says(&["another one than before"]);
    let refused = format!("ssh://127.0.0.1:{}", free_port());
    run(&mut here.command(&["--host", &refused, "list"])).code(69).says(&["cannot reach"]);
    run(here.command(&["--host", "box", "list"]).env("PATH", "/nowhere")).code(69).says(&["no `ssh` on the PATH"]);
}

#[test]
fn a_machine_without_this_pm_is_told_so() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    let folder = there.path("bin");
    fs::create_dir(&folder).unwrap();
    let server = SshServer::with_path(&folder.display().to_string());
    let list = || on(&server, &here, &there, &["list"]);
    list().code(69).says(&["there is no `pm` on"]);
    let install = |script: &str| {
        fs::write(folder.join("pm"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(folder.join("pm"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    install("echo \"error: unrecognized subcommand '$1'\" >&2; exit 64");
    list().code(69).says(&["does not know `--host` yet"]);
    install("printf '\\001pm-remote 99 9.9.9\\n'; exec cat");
    list().code(69).says(&["version 9.9.9", "do not understand each other"]);
    // A login shell that talks is no obstacle, and another version with the same messages is a warning.
    let pm = env!("CARGO_BIN_EXE_pm");
    install(&format!("echo Welcome; exec {pm} __remote"));
    list().ok();
    install(&format!("printf '\\001pm-remote 1 9.9.9\\n'; {pm} __remote | (read -r _; exec cat)"));
    list().ok().says(&["is version 9.9.9"]);
}

#[test]
fn a_host_never_becomes_an_option_of_ssh() {
    let (server, here) = (SshServer::with_pm(), Sandbox::new());
    for host in
        ["-oProxyCommand=touch x", "ssh://-oProxyCommand=x@box", "box;touch x", "$(touch x)", "ssh://me:pw-secret@box"]
    {
        let mut command = here.command(&["list"]);
        command.arg(format!("--host={host}"));
        server.lend(&mut command);
        let output = run(&mut command).code(64);
        assert!(!output.stderr.contains("pw-secret"), "{output}");
        let mut command = here.command(&["list"]);
        command.env("PM_HOST", host);
        server.lend(&mut command);
        run(&mut command).code(64).says(&["PM_HOST"]);
    }
    assert_eq!((server.calls().as_str(), here.path("x").exists()), ("", false));
}

#[test]
fn several_machines_are_changed_one_after_the_other_up_to_the_first_failure() {
    let (server, here) = (SshServer::with_pm(), Sandbox::new());
    let machines = [Sandbox::new(), Sandbox::new(), Sandbox::new()];
    let hosts: Vec<String> = machines.iter().map(|machine| server.url(&machine.home())).collect();
    here.file("hosts.txt", format!("# all of them\n{}\n", hosts.join("\n")));
    let all = |args: &[&str]| {
        let mut command = here.command(&[&["--hosts", "hosts.txt"], args].concat());
        server.lend(&mut command);
        run(&mut command)
    };
    here.ecosystem(SHOP);
    all(&["apply"]).ok().says(&[&format!("{}: ok", hosts[2])]);
    // With names, in the order of the file.
    here.file("hosts.toml", format!("[hosts]\nsecond = \"{}\"\nfirst = \"{}\"\n", hosts[1], hosts[0]));
    let mut command = here.command(&["--hosts", "hosts.toml", "list", "--json"]);
    server.lend(&mut command);
    let document = run(&mut command).ok().json();
    let names: Vec<_> =
        document["hosts"].as_array().unwrap().iter().map(|host| host["host"].as_str().unwrap()).collect();
    assert_eq!(names, ["second", "first"], "{document}");
    let document = all(&["list", "--json"]).ok().json();
    for (at, machine) in machines.iter().enumerate() {
        machine.wait_phase("api/0", "running");
        assert_eq!(document["hosts"][at]["host"], hosts[at].as_str());
        assert_eq!(document["hosts"][at]["answer"]["apps"][0]["app"], "api", "{document}");
    }
    let listed = all(&["list"]).ok();
    assert_eq!(listed.stdout.matches("api").count(), 3, "{listed}");
    // The second one is not there: the first is changed, the third is not asked.
    let gone = format!("ssh://127.0.0.1:{}", free_port());
    here.file("hosts.txt", [&hosts[0], &gone, &hosts[2]].map(String::as_str).join("\n"));
    let before = [&machines[0], &machines[2]].map(|machine| machine.pid("api/0"));
    all(&["restart", "api"]).code(69).says(&[
        "cannot reach",
        "failed (exit code 69)",
        &format!("{}: not tried", hosts[2]),
    ]);
    assert_ne!(machines[0].pid("api/0"), before[0]);
    assert_eq!(machines[2].pid("api/0"), before[1]);
    let document = all(&["restart", "api", "--json"]).code(69).json();
    let codes: Vec<&Value> = (0..3).map(|at| &document["hosts"][at]["exit_code"]).collect();
    assert_eq!(codes, [&Value::from(0), &Value::from(69), &Value::Null], "{document}");
    // What only shows asks all of them.
    assert_eq!(all(&["list"]).code(69).stdout.matches("api").count(), 2);
    all(&["logs", "-f"]).code(64);
    here.file("hosts.txt", "-oProxyCommand=x\n");
    all(&["list"]).code(65).says(&["hosts.txt:1"]);
}
