//! What a child inherits, and which errors are reported if it cannot be created.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::{Identity, StdinMode};
use crate::os::linux::reaper::reap;
use crate::os::linux::{PidFd, Poller, copy_above, output_pipe, proc_stat, start_ticks, ticks_now};

/// What came of one spawn.
struct Ended {
    result: Result<u32, SpawnFailed>,
    pid: i32,
    output: String,
}

fn words(texts: &[&str]) -> Vec<CString> {
    texts.iter().map(|text| CString::new(*text).unwrap()).collect()
}

fn plan(program: &str, argv: &[&str]) -> (ExecPlan, io::PipeReader) {
    set_child_open_files(64);
    let (reader, writer) = io::pipe().unwrap();
    let plan = ExecPlan {
        program: CString::new(program).unwrap(),
        argv: words(argv),
        envp: words(&["PATH=/usr/bin:/bin", "GREETING=hello"]),
        cwd: c"/".to_owned(),
        identity: None,
        umask: 0o027,
        stdin: StdinMode::Null,
        output: Output::Opened([writer.try_clone().unwrap().into(), writer.into()]),
        handed: Vec::new(),
        is_told_its_pid: false,
        limits: Limits::default(),
        group: None,
        dies_with_caller: false,
    };
    (plan, reader)
}

/// Spawns as a child of this process, waits for its end and reads everything that it printed.
fn run((plan, mut reader): (ExecPlan, io::PipeReader)) -> Ended {
    let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
    let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
    let result = spawn(&plan, &mailbox, Parent::Caller);
    drop(plan);
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    let pid = pid.into_inner();
    if pid != 0 {
        let child = PidFd::open(pid.cast_unsigned()).unwrap();
        let poller = Poller::new().unwrap();
        poller.add(child.as_fd(), 0).unwrap();
        poller.wait(None).unwrap();
        poller.remove(child.as_fd()).unwrap();
        reap(child.pid()).unwrap();
    }
    Ended { result, pid, output }
}

fn shell(script: &str) -> Ended {
    run(plan("/bin/sh", &["sh", "-c", script]))
}

fn executable(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_child_gets_exactly_its_environment_folder_and_mask() {
    let ended = shell("echo $GREETING; env | grep -cv -e ^PWD= -e ^SHLVL= -e ^_=; pwd; umask; ulimit -n");
    assert_eq!(ended.result, Ok(ended.pid.cast_unsigned()));
    assert_eq!(ended.output, "hello\n2\n/\n0027\n64\n");
}

#[test]
fn a_child_leads_its_own_session_and_group() {
    let ended = shell("cat /proc/$$/stat");
    let fields: Vec<&str> = ended.output.rsplit_once(") ").unwrap().1.split_ascii_whitespace().collect();
    let pid = ended.pid.to_string();
    assert_eq!((fields[2], fields[3]), (pid.as_str(), pid.as_str()));
    assert_eq!(fields[1], std::process::id().to_string(), "we are its parent");
}

#[test]
fn a_child_ignores_and_blocks_no_signal_although_we_ignore_sigpipe() {
    // SAFETY: what every Rust program does at its start.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let ended = run(plan("/bin/grep", &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    let zero = "0000000000000000";
    assert_eq!(ended.output, format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\n"));
}

#[test]
fn a_child_sees_no_descriptor_but_its_own_three() {
    let leak = File::open("/dev/null").unwrap();
    crate::os::keep_across_exec(leak.as_fd()).unwrap(); // as a careless library would
    let ended = run(plan("/bin/ls", &["ls", "/proc/self/fd"]));
    assert_eq!(ended.output, "0\n1\n2\n3\n", "3 is the folder that ls reads");
}

fn take_some_seats() {
    let nothing = crate::os::open_null().unwrap();
    let numbers = std::iter::repeat_with(|| copy_above(nothing.as_fd(), 3).unwrap());
    reserve_descriptors(numbers.take(RESERVED_DESCRIPTORS.cast_unsigned() as usize)).unwrap();
}

#[test]
fn a_child_on_a_seat_gets_its_outputs_and_leaves_ours_alone() {
    take_some_seats();
    let leak = File::open("/dev/null").unwrap();
    crate::os::keep_across_exec(leak.as_fd()).unwrap();
    let pipes = [output_pipe().unwrap(), output_pipe().unwrap()];
    let [mut printed, mut complained] = pipes.each_ref().map(|pipe| File::from(pipe.try_clone().unwrap()));
    let (mut plan, reader) = plan("/bin/sh", &["sh", "-c", "ls /proc/self/fd; readlink /proc/self/fd/0 >&2"]);
    plan.output = Output::Pipes(pipes.map(Arc::new));
    let ended = run((plan, reader));
    assert_eq!(ended.result, Ok(ended.pid.cast_unsigned()));
    let mut text = [0; 64];
    let length = printed.read(&mut text).unwrap();
    assert_eq!(&text[..length], b"0\n1\n2\n3\n", "3 is the folder that ls reads");
    let length = complained.read(&mut text).unwrap();
    assert_eq!(&text[..length], b"/dev/null\n");
    assert!(leak.metadata().is_ok(), "ours are still open");
}

#[test]
fn more_can_spawn_at_once_than_numbers_are_reserved() {
    take_some_seats();
    let threads: Vec<_> = (0..12)
        .map(|number| {
            std::thread::spawn(move || {
                (0..10).all(|_| shell(&format!("echo {number}")).output == format!("{number}\n"))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()), "each gets its own output");
}

#[test]
fn an_output_that_cannot_be_opened_is_told_and_closes_nothing_of_ours() {
    let (mut plan, reader) = plan("/bin/true", &["true"]);
    let (pipe, _writer) = io::pipe().unwrap();
    let socket = UnixStream::pair().unwrap().0; // nothing that could be opened once more
    plan.output = Output::Pipes([Arc::new(pipe.into()), Arc::new(socket.into())]);
    let kept = File::open("/dev/null").unwrap();
    let ended = run((plan, reader));
    assert_eq!(ended.result, Err(SpawnFailed { stage: SpawnStage::Descriptors, errno: libc::ENXIO }));
    assert_eq!(ended.pid, 0, "there was no child");
    assert!(kept.metadata().is_ok());
}

#[test]
fn the_start_time_is_known_without_asking_the_kernel() {
    for _ in 0..50 {
        let before = ticks_now();
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let told = start_ticks(child.id(), before).unwrap();
        assert_eq!(told, proc_stat(child.id()).unwrap().start_ticks);
        child.wait().unwrap();
    }
}

#[test]
fn a_child_reads_nothing_from_its_standard_input() {
    assert_eq!(shell("readlink /proc/self/fd/0; cat").output, "/dev/null\n");
}

#[test]
fn a_script_without_an_interpreter_line_runs_as_a_shell_would_run_it() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("script");
    executable(&script, "echo \"script got $1\"\n");
    let ended = run(plan(script.to_str().unwrap(), &["script", "one"]));
    assert!(ended.result.is_ok());
    assert_eq!(ended.output, "script got one\n");
}

#[test]
fn a_program_that_cannot_run_is_told_with_step_and_reason() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    fs::write(file("plain"), "text").unwrap();
    executable(Path::new(&file("orphan")), "#!/nowhere/interpreter\n");
    let cases = [
        (file("missing"), SpawnStage::Exec, libc::ENOENT),
        (file("plain"), SpawnStage::Exec, libc::EACCES),
        (file("orphan"), SpawnStage::Exec, libc::ENOENT),
        (home.path().to_str().unwrap().to_owned(), SpawnStage::Exec, libc::EACCES),
    ];
    for (program, stage, errno) in cases {
        let ended = run(plan(&program, &["x"]));
        assert_eq!(ended.result, Err(SpawnFailed { stage, errno }), "{program}");
        assert_ne!(ended.pid, 0, "a child existed, and its pid is known");
    }
    let (mut nowhere, reader) = plan("/bin/true", &["true"]);
    nowhere.cwd = c"/nowhere".to_owned();
    assert_eq!(run((nowhere, reader)).result, Err(SpawnFailed { stage: SpawnStage::Folder, errno: libc::ENOENT }));
}

#[test]
fn becoming_another_user_needs_the_right_to_do_so() {
    let (mut other, reader) = plan("/usr/bin/id", &["id", "-u", "-G"]);
    let is_root = crate::os::user_id() == 0;
    other.argv = words(&["sh", "-c", "id -u; id -G"]);
    other.program = c"/bin/sh".to_owned();
    other.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456, 34567] });
    let ended = run((other, reader));
    if is_root {
        assert_eq!(ended.output, "12345\n23456 34567\n");
    } else {
        assert_eq!(ended.result, Err(SpawnFailed { stage: SpawnStage::Identity, errno: libc::EPERM }));
    }
}

#[test]
fn a_switch_that_the_kernel_only_seems_to_make_is_no_switch() {
    // For the kernel −1 is "leave it as it is": as root every call succeeds, and root is who is left.
    let is_root = crate::os::user_id() == 0;
    let minus_one = u32::MAX;
    for (uid, gid) in [(minus_one, 23456), (12345, minus_one), (minus_one, minus_one)] {
        let (mut plan, reader) = plan("/bin/echo", &["echo", "it runs"]);
        plan.identity = Some(Identity { uid, gid, groups: vec![23456] });
        let ended = run((plan, reader));
        let stage = if is_root { SpawnStage::IdentityCheck } else { SpawnStage::Identity };
        assert_eq!(ended.result, Err(SpawnFailed { stage, errno: libc::EPERM }), "{uid} {gid}");
        assert_eq!(ended.output, "");
    }
}

#[test]
fn groups_that_are_listed_twice_are_taken_once() {
    let (mut plan, reader) = plan("/bin/sh", &["sh", "-c", "id -G"]);
    plan.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![34567, 23456, 34567, 5] });
    let ended = run((plan, reader));
    match crate::os::user_id() {
        0 => assert_eq!(ended.output, "23456 5 34567\n"),
        _ => assert_eq!(ended.result, Err(SpawnFailed { stage: SpawnStage::Identity, errno: libc::EPERM })),
    }
}

#[test]
fn a_helper_of_another_user_dies_with_the_thread_that_started_it() {
    if crate::os::user_id() != 0 {
        eprintln!("NOT RUN: only root can start a helper of another user");
        return;
    }
    let (mut plan, mut reader) = plan("/bin/sh", &["sh", "-c", "echo up; exec sleep 1000"]);
    plan.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456] });
    plan.dies_with_caller = true;
    let started = std::thread::spawn(move || {
        let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
        let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
        let started = spawn(&plan, &mailbox, Parent::Caller).unwrap();
        drop(plan);
        let mut first = [0; 3];
        reader.read_exact(&mut first).unwrap();
        (started, reader)
    });
    let (pid, mut reader) = started.join().unwrap();
    assert_eq!(reader.read_to_string(&mut String::new()).unwrap(), 0, "its end closes the pipe");
    crate::os::reap_exit(pid, true).unwrap();
}

#[test]
fn nothing_is_started_under_a_parent_that_is_not_the_anchor() {
    let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
    let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
    let (plan, _reader) = plan("/bin/true", &["true"]);
    let failed = spawn(&plan, &mailbox, Parent::Anchor(std::process::id())).unwrap_err();
    assert_eq!((failed.stage, failed.errno), (SpawnStage::Clone, libc::ESRCH));
    assert_eq!(pid.into_inner(), 0);
}

#[test]
fn an_identity_is_pid_and_start_time() {
    let me = std::process::id();
    let ticks = proc_stat(me).unwrap().start_ticks;
    assert!(PidFd::open_verified(me, ticks).is_ok());
    assert_eq!(PidFd::open_verified(me, ticks + 1).unwrap_err().raw_os_error(), Some(libc::ESRCH));
}
