//! One spawn, from spec to process. Runs on a spawning thread: scripts may lie on folders that hang.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::{Launch, World};
use crate::anchor::{Record, Row};
use crate::logs::StreamKey;
use crate::model::{Environment, Failure, InstanceId, LogPolicy, SpawnError, SpawnStage, Stream};
use crate::os::{self, ExecPlan, Fifo, Identity, PidFd, User};
use crate::rules::{self, Place};

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
    pub generation: u32,
    /// What is started.
    pub launch: Launch,
    /// Where its output goes now; may be newer than the launch.
    pub logs: LogPolicy,
    /// The pipes are open already.
    pub has_pipes: bool,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct SpawnResult {
    pub row: Row,
    pub generation: u32,
    pub launch: Launch,
    pub outcome: Result<Spawned, SpawnFailure>,
}

/// A process that was created.
#[derive(Debug)]
pub(super) struct Spawned {
    pub pid: u32,
    /// `None` if it has already ended and was reaped: its status stands in the row.
    pub process: Option<PidFd>,
}

/// A process that was not.
#[derive(Clone, Debug)]
pub(super) struct SpawnFailure {
    pub failure: Failure,
    /// The same attempt may succeed a little later.
    pub is_passing: bool,
}

/// Carries the job out. Every step that can fail is named in the error, with the thing that it was about.
pub(super) fn spawn(world: &World, job: &SpawnJob) -> Result<Spawned, SpawnFailure> {
    os::killpoint("spawn.begin");
    let user = wanted_user(job)?;
    let env = environment(world, job, user.as_ref());
    let cwd = &job.launch.spec.run.cwd;
    let argv = rules::argv(&job.launch.spec.run, job.id.slot)
        .ok_or_else(|| refused(SpawnStage::Find, &job.id.to_string(), "neither script nor command"))?;
    let program = find(&argv.words[0], cwd, &env)?;
    let [stdout, stderr] = outputs(world, job, user.as_ref())?;
    let plan = ExecPlan {
        program: c_string(SpawnStage::Exec, &program)?,
        argv: argv.words.iter().map(|word| c_string(SpawnStage::Exec, word)).collect::<Result<_, _>>()?,
        envp: env
            .iter()
            .map(|(name, value)| c_string(SpawnStage::Exec, &format!("{name}={value}")))
            .collect::<Result<_, _>>()?,
        cwd: c_string(SpawnStage::Folder, &cwd.to_string_lossy())?,
        identity: user.as_ref().map(|user| user.identity.clone()),
        umask: job.launch.spec.run.umask.unwrap_or(0o022),
        stdout,
        stderr,
        open_files_soft: world.table.open_files_soft(),
    };
    create(world, job, &plan, &program)
}

/// The window that matters: from the announcement in the row to the record that the process runs.
fn create(world: &World, job: &SpawnJob, plan: &ExecPlan, program: &str) -> Result<Spawned, SpawnFailure> {
    let row = job.row;
    row.begin(job.generation, &job.record)
        .map_err(|error| refused(SpawnStage::Row, &job.id.to_string(), &error.to_string()))?;
    os::killpoint("spawn.announced");
    let created = os::spawn(plan, &row.mailbox(), os::Parent::Anchor(world.table.anchor_pid()));
    os::killpoint("spawn.created");
    match created {
        Ok(pid) => {
            // The anchor may have reaped it by now; then the row is Exited and there is nothing to open.
            let process = PidFd::open(pid).ok();
            let start_ticks = os::proc_stat(pid).map_or(0, |stat| stat.start_ticks);
            let _ = row.running(start_ticks);
            os::killpoint("spawn.running");
            world.mirror(row);
            Ok(Spawned { pid, process })
        }
        Err(error) => {
            // A child that came to be and could not execute its program has a pid; its row follows when it is reaped.
            let _ = row.abandon();
            Err(failed(
                error.stage,
                &subject_of(error.stage, &job.launch, program),
                &io::Error::from_raw_os_error(error.errno),
            ))
        }
    }
}

/// What a failed step was about.
fn subject_of(stage: SpawnStage, launch: &Launch, program: &str) -> String {
    let run = &launch.spec.run;
    match stage {
        SpawnStage::Folder => run.cwd.to_string_lossy().into_owned(),
        SpawnStage::Identity => run.user.clone().unwrap_or_default(),
        SpawnStage::Find
        | SpawnStage::User
        | SpawnStage::Output
        | SpawnStage::Row
        | SpawnStage::Clone
        | SpawnStage::Session
        | SpawnStage::Descriptors
        | SpawnStage::Exec => program.to_owned(),
    }
}

/// Why the last process of a row never executed its program, if that is how it ended.
pub(super) fn died_before_exec(row: Row, launch: &Launch) -> Option<Failure> {
    let error = os::SpawnFailed::of(&row.mailbox())?;
    let script = launch.spec.run.script.clone().unwrap_or_else(|| "its command".into());
    let subject = subject_of(error.stage, launch, &script);
    Some(failed(error.stage, &subject, &io::Error::from_raw_os_error(error.errno)).failure)
}

/// The user that an app runs as, when it is not the daemon's own.
struct WantedUser {
    user: User,
    identity: Identity,
}

fn wanted_user(job: &SpawnJob) -> Result<Option<WantedUser>, SpawnFailure> {
    let run = &job.launch.spec.run;
    let Some(name) = &run.user else {
        if run.group.is_some() {
            return Err(refused(SpawnStage::User, run.group.as_deref().unwrap_or_default(), "`group` needs `user`"));
        }
        return Ok(None);
    };
    let unknown = || refused(SpawnStage::User, name, "there is no such user");
    let user = os::user_named(name).map_err(|error| failed(SpawnStage::User, name, &error))?.ok_or_else(unknown)?;
    let gid = match &run.group {
        None => user.gid,
        Some(group) => os::group_id(group)
            .map_err(|error| failed(SpawnStage::User, group, &error))?
            .ok_or_else(|| refused(SpawnStage::User, group, "there is no such group"))?,
    };
    let groups = os::supplementary_groups(&user.name, gid).map_err(|error| failed(SpawnStage::User, name, &error))?;
    Ok(Some(WantedUser { identity: Identity { uid: user.uid, gid, groups }, user }))
}

fn environment(world: &World, job: &SpawnJob, wanted: Option<&WantedUser>) -> Environment {
    let cookie = world.cookie(job.row.index(), job.generation);
    let identity = wanted.map(|wanted| {
        let user = &wanted.user;
        [
            ("HOME", user.home.to_string_lossy().into_owned()),
            ("USER", user.name.clone()),
            ("LOGNAME", user.name.clone()),
            ("SHELL", user.shell.to_string_lossy().into_owned()),
        ]
    });
    let home = world.home.root.to_string_lossy();
    let place = Place { instance: &job.id, home: &home, cookie: &cookie, identity };
    rules::environment(&job.launch.spec, &job.launch.base, &place)
}

/// A word with a slash is a path from the working folder; any other is looked up on the app's own PATH.
fn find(word: &str, cwd: &Path, env: &Environment) -> Result<String, SpawnFailure> {
    if word.contains('/') {
        return Ok(cwd.join(word).to_string_lossy().into_owned());
    }
    let path = env.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    match os::find_program(OsStr::new(word), OsStr::new(path)) {
        Some(found) => Ok(found.to_string_lossy().into_owned()),
        None => Err(refused(SpawnStage::Find, word, &format!("not found on PATH ({path})"))),
    }
}

/// The writing ends for one process; the reading ends are handed to the anchor and to the pump the first time.
fn outputs(world: &World, job: &SpawnJob, wanted: Option<&WantedUser>) -> Result<[OwnedFd; 2], SpawnFailure> {
    let owner = wanted.map(|wanted| (wanted.identity.uid, wanted.identity.gid));
    let open = |stream| -> io::Result<OwnedFd> {
        if job.logs.disable_logs {
            return os::open_null();
        }
        let fifo = Fifo::create(&world.home.fifos(), job.row.index(), stream, owner)?;
        if !job.has_pipes {
            world.connect(&fifo, StreamKey { row: job.row.index(), stream }, &job.id, &job.logs)?;
        }
        fifo.open_writer()
    };
    let open = |stream| open(stream).map_err(|error| failed(SpawnStage::Output, &job.id.to_string(), &error));
    Ok([open(Stream::Stdout)?, open(Stream::Stderr)?])
}

fn c_string(stage: SpawnStage, text: &str) -> Result<CString, SpawnFailure> {
    CString::new(text).map_err(|_| refused(stage, text, "it contains a NUL byte"))
}

/// Something that will be just as wrong next time.
fn refused(stage: SpawnStage, subject: &str, message: &str) -> SpawnFailure {
    let error = SpawnError { stage, subject: subject.to_owned(), errno: 0, message: message.to_owned() };
    SpawnFailure { failure: Failure::Spawn { error }, is_passing: false }
}

fn failed(stage: SpawnStage, subject: &str, error: &io::Error) -> SpawnFailure {
    let errno = error.raw_os_error().unwrap_or(0);
    // The text of an `io::Error` ends with the number, which the record holds by itself.
    let mut message = error.to_string().split(" (os error").next().unwrap_or_default().to_owned();
    if stage == SpawnStage::Exec
        && error.kind() == io::ErrorKind::NotFound
        && let Some(interpreter) = os::missing_interpreter(Path::new(subject))
    {
        message = format!("interpreter `{}` of script `{subject}` does not exist", interpreter.display());
    }
    let error = SpawnError { stage, subject: subject.to_owned(), errno, message };
    SpawnFailure { is_passing: os::is_passing(errno), failure: Failure::Spawn { error } }
}

/// The spawn that could not even be queued.
pub(super) fn queue_full(id: &InstanceId) -> SpawnFailure {
    SpawnFailure { is_passing: true, ..refused(SpawnStage::Clone, &id.to_string(), "too many spawns are waiting") }
}

/// A table without a free row.
pub(super) fn no_row(id: &InstanceId) -> Failure {
    refused(SpawnStage::Row, &id.to_string(), "all rows of the process table are taken").failure
}

/// Runs a job and sends its result back to the loop.
pub(super) fn run(world: &Arc<World>, job: SpawnJob, results: &tokio::sync::mpsc::UnboundedSender<SpawnResult>) {
    let outcome = spawn(world, &job);
    // The loop is gone only when the daemon leaves; the row tells the next one.
    let _ = results.send(SpawnResult { row: job.row, generation: job.generation, launch: job.launch, outcome });
}
