//! A command beside an app, in the same context. For probes.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{failures, spawn};
use crate::model::{SpawnError, SpawnStage};
use crate::os::{self, ExecPlan, Helper, Output};
use crate::supervisor::host::SpawnJob;
use crate::supervisor::world::World;

/// Starts `command` by `sh -c` in the surroundings of a process, on a thread of its own.
pub(in crate::supervisor) fn start_beside(
    world: &Arc<World>,
    job: SpawnJob,
    command: String,
    reply: oneshot::Sender<Result<Helper, String>>,
) {
    let shared = Arc::clone(world);
    let work = Box::new(move || {
        let started = start(&shared, &job, &command).map_err(|error| error.to_string());
        // Who asked and went away wants no command to run: dropping it ends it.
        drop(reply.send(started));
    });
    // A full queue: the probe is tried again.
    let _ = world.spawners.submit(work);
}

fn start(world: &World, job: &SpawnJob, command: &str) -> Result<Helper, SpawnError> {
    let context = spawn::context(world, job, &world.helper_mark(job).to_string())?;
    let pipe = os::helper_output();
    let (output, outputs) = pipe.map_err(|error| failures::failed(SpawnStage::Output, &job.id.to_string(), &error))?;
    let plan =
        ExecPlan::in_context(&context, command, Output::Opened(outputs)).map_err(|text| failures::holds_nul(&text))?;
    Helper::start(plan, output).map_err(|error| failures::not_executed(error, &job.launch, "/bin/sh"))
}
