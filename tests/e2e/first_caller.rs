//! Whoever happened to start the daemon leaves nothing of itself in it, nor in the apps.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::support::{SOON, Sandbox, kill, run, wait_until};

/// What a process has got from whoever started it.
fn attributes(sandbox: &Sandbox, pid: u32) -> BTreeMap<String, String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap().display().to_string();
    let mut found = BTreeMap::from([
        ("environ".to_owned(), read("environ").replace('\0', "\n")),
        ("cwd".to_owned(), link("cwd")),
        ("limits".to_owned(), read("limits")),
        ("oom_score_adj".to_owned(), read("oom_score_adj")),
        ("personality".to_owned(), read("personality")),
    ]);
    for name in ["Umask", "SigBlk", "SigIgn", "Cpus_allowed"] {
        let status = read("status");
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.insert(name.to_owned(), value.unwrap_or_default().trim().to_owned());
    }
    let stat = read("stat");
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let is_own = |field: &str| if field.parse() == Ok(pid) { "its own" } else { "somebody's" }.to_owned();
    found.insert("process group".to_owned(), is_own(fields[2]));
    found.insert("session".to_owned(), is_own(fields[3]));
    found.insert("terminal".to_owned(), fields[4].to_owned());
    found.insert("nice".to_owned(), fields[16].to_owned());
    found.insert("scheduling policy".to_owned(), fields[38].to_owned());
    found.insert("files".to_owned(), files_of(sandbox, pid).join("\n"));
    found
}

/// What is open, without the numbers that the kernel gives.
fn files_of(sandbox: &Sandbox, pid: u32) -> Vec<String> {
    let numbers = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = numbers.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()));
    let home = sandbox.home().display().to_string();
    let mut files: Vec<String> =
        targets.filter(|target| target.starts_with('/') && !target.starts_with(&home)).collect();
    files.sort();
    files.dedup();
    files
}

/// Whether this process has a capability, by its bit: without them, what the caller gave away stays given away.
fn may(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << capability != 0
}

const CAP_SYS_NICE: u32 = 23;
const CAP_SYS_RESOURCE: u32 = 24;

/// `pm list` from a shell that has done `first`.
fn from_shell(sandbox: &Sandbox, first: &str) -> Command {
    let mut command = sandbox.command(&[]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{first}\nexec \"$0\" list"), command.get_program().to_str().unwrap()]);
    shell.current_dir(sandbox.path("")).env_clear().env("PM_HOME", sandbox.home());
    std::mem::swap(&mut command, &mut shell);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

#[test]
fn anchor_and_daemon_are_the_same_whoever_starts_them() {
    let sandbox = Sandbox::new();
    let mut callers = vec![
        (sandbox.command(&["list"]), "a shell"),
        (from_shell(&sandbox, ""), "a shell without anything"),
        (
            from_shell(&sandbox, "umask 0; ulimit -S -c 0 -n 64 -s 4096; cd /tmp; exec 9</etc/passwd"),
            "a shell with limits",
        ),
        (from_shell(&sandbox, "trap '' TERM INT HUP CHLD PIPE USR1; (exit)"), "a shell that ignores signals"),
        (
            from_shell(&sandbox, "command -v taskset >/dev/null && taskset -p 1 $$ >/dev/null; true"),
            "a shell on one CPU",
        ),
        (from_shell(&sandbox, "echo 300 > /proc/$$/oom_score_adj"), "a shell with an oom score"),
    ];
    if may(CAP_SYS_NICE) {
        callers.push((from_shell(&sandbox, "renice -n 7 $$ >/dev/null"), "a shell with a low priority"));
    }
    if may(CAP_SYS_RESOURCE) {
        callers.push((from_shell(&sandbox, "ulimit -t 5000; ulimit -n 4000"), "a shell with hard limits"));
    }
    let mut ci = sandbox.command(&["list"]);
    for (name, value) in [
        ("JENKINS_NODE_COOKIE", "x"),
        ("SECRET", "s3cr3t"),
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "de_DE.UTF-8"),
        ("PATH", "/elsewhere"),
        ("HOME", "/nowhere"),
        ("PM_ID", "shop:api/0"),
        ("NOTIFY_SOCKET", "/run/nobody"),
        ("LISTEN_FDS", "1"),
        ("LD_LIBRARY_PATH", "/elsewhere"),
    ] {
        ci.env(name, value);
    }
    callers.push((ci, "an agent of a CI server"));
    let mut seen: Option<[BTreeMap<String, String>; 2]> = None;
    for (mut caller, name) in callers {
        run(&mut caller).ok();
        let found = [sandbox.anchor_pid(), sandbox.daemon_pid()].map(|pid| attributes(&sandbox, pid));
        if seen.is_none() {
            // The daemon that is started next is no other one.
            sandbox.kill_daemon();
            sandbox.pm(&["list"]).ok();
            assert_eq!(attributes(&sandbox, sandbox.daemon_pid()), found[1], "the next daemon");
            let variables: Vec<&str> =
                found[0]["environ"].lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
            assert_eq!(variables, ["HOME", "PATH", "PM_HOME"]);
            for found in &found {
                let own = ["process group", "session"].map(|name| found[name].as_str());
                assert_eq!((own, found["terminal"].as_str()), (["its own"; 2], "0"));
                assert_eq!(
                    (found["cwd"].as_str(), found["nice"].as_str(), found["Umask"].as_str()),
                    ("/", "0", "0077")
                );
            }
        }
        let first = seen.get_or_insert_with(|| found.clone());
        for (process, (found, first)) in ["anchor", "daemon"].iter().zip(found.iter().zip(first.iter())) {
            for (attribute, value) in found {
                assert_eq!(value, &first[attribute], "{attribute} of the {process}, started by {name}");
            }
        }
        sandbox.pm(&["shutdown"]).ok();
    }
}

#[test]
fn an_app_has_the_environment_of_the_shell_that_applied_it_and_nothing_of_who_started_the_daemon() {
    let sandbox = Sandbox::new();
    run(from_shell(&sandbox, "ulimit -S -n 64; umask 0; true").env("SECRET", "x").env("TZ", "Pacific/Kiritimati")).ok();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    run(sandbox.command(&["apply"]).env("TZ", "Asia/Tokyo").env("OTHER", "y")).ok();
    let look = |pid: u32| {
        let mut found = attributes(&sandbox, pid);
        found.remove("files");
        // The cookie names the process, so it is another one each time.
        let environ: Vec<String> =
            found["environ"].lines().filter(|line| !line.starts_with("PM_ID=")).map(str::to_owned).collect();
        found.insert("environ".to_owned(), environ.join("\n"));
        found
    };
    let pid = sandbox.pid("api/0");
    let first = look(pid);
    let environ = &first["environ"];
    assert!(environ.contains("TZ=Asia/Tokyo") && environ.contains("LANG=C.UTF-8"), "{environ}");
    assert!(!environ.contains("SECRET") && !environ.contains("OTHER"), "{environ}");
    let soft = first["limits"].lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    assert_eq!(soft.split_whitespace().nth(3), Some("1024"), "{soft}");

    // The next process of it is started by another daemon, after a crash: it is the same again.
    sandbox.kill_daemon();
    kill(pid, libc::SIGKILL);
    wait_until("the app is started again", SOON, || sandbox.instance("api/0").and_then(|api| api.pid) != Some(pid));
    assert_eq!(look(sandbox.pid("api/0")), first);
}
