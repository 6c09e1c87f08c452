//! A command beside an app, in the same context. For probes.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::World;
use super::run::Loop;
use super::spawn::{self, SpawnJob};
use crate::model::{InstanceId, SpawnError, SpawnStage};
use crate::os::{self, ExecPlan, Helper, Output};

impl Loop {
    /// Starts `command` by `sh -c` beside the process `incarnation` of an instance. No answer: it is gone.
    pub(super) fn run_beside(
        &self,
        instance: &InstanceId,
        incarnation: u32,
        command: String,
        reply: oneshot::Sender<Result<Helper, String>>,
    ) {
        let Some(row) = self.roster.row_of(instance) else { return };
        let Some(member) = self.roster.get(row).filter(|member| member.machine.incarnation == incarnation) else {
            return;
        };
        let job = SpawnJob {
            row: member.row,
            record: member.row_record(),
            id: member.id.clone(),
            incarnation,
            launch: member.record.clone(),
            logs: member.machine.policy.logs.clone(),
        };
        let world = Arc::clone(&self.world);
        let work = Box::new(move || {
            let started = start(&world, &job, &command).map_err(|error| error.to_string());
            // Who asked and went away wants no command to run: dropping it ends it.
            drop(reply.send(started));
        });
        // A full queue: the probe is tried again.
        let _ = self.world.spawners.submit(work);
    }
}

fn start(world: &World, job: &SpawnJob, command: &str) -> Result<Helper, SpawnError> {
    let context = spawn::context(world, job, &world.helper_mark(job).to_string())?;
    let pipe = os::helper_output();
    let (output, outputs) = pipe.map_err(|error| spawn::failed(SpawnStage::Output, &job.id.to_string(), &error))?;
    let plan =
        ExecPlan::in_context(&context, command, Output::Opened(outputs)).map_err(|text| spawn::holds_nul(&text))?;
    Helper::start(plan, output).map_err(|error| spawn::not_executed(error, &job.launch, "/bin/sh"))
}
