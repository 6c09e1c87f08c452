//! The build that comes before the first process of an app, for as long as somebody wants it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::{AppId, Desired, Failure, Launch};
use crate::supervisor::Supervisor;

/// Builds an app that is about to be started. It ends with the wish for it: the app was stopped, changed or deleted.
pub(super) async fn build(
    supervisor: Supervisor,
    mut desired: watch::Receiver<Arc<Desired>>,
    app: AppId,
    launch: Launch,
) -> Result<(), Failure> {
    let Launch { spec, base, digest, .. } = launch;
    let is_wanted = |desired: &Desired| {
        let declared = desired.projects.get(&app.project).and_then(|project| project.apps.get(&app.name));
        let is_it = declared.is_some_and(|now| {
            let may_run = (0..now.instances()).any(|slot| now.may_run(slot));
            now.digest == digest && may_run
        });
        is_it && !desired.is_shut_down
    };
    let failed = tokio::select! {
        biased;
        built = supervisor.build_before_start(spec, base) => match built {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        },
        // Without a reconciler the daemon leaves.
        _ = desired.wait_for(|desired| !is_wanted(desired)) => {
            return Err(Failure::Build { message: "the build was called off".to_owned(), printed: Vec::new() });
        }
    };
    Err(Failure::Build { message: failed.how, printed: failed.last_lines })
}
