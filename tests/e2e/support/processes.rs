//! Processes as the kernel shows them: what belongs to a sandbox is what carries its path.

use std::fs;
use std::path::Path;

/// One process that carries the sandbox's path in its environment or its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whether it is a `pm` binary.
    pub is_pm: bool,
}

impl Process {
    /// `pm daemon …`, not a client command.
    pub fn is_daemon(&self) -> bool {
        self.is_pm && self.args.get(1).is_some_and(|word| word == "daemon")
    }

    /// `pm anchor …`.
    pub fn is_anchor(&self) -> bool {
        self.is_pm && self.args.get(1).is_some_and(|word| word == "anchor")
    }
}

/// Every living process that has `path` in its environment or arguments, this test excepted.
pub fn processes_with(path: &Path) -> Vec<Process> {
    let path = path.to_str().expect("temporary folders have plain names").as_bytes();
    let pids = fs::read_dir("/proc").expect("/proc is there").filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (pid != std::process::id()).then_some(pid)
    });
    pids.filter_map(|pid| look_at(pid, path)).collect()
}

/// One process, if it carries `path`.
fn look_at(pid: u32, path: &[u8]) -> Option<Process> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (args, environment) = (read("cmdline"), read("environ"));
    // A zombie shows neither: it has ended, only its parent has not looked yet.
    let is_ours = [&args, &environment].iter().any(|text| contains(text, path));
    let args: Vec<String> = args
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let is_pm = program.starts_with(env!("CARGO_BIN_EXE_pm"));
    is_ours.then_some(Process { pid, args, is_pm })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Sends a signal to one process that this test (or what it started) has started.
pub fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("pids fit");
    // SAFETY: kill(2) takes two numbers and touches no memory of this process.
    unsafe { libc::kill(pid, signal) };
}

/// When a process started, in clock ticks since boot: with the pid, its identity. `None` = it is gone.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    let mut fields = after_name.split(' ');
    let is_zombie = fields.next() == Some("Z");
    if is_zombie { None } else { fields.nth(18)?.parse().ok() }
}

/// The children of a process, zombies included.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A variable that a process was started with.
pub fn variable_of(pid: u32, name: &str) -> Option<String> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let is_it = |word: &[u8]| Some(word.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    text.split(|byte| *byte == 0).find_map(is_it).and_then(|value| String::from_utf8(value).ok())
}

/// Kills anchor and daemon of a sandbox, whose pids these are, so that neither can start the other one again.
pub fn kill_both(sandbox: &super::Sandbox, (anchor, daemon): (u32, u32)) {
    // The daemon must not move while the anchor dies.
    kill(daemon, libc::SIGSTOP);
    kill(anchor, libc::SIGKILL);
    kill(daemon, libc::SIGKILL);
    super::wait_until("both are gone", super::SOON, || {
        start_time(anchor).is_none()
            && start_time(daemon).is_none()
            && !sandbox.processes().iter().any(Process::is_anchor)
    });
}

/// As [`kill_both`], of whoever lives now.
pub fn kill_both_now(sandbox: &super::Sandbox) {
    kill_both(sandbox, (sandbox.anchor_pid(), sandbox.daemon_pid()));
}
