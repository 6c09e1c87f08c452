//! Whether a process could be started, known before the one that runs is ended for it.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::context::exec_context;
use super::failures::{holds_nul, not_executed, not_listening, refused};
use super::spawn::find;
use crate::model::{Environment, Failure, InstanceId, Launch, Run, SpawnError, SpawnStage};
use crate::os::{self, ExecPlan, Output};
use crate::rules;
use crate::supervisor::world::World;

/// Stands for the start mark, which is not known yet: as long as the longest one.
const COOKIE: &str = "0000000000000000.0000.0000000000.00000000000000000000.0000000000+.00000000000000000000.\
                      00000000000000000000000000000000.00000000000000000000000000000000";

/// What would keep a process from being started: user, groups, limits, folder, program, sockets, and the size of it all. Does
/// everything that a start does, in a child, but the execution. What is only so at the moment is no reason, nor is a
/// program that `pre_start` may make.
///
/// # Errors
/// The failure that the start would end with.
pub(in crate::supervisor) fn rehearse(world: &World, instance: &InstanceId, launch: &Launch) -> Result<(), Failure> {
    try_all(world, instance, launch).or_else(|failure| tolerate(failure, launch))
}

/// Reasons that may be gone by the time of the start.
fn tolerate(error: SpawnError, launch: &Launch) -> Result<(), Failure> {
    let is_of_program = matches!(error.stage, SpawnStage::Find | SpawnStage::Exec);
    let may_be_made = is_of_program && launch.spec.hooks.pre_start.is_some();
    if error.is_passing || may_be_made { Ok(()) } else { Err(Failure::Spawn { error }) }
}

fn try_all(world: &World, instance: &InstanceId, launch: &Launch) -> Result<(), SpawnError> {
    let run = &launch.spec.run;
    let context = exec_context(&world.home.root, instance, &launch.spec, &launch.base, COOKIE)?;
    let argv = rules::argv(run, instance.slot).ok_or_else(|| {
        refused(SpawnStage::Find, &instance.to_string(), "the app has neither `script` nor `command`")
    })?;
    let program = find(&argv.words[0], &context.cwd, &context.env)?;
    check_size(&program, &argv.words, &context.env)?;
    let plan = ExecPlan::new(&context, &program, &argv.words, Output::Nowhere).map_err(|text| holds_nul(&text))?;
    world.listeners.may_open(&run.listen).map_err(|why| not_listening(&why))?;
    let script = read_by_interpreter(run, &program);
    let reads = script.as_ref().and_then(|script| CString::new(script.as_os_str().as_encoded_bytes()).ok());
    os::rehearse(&plan, reads.as_deref()).map_err(|error| {
        // The kernel does not say which of the two it was.
        let about = script.filter(|_| os::is_executable(Path::new(&program)));
        not_executed(error, launch, &about.map_or(program.clone(), |script| script.to_string_lossy().into_owned()))
    })?;
    match os::missing_interpreter(Path::new(&program)) {
        Some(missing) => {
            let message = format!("its interpreter `{}` does not exist", missing.display());
            Err(refused(SpawnStage::Exec, &program, &message))
        }
        None if matches!(os::file_kind(Path::new(&program)), Ok(os::FileKind::Folder)) => {
            Err(refused(SpawnStage::Exec, &program, "it is a folder"))
        }
        None => Ok(()),
    }
}

fn check_size(program: &str, words: &[String], env: &Environment) -> Result<(), SpawnError> {
    let limits = os::exec_limits();
    rules::exec_size(words, env, limits).map_err(|error| refused(SpawnStage::Exec, program, &error.to_string()))
}

/// The file that the program, which is started for it, opens by itself: the user must be able to read it.
fn read_by_interpreter(run: &Run, program: &str) -> Option<PathBuf> {
    let script = run.script.as_ref().filter(|script| script.contains('/')).map(|script| run.cwd.join(script));
    match &run.interpreter {
        Some(_) => script,
        None => os::first_line(Path::new(program)).filter(|line| line.starts_with("#!")).map(|_| program.into()),
    }
}
