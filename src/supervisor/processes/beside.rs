//! A command beside the process of an instance, in the same context: hooks, and probes by command.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{failures, spawn};
use crate::model::{Environment, SpawnError, SpawnStage};
use crate::os::{ExecPlan, Helper, HelperGate, HoldsNul, Output, Printed};
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
    /// To whoever has asked for the command: a probe, with which everything ends that it has started.
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
        let no_output = |error: std::io::Error| failures::failed(SpawnStage::Output, &job.id.to_string(), &error);
        let holds_nul = |text: HoldsNul| failures::holds_nul(&text);
        let started = match self.prints {
            Prints::Back => {
                let (printed, ends) = Printed::open(PRINTED_BYTES_MAX).map_err(no_output)?;
                let (gate, other) = HelperGate::open().map_err(no_output)?;
                let output = Output::Opened(ends);
                let plan = ExecPlan::behind_gate(&context, &self.command, output, other).map_err(holds_nul)?;
                Helper::start(plan, Some(printed)).map(|helper| helper.behind(gate))
            }
            Prints::IntoTheLog | Prints::AheadOfTheProcess => {
                let is_ahead = self.prints == Prints::AheadOfTheProcess;
                let speaker = if is_ahead { spawn::Speaker::HookBefore } else { spawn::Speaker::Beside };
                let output = spawn::error_output(world, job, speaker)?;
                let plan = ExecPlan::in_context(&context, &self.command, output).map_err(holds_nul)?;
                Helper::start(plan, None)
            }
        };
        started.map_err(|error| failures::not_executed(error, &job.launch, "/bin/sh"))
    }
}
