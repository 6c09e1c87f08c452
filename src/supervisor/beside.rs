//! A command beside an app: in its folder, with its environment, as its user. For probes.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::World;
use super::run::Loop;
use super::spawn::{self, SpawnFailure, SpawnJob};
use crate::model::{InstanceId, Limits, SpawnStage};
use crate::os::{self, ExecPlan, Helper, Output};

impl Loop {
    /// Starts `command` by `sh -c` beside the process `generation` of an instance. No answer: it is gone.
    pub(super) fn run_beside(
        &self,
        instance: &InstanceId,
        generation: u32,
        command: String,
        reply: oneshot::Sender<Result<Helper, String>>,
    ) {
        let Some(row) = self.roster.row_of(instance) else { return };
        let Some(member) = self.roster.get(row).filter(|member| member.machine.generation == generation) else {
            return;
        };
        let job = SpawnJob {
            row: member.row,
            record: member.row_record(),
            id: member.id.clone(),
            generation,
            launch: member.record.clone(),
            logs: member.machine.policy.logs.clone(),
        };
        let world = Arc::clone(&self.world);
        let work = Box::new(move || {
            let started = start(&world, &job, &command).map_err(|failure| failure.failure.to_string());
            // Who asked and went away wants no command to run: dropping it ends it.
            drop(reply.send(started));
        });
        // A full queue: the probe is tried again.
        let _ = self.world.spawners.submit(work);
    }
}

fn start(world: &World, job: &SpawnJob, command: &str) -> Result<Helper, SpawnFailure> {
    let run = &job.launch.spec.run;
    let user = spawn::wanted_user(job)?;
    let env = spawn::environment(world, job, user.as_ref(), &world.cookie(job.row.index(), job.generation));
    let pipe = os::helper_output();
    let (output, [stdout, stderr]) =
        pipe.map_err(|error| spawn::failed(SpawnStage::Output, &job.id.to_string(), &error))?;
    let words = ["sh", "-c", command].map(|word| spawn::c_string(SpawnStage::Exec, word));
    let plan = ExecPlan {
        program: c"/bin/sh".to_owned(),
        argv: words.into_iter().collect::<Result<_, _>>()?,
        envp: spawn::env_words(&env)?,
        cwd: spawn::c_string(SpawnStage::Folder, &run.cwd.to_string_lossy())?,
        identity: user.and_then(|user| user.identity),
        umask: run.umask.unwrap_or(0o022),
        output: Output::Opened([stdout, stderr]),
        handed: Vec::new(),
        is_told_its_pid: false,
        limits: Limits::default(),
        group: None,
        dies_with_caller: true,
        open_files_soft: world.table.open_files_soft(),
    };
    Helper::start(plan, output).map_err(|error| {
        let subject = spawn::subject_of(error, &job.launch, "/bin/sh");
        spawn::failed(error.stage, &subject, &std::io::Error::from_raw_os_error(error.errno))
    })
}
