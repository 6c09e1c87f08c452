//! One spawn, from spec to process. Runs on a spawning thread: scripts may lie on folders that hang.

use std::ffi::{CString, OsStr};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::context::exec_context;
use super::listeners::NotListening;
use super::outputs::Writer;
use super::socket_access::socket_access;
use super::voices::{self, Voices};
use crate::anchor::{Record, Row};
use crate::logs::StreamKey;
use crate::model::{
    Environment, ExecContext, Failure, InstanceId, Launch, Limits, LogPolicy, Moment, Probe, SpawnError, SpawnStage,
    Stream, masked,
};
use crate::os::{self, ExecPlan, HoldsNul, Output, PidFd, SpawnFailed};
use crate::rules;

/// How long a restart waits for the journal; only a disk that hangs takes longer.
const JOURNAL_WAIT: Duration = Duration::from_millis(50);

/// What a spawning thread is told.
#[derive(Debug)]
pub(super) struct SpawnJob {
    /// The row of the process table.
    pub row: Row,
    /// What the next daemon has to know about this spawn.
    pub record: Record,
    /// Which instance.
    pub id: InstanceId,
    /// The number of the process.
    pub incarnation: u32,
    /// What is started.
    pub launch: Launch,
    /// Where its output goes now; may be newer than the launch.
    pub logs: LogPolicy,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct SpawnResult {
    pub row: Row,
    pub incarnation: u32,
    pub launch: Launch,
    pub outcome: Result<Spawned, SpawnError>,
}

/// A process that was created.
#[derive(Debug)]
pub(super) struct Spawned {
    pub pid: u32,
    /// `None` if it has already ended and was reaped: its status stands in the row.
    pub process: Option<PidFd>,
    /// What it can tell us by itself.
    pub voices: Voices,
    /// The user that it runs as, if another one than ours.
    pub user_id: Option<u32>,
}

/// Carries the job out. Every step that can fail is named in the error, with the thing that it was about.
pub(super) fn spawn(world: &World, job: &SpawnJob) -> Result<Spawned, SpawnError> {
    os::killpoint("spawn.begin");
    let start = os::now();
    let mut context = context(world, job, &world.mark(job, start).to_string())?;
    let argv = rules::argv(&job.launch.spec.run, job.id.slot)
        .ok_or_else(|| refused(SpawnStage::Find, &job.id.to_string(), "neither script nor command"))?;
    let program = find(&argv.words[0], &context.cwd, &context.env)?;
    let output = outputs(world, job)?;
    let listen = &job.launch.spec.run.listen;
    let access = socket_access(&job.launch.spec.run, context.identity.as_ref())?;
    let handover = world.listeners.hand_over(&world.anchor, &job.id.app, listen, &access);
    let handover = handover.map_err(|why| not_listening(&why))?;
    let (voices, handover) = Voices::open(world, job.row.index(), job.incarnation, &job.launch.spec, handover)
        .map_err(|error| failed(SpawnStage::Channels, &job.id.to_string(), &error))?;
    context.env.extend(handover.variables);
    let plan = ExecPlan {
        handed: handover.descriptors,
        is_told_its_pid: !listen.is_empty(),
        group: group(world, job)?,
        ..ExecPlan::new(&context, &program, &argv.words, output).map_err(|text| holds_nul(&text))?
    };
    let created = create(world, job, start, &plan, &program);
    if created.is_err() {
        voices::release(world, job.row.index(), job.incarnation, &job.launch.spec);
    }
    let user_id = context.identity.map(|identity| identity.uid);
    created.map(|(pid, process)| Spawned { pid, process, voices, user_id })
}

/// The control group of an instance whose tree is limited, where groups can be had.
fn group(world: &World, job: &SpawnJob) -> Result<Option<CString>, SpawnError> {
    let limits = &job.launch.spec.run.limits;
    match world.groups_for(limits) {
        Some(groups) => groups
            .create(job.row.index(), limits)
            .map(Some)
            .map_err(|error| failed(SpawnStage::Limits, "control group", &error)),
        None => Ok(None),
    }
}

/// Where the process of a job runs, and its helpers.
pub(super) fn context(world: &World, job: &SpawnJob, cookie: &str) -> Result<ExecContext, SpawnError> {
    exec_context(&world.home.root, &job.id, &job.launch.spec, &job.launch.base, cookie)
}

/// What a hook is started as: the app's context and log, but its own command.
pub(super) fn hook_plan(world: &World, job: &SpawnJob, command: &str, more: &Environment) -> Result<ExecPlan, Failure> {
    let plan = || -> Result<ExecPlan, SpawnError> {
        let mut context = context(world, job, &world.helper_mark(job).to_string())?;
        context.env.extend(more.clone());
        let output = match outputs(world, job)? {
            Output::Pipes([_, errors]) => Output::Pipes([Arc::clone(&errors), errors]),
            other => other,
        };
        ExecPlan::in_context(&context, command, output).map_err(|text| holds_nul(&text))
    };
    plan().map_err(|error| Failure::Spawn { error })
}

/// The window that matters: from the announcement in the row to the record that the process runs.
fn create(
    world: &World,
    job: &SpawnJob,
    start: Moment,
    plan: &ExecPlan,
    program: &str,
) -> Result<(u32, Option<PidFd>), SpawnError> {
    let row = job.row;
    if job.incarnation > 1 {
        // The row forgets how the process before last ended. What was told of it must be on the disk by then: should
        // we be killed, nothing else knows it.
        world.events.settle(JOURNAL_WAIT);
    }
    row.begin(job.incarnation, start, &job.record)
        .map_err(|error| refused(SpawnStage::TableEntry, &job.id.to_string(), &error.to_string()))?;
    // Before the process exists: should both of us die, the announcement is found, and by it the process.
    world.mirror([row.index()]);
    os::killpoint("spawn.announced");
    let earliest = os::ticks_now();
    let created = os::spawn(plan, &row.mailbox(), os::Parent::Anchor(world.table.anchor_pid()));
    os::killpoint("spawn.created");
    match created {
        Ok(pid) => {
            // The anchor may have reaped it by now; then the row is Exited and there is nothing to open.
            let process = PidFd::open(pid).ok();
            let _ = row.running(os::start_ticks(pid, earliest).unwrap_or(0));
            os::killpoint("spawn.running");
            Ok((pid, process))
        }
        Err(error) => {
            // A child that came to be and could not execute its program has a pid; its row follows when it is reaped.
            let _ = row.abandon();
            Err(not_executed(error, &job.launch, program))
        }
    }
}

/// The child gave up at a step: with what that step was about.
pub(super) fn not_executed(error: SpawnFailed, launch: &Launch, program: &str) -> SpawnError {
    failed(error.stage, &subject_of(error, launch, program), &io::Error::from_raw_os_error(error.errno))
}

/// What a failed step was about.
fn subject_of(error: SpawnFailed, launch: &Launch, program: &str) -> String {
    let run = &launch.spec.run;
    match error.stage {
        SpawnStage::Limits => refused_limits(&run.limits, error.errno),
        SpawnStage::Folder => run.cwd.to_string_lossy().into_owned(),
        SpawnStage::Identity | SpawnStage::IdentityCheck => run.user.clone().unwrap_or_default(),
        SpawnStage::Find
        | SpawnStage::User
        | SpawnStage::Output
        | SpawnStage::Channels
        | SpawnStage::TableEntry
        | SpawnStage::Listen
        | SpawnStage::Clone
        | SpawnStage::Session
        | SpawnStage::Descriptors
        | SpawnStage::Exec => program.to_owned(),
    }
}

/// Which limits the kernel can have meant: `EPERM` is its word for resource limits, `EACCES` for priorities.
fn refused_limits(limits: &Limits, errno: i32) -> String {
    const NOT_PERMITTED: i32 = 1;
    let shown = |name: &str, value: Option<String>| value.map(|value| format!("{name} = {value}"));
    let resources = [
        shown("nofile", limits.nofile.map(|value| value.to_string())),
        shown("nproc", limits.nproc.map(|value| value.to_string())),
    ];
    let priorities = [
        shown("nice", limits.nice.map(|value| value.to_string())),
        shown("oom_score_adj", limits.oom_score_adj.map(|value| value.to_string())),
    ];
    let group = (limits.memory.is_some() || limits.cpu.is_some()).then(|| "control group".to_owned());
    let suspects = if errno == NOT_PERMITTED { resources } else { priorities };
    suspects.into_iter().chain([group]).flatten().collect::<Vec<_>>().join(", ")
}

/// Why the last process of a row never executed its program, if that is how it ended.
pub(super) fn died_before_exec(row: Row, launch: &Launch) -> Option<Failure> {
    let error = SpawnFailed::of(&row.mailbox())?;
    let script = launch.spec.run.script.clone().unwrap_or_else(|| "its command".into());
    Some(Failure::Spawn { error: not_executed(error, launch, &script) })
}

/// A word with a slash is a path from the working folder; any other is looked up on the app's own PATH.
pub(super) fn find(word: &str, cwd: &Path, env: &Environment) -> Result<String, SpawnError> {
    if word.contains('/') {
        return Ok(cwd.join(word).to_string_lossy().into_owned());
    }
    let path = env.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    match os::find_program(OsStr::new(word), OsStr::new(path)) {
        Some(found) => Ok(found.to_string_lossy().into_owned()),
        None => Err(refused(SpawnStage::Find, word, &format!("not found on PATH ({path})"))),
    }
}

/// The pipes that the process is to open.
fn outputs(world: &World, job: &SpawnJob) -> Result<Output, SpawnError> {
    if job.logs.disable_logs {
        return Ok(Output::Nowhere);
    }
    let writer = Writer { row: job.row, id: &job.id, logs: &job.logs, run: &job.launch.spec.run };
    let (pipes, were_there) =
        world.pipes_for(&writer).map_err(|error| failed(SpawnStage::Output, &job.id.to_string(), &error))?;
    if were_there {
        let row = job.row.index();
        let keys = [Stream::Stdout, Stream::Stderr].map(|stream| StreamKey { row, stream }).to_vec();
        match job.launch.spec.ready.as_ref().map(|ready| &ready.probe) {
            // A line of the process before must not count.
            Some(Probe::Log(_)) => world.pump.mark(keys),
            _ => world.pump.mark_soon(keys),
        }
    }
    Ok(Output::Pipes(pipes))
}

pub(super) fn holds_nul(error: &HoldsNul) -> SpawnError {
    refused(error.stage, &error.text, "it contains a NUL byte")
}

/// Something that will be just as wrong next time.
pub(super) fn refused(stage: SpawnStage, subject: &str, message: &str) -> SpawnError {
    let (subject, message) = (masked(subject).into_owned(), message.to_owned());
    SpawnError { stage, subject, errno: 0, message, is_passing: false }
}

pub(super) fn failed(stage: SpawnStage, subject: &str, error: &io::Error) -> SpawnError {
    let errno = error.raw_os_error().unwrap_or(0);
    // The text of an `io::Error` ends with the number, which the record holds by itself.
    let mut message = error.to_string().split(" (os error").next().unwrap_or_default().to_owned();
    if os::is_out_of_descriptors(error) {
        message += "; raise the daemon's limit of open files (`ulimit -n`, `LimitNOFILE=`)";
    }
    if stage == SpawnStage::Exec
        && error.kind() == io::ErrorKind::NotFound
        && let Some(interpreter) = os::missing_interpreter(Path::new(subject))
    {
        message = format!("interpreter `{}` of script `{subject}` does not exist", interpreter.display());
    }
    if os::is_peer_gone(error) {
        "the anchor process is gone; the next one is waited for".clone_into(&mut message);
    }
    SpawnError { stage, subject: masked(subject).into_owned(), errno, message, is_passing: os::is_passing(error) }
}

/// A socket that could not be opened, with what to do about it.
pub(super) fn not_listening(why: &NotListening) -> SpawnError {
    let mut refused = failed(SpawnStage::Listen, &why.address.to_string(), &why.error);
    if let Some(words) = why.words().filter(|_| !refused.is_passing) {
        refused.message = words;
    }
    refused
}

/// The spawn that could not even be queued.
pub(super) fn queue_full(id: &InstanceId) -> SpawnError {
    SpawnError { is_passing: true, ..refused(SpawnStage::Clone, &id.to_string(), "too many spawns are waiting") }
}

/// A table without a free row: some other instance may leave one at any moment.
pub(super) fn no_row(id: &InstanceId) -> Failure {
    let error = refused(SpawnStage::TableEntry, &id.to_string(), "all rows of the process table are taken");
    Failure::Spawn { error: SpawnError { is_passing: true, ..error } }
}

/// Runs a job and sends its result back to the loop.
pub(super) fn run(world: &Arc<World>, job: SpawnJob, results: &tokio::sync::mpsc::UnboundedSender<SpawnResult>) {
    let outcome = spawn(world, &job);
    // The loop is gone only when the daemon leaves; the row tells the next one.
    let _ = results.send(SpawnResult { row: job.row, incarnation: job.incarnation, launch: job.launch, outcome });
}
