//! One spawn, from spec to process. Runs on a spawning thread: scripts may lie on folders that hang.

use std::ffi::{CString, OsStr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::context::exec_context;
use super::failures::{failed, holds_nul, not_executed, not_listening, refused};
use super::socket_access::socket_access;
use crate::anchor::Row;
use crate::logs::{Before, Begun, StreamKey};
use crate::model::{
    Environment, ExecContext, Fact, Failure, Launch, Moment, Probe, SpawnError, SpawnStage, Stream, Subject,
};
use crate::os::{self, ExecPlan, Output, PidFd, SpawnFailed};
use crate::rules;
use crate::supervisor::channels::{self, Ends};
use crate::supervisor::cluster;
use crate::supervisor::handover::Handover;
use crate::supervisor::host::SpawnJob;
use crate::supervisor::outputs::Writer;
use crate::supervisor::world::World;

/// A disk that hangs holds up no start for longer; what a process says may then count as said by the one before.
const BEGUN_WAIT: Duration = Duration::from_millis(100);
/// The same where a line in the log tells that the process is ready.
const BEGUN_WAIT_FOR_TIMES: Duration = Duration::from_secs(1);

/// What became of it.
#[derive(Debug)]
pub(in crate::supervisor) struct SpawnResult {
    pub row: u32,
    pub incarnation: u32,
    pub launch: Launch,
    pub outcome: Result<Spawned, SpawnError>,
}

/// A process that was created.
#[derive(Debug)]
pub(in crate::supervisor) struct Spawned {
    pub pid: u32,
    /// `None` if it has already ended and was reaped: its status stands in the row.
    pub process: Option<PidFd>,
    /// What it can tell us by itself.
    pub channels: Ends,
}

/// Carries the job out. Every step that can fail is named in the error, with the thing that it was about.
pub(super) fn spawn(world: &World, job: &SpawnJob) -> Result<Spawned, SpawnError> {
    os::killpoint("spawn.begin");
    let row = row_of(world, job)?;
    let start = os::now();
    let mut context = context(world, job, &world.mark(job, start).to_string())?;
    let argv = rules::argv(&job.launch.spec.run, job.id.slot)
        .ok_or_else(|| refused(SpawnStage::Find, &job.id.to_string(), "the app has neither `script` nor `command`"))?;
    let program = find(&argv.words[0], &context.cwd, &context.env)?;
    let speaker = if job.launch.spec.hooks.pre_start.is_some() { Speaker::BehindHook } else { Speaker::Process };
    let (output, begun) = outputs(world, row, job, speaker)?;
    let listen = &job.launch.spec.run.listen;
    let access = socket_access(&job.launch.spec.run, context.identity.as_ref())?;
    let names = &job.launch.spec.run.access.socket_names;
    let handover = world.listeners.hand_over(&world.anchor, &job.id.app, listen, (names, &access));
    let handover = handover.map_err(|why| not_listening(&why))?;
    let (mut channels, handover) = Ends::open(world, job.row, job.incarnation, &job.launch.spec, handover)
        .map_err(|error| failed(SpawnStage::Channels, &job.id.to_string(), &error))?;
    let handover = worker_handover(world, job, &mut context, handover).inspect_err(|_| {
        channels::release(world, job.row, job.incarnation, &job.launch.spec);
        world.clusters.leave(job.row, job.incarnation);
    })?;
    context.env.extend(handover.variables);
    let plan = ExecPlan {
        handed: handover.descriptors,
        stdin: job.launch.spec.run.stdin,
        is_told_its_pid: !listen.is_empty(),
        group: group(world, job)?,
        ..ExecPlan::new(&context, &program, &argv.words, output).map_err(|text| holds_nul(&text))?
    };
    let created = create(world, row, job, start, &plan, (&program, begun));
    if created.is_err() {
        channels::release(world, job.row, job.incarnation, &job.launch.spec);
        world.clusters.leave(job.row, job.incarnation);
    }
    channels.user_id = context.identity.map(|identity| identity.uid);
    created.map(|(pid, process)| Spawned { pid, process, channels })
}

/// What a worker of a cluster gets besides: its channel, and the lines that it preloads.
fn worker_handover(
    world: &World,
    job: &SpawnJob,
    context: &mut ExecContext,
    handover: Handover,
) -> Result<Handover, SpawnError> {
    let spec = &job.launch.spec;
    if !spec.is_cluster() {
        return Ok(handover);
    }
    let at_channels = |error: std::io::Error| failed(SpawnStage::Channels, &job.id.to_string(), &error);
    if let Err(error) = cluster::preload_hook(&world.home, spec, context) {
        let message = format!("`cluster.drain_hook` cannot be preloaded: {error}");
        world.events.emit(Subject::Instance(job.id.clone()), Fact::Trouble { message });
    }
    let process = (job.row, job.incarnation);
    world
        .clusters
        .hand_over(&world.anchor, process, (&job.id.app, spec), context.identity.as_ref(), handover)
        .map_err(at_channels)
}

fn row_of(world: &World, job: &SpawnJob) -> Result<Row, SpawnError> {
    world
        .table
        .row(job.row)
        .ok_or_else(|| refused(SpawnStage::TableEntry, &job.id.to_string(), "the process table has no such entry"))
}

/// The control group of an instance whose tree is limited, where groups can be had.
fn group(world: &World, job: &SpawnJob) -> Result<Option<CString>, SpawnError> {
    let limits = &job.launch.spec.run.limits;
    match world.groups_for(limits) {
        Some(groups) => groups
            .create(job.row, limits)
            .map(Some)
            .map_err(|error| failed(SpawnStage::Limits, "control group", &error)),
        None => Ok(None),
    }
}

/// Where the process of a job runs, and its helpers.
pub(super) fn context(world: &World, job: &SpawnJob, cookie: &str) -> Result<ExecContext, SpawnError> {
    exec_context(&world.home.root, &job.id, &job.launch.spec, &job.launch.base, cookie)
}

/// The pipe of the standard error of an instance, for both outputs of a command beside it.
pub(super) fn error_output(world: &World, job: &SpawnJob, speaker: Speaker) -> Result<Output, SpawnError> {
    let (output, begun) = outputs(world, row_of(world, job)?, job, speaker)?;
    if let Some(begun) = begun {
        begun.wait(BEGUN_WAIT);
    }
    Ok(match output {
        Output::Pipes([_, errors]) => Output::Pipes([Arc::clone(&errors), errors]),
        other => other,
    })
}

/// The window that matters: from the announcement in the row to the record that the process runs.
fn create(
    world: &World,
    row: Row,
    job: &SpawnJob,
    start: Moment,
    plan: &ExecPlan,
    (program, begun): (&str, Option<Begun>),
) -> Result<(u32, Option<PidFd>), SpawnError> {
    if job.incarnation > 1 {
        // The row forgets how the process before last ended. What was told of it must be on the disk by then: should
        // we be killed, nothing else knows it.
        world.settle_facts();
    }
    row.begin(job.incarnation, start)
        .map_err(|error| refused(SpawnStage::TableEntry, &job.id.to_string(), &error.to_string()))?;
    // Before the process exists: should both of us die, the announcement is found, and by it the process.
    world.mirror([row.index()]);
    os::killpoint("spawn.announced");
    // Long done, as a rule.
    match (begun, job.launch.spec.ready.as_ref().map(|ready| &ready.probe)) {
        // A line of the process before must not count.
        (Some(begun), Some(Probe::Log(_))) => begun.wait_for_later_times(BEGUN_WAIT_FOR_TIMES),
        (Some(begun), _) => begun.wait(BEGUN_WAIT),
        (None, _) => {}
    }
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

/// Why the last process of a row never executed its program, if that is how it ended.
pub(in crate::supervisor) fn died_before_exec(row: Row, launch: &Launch) -> Option<Failure> {
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

/// Who writes into the pipes of an instance next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speaker {
    /// A new process.
    Process,
    /// A new process whose `pre_start` has spoken.
    BehindHook,
    /// That hook.
    HookBefore,
    /// A command beside the process that runs, or ran.
    Beside,
}

/// The pipes that the speaker is to open; and what to wait for before it starts, so that its words are told from those
/// before.
fn outputs(world: &World, row: Row, job: &SpawnJob, speaker: Speaker) -> Result<(Output, Option<Begun>), SpawnError> {
    if job.logs.disable_logs {
        return Ok((Output::Nowhere, None));
    }
    let writer = Writer { row, id: &job.id, logs: &job.logs, run: &job.launch.spec.run };
    let (pipes, were_there) =
        world.pipes_for(&writer).map_err(|error| failed(SpawnStage::Output, &job.id.to_string(), &error))?;
    let row = job.row;
    let [output, errors] = [Stream::Stdout, Stream::Stderr].map(|stream| StreamKey { row, stream });
    let before = match speaker {
        Speaker::Beside => {
            world.pump.begin_line(errors);
            return Ok((Output::Pipes(pipes), None));
        }
        Speaker::BehindHook => Before::ItsHook,
        Speaker::Process | Speaker::HookBefore if were_there => Before::Another,
        // Their files may be there from an earlier life of the app.
        Speaker::Process | Speaker::HookBefore => Before::Nothing,
    };
    let begun = world.pump.begin_process(vec![output, errors], before);
    Ok((Output::Pipes(pipes), Some(begun).filter(|_| before != Before::Nothing)))
}

/// Runs a job and sends its result back to the loop.
pub(super) fn run(world: &Arc<World>, job: SpawnJob, results: &tokio::sync::mpsc::UnboundedSender<SpawnResult>) {
    let outcome = spawn(world, &job);
    // The loop is gone only when the daemon leaves; the row tells the next one.
    let _ = results.send(SpawnResult { row: job.row, incarnation: job.incarnation, launch: job.launch, outcome });
}
