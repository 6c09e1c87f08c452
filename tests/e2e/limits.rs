//! What a process may use is set before its program runs; what cannot be set is said by name.

use crate::support::{SOON, Sandbox, wait_until};

fn file(limits: &str, command: &str) -> String {
    format!("[[apps]]\nname = \"api\"\ncommand = {command:?}\nlimits = {limits}\n")
}

fn proc_file(pid: u32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

#[test]
fn open_files_processes_priority_and_oom_score_are_set() {
    let limits = "{ nofile = 512, nproc = 4000, nice = 5, oom_score_adj = 900 }";
    let sandbox = Sandbox::applied(&file(limits, "sleep 1000"));
    let pid = sandbox.pid("api/0");
    let limits = proc_file(pid, "limits");
    let line = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((line("Max open files").as_str(), line("Max processes").as_str()), ("512 512", "4000 4000"));
    assert_eq!(proc_file(pid, "oom_score_adj").trim(), "900");
    let stat = proc_file(pid, "stat");
    assert_eq!(stat.rsplit_once(") ").unwrap().1.split(' ').nth(16), Some("5"), "{stat}");
    sandbox.pm(&["describe", "api"]).ok().says(&["nofile 512", "nice 5"]);
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named() {
    // More open files than the kernel allows anybody.
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("{ nofile = 1000000000000 }", "sleep 1000"));
    sandbox.pm(&["apply"]).code(65).says(&["`limits.nofile` is 1000000000000", "fs.nr_open"]);
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn a_limit_that_this_machine_does_not_have_is_said_and_the_app_runs() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("{ memory = \"64M\", cpu = \"50%\" }", "sleep 1000"));
    let applied = sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("api/0");
    let group = proc_file(pid, "cgroup");
    let has_group = group.lines().any(|line| line.starts_with("0::") && line.contains("/pm-"));
    let is_missing = sandbox.events_of("api").iter().any(|event| event.fact == "limits_unavailable");
    let describe = sandbox.pm(&["describe", "api"]).ok();
    if is_missing {
        describe.says(&["limits.memory"]);
        applied.says(&["api runs without some of its limits", "limits.memory"]);
    } else {
        assert!(has_group, "nothing was said, and there is no group: {group}");
    }
    sandbox.pm(&["stop", "api"]).ok();
    let folder = group.lines().find_map(|line| line.strip_prefix("0::"));
    if let Some(folder) = folder.filter(|_| has_group) {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap().split(' ').nth(4).unwrap();
        let path = format!("{mount}{folder}");
        wait_until("the group is gone with the process", SOON, || !std::path::Path::new(&path).exists());
    }
}

#[test]
fn a_program_that_is_not_there_is_explained_by_its_file_or_its_interpreter() {
    let sandbox = Sandbox::new();
    let script = sandbox.file("app.sh", "#!/nowhere/interpreter\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\nscript = \"app.sh\"\ninterpreter = \"none\"\n");
    sandbox.pm(&["apply"]).code(65).says(&["/nowhere/interpreter"]);
}
