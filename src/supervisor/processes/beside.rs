//! A command beside the process of an instance, in the same context: hooks, and probes by command.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{failures, spawn};
use crate::model::{Environment, SpawnError, SpawnStage};
use crate::os::{ExecPlan, Helper, Output, Printed};
use crate::supervisor::host::SpawnJob;
use crate::supervisor::world::World;

/// What is kept of the output of a command: its end.
const PRINTED_BYTES_MAX: usize = 4096;

/// A command for `sh -c`, and what it is about.
#[derive(Debug)]
pub(in crate::supervisor) struct Beside {
    /// The process, and its context.
    pub job: SpawnJob,
    pub command: String,
    /// Variables besides those of the app.
    pub more: Environment,
    /// Follows its mark, to tell this run from others; may be empty.
    pub run: String,
    pub prints: Prints,
}

/// Where its output goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) enum Prints {
    /// To whoever has asked for the command.
    Back,
    /// To the standard error of the app.
    IntoTheLog,
    /// The same, where the output of a new process begins.
    AheadOfTheProcess,
}

impl Beside {
    /// Starts it on a spawning thread, and answers. Who asked and went away wants no command to run: it ends. No answer:
    /// too many starts are waiting.
    pub fn start(self, world: &Arc<World>, reply: oneshot::Sender<Result<Helper, String>>) {
        let shared = Arc::clone(world);
        let work = move || drop(reply.send(self.begin(&shared).map_err(|error| error.to_string())));
        let _ = world.spawners.submit(Box::new(work));
    }

    fn begin(&self, world: &World) -> Result<Helper, SpawnError> {
        let job = &self.job;
        let mark = format!("{}{}", world.helper_mark(job), self.run);
        let mut context = spawn::context(world, job, &mark)?;
        context.env.extend(self.more.clone());
        let (printed, output) = match self.prints {
            Prints::Back => {
                let pipe = Printed::open(PRINTED_BYTES_MAX);
                let (printed, ends) =
                    pipe.map_err(|error| failures::failed(SpawnStage::Output, &job.id.to_string(), &error))?;
                (Some(printed), Output::Opened(ends))
            }
            Prints::IntoTheLog => (None, spawn::error_output(world, job, spawn::Speaker::Beside)?),
            Prints::AheadOfTheProcess => (None, spawn::error_output(world, job, spawn::Speaker::HookBefore)?),
        };
        let plan = ExecPlan::in_context(&context, &self.command, output).map_err(|text| failures::holds_nul(&text))?;
        Helper::start(plan, printed).map_err(|error| failures::not_executed(error, &job.launch, "/bin/sh"))
    }
}
