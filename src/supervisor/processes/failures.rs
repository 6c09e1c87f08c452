//! Why a process could not be started: the step, what it was about, and what to do about it.

use std::io;
use std::path::Path;

use crate::model::{InstanceId, Launch, Limits, SpawnError, SpawnStage, masked};
use crate::os::{self, HoldsNul, SpawnFailed};
use crate::supervisor::outputs::NotListening;

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
        message += "; raise the daemon's limit on open files (`ulimit -n`, `LimitNOFILE=`)";
    }
    if stage == SpawnStage::Exec
        && error.kind() == io::ErrorKind::NotFound
        && let Some(interpreter) = os::missing_interpreter(Path::new(subject))
    {
        message = format!("interpreter `{}` of script `{subject}` does not exist", interpreter.display());
    }
    if os::is_peer_gone(error) {
        "the anchor process ended; the start is retried under the next one".clone_into(&mut message);
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
    SpawnError {
        is_passing: true,
        ..refused(
            SpawnStage::Clone,
            &id.to_string(),
            "too many processes are waiting to be started; this one is retried",
        )
    }
}
