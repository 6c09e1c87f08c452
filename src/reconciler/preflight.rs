//! Before a process is ended for another one: whether that one can be started at all.

use super::OperationResult;
use super::execute::Execution;
use crate::model::{AppName, Phase};

impl Execution {
    /// `Done` if nothing is known that would keep new processes of the app from being started. Else what the start would
    /// end with; whatever runs in these slots has not been touched.
    pub(super) async fn can_start(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        let Some(slot) = slots.first() else { return OperationResult::Done };
        let Some(launch) = self.launch(app, *slot) else { return OperationResult::Superseded };
        let instance = self.id(app).instance(*slot);
        let Err(failure) = self.surroundings.supervisor.rehearse(instance.clone(), launch).await else {
            return OperationResult::Done;
        };
        let now = self.surroundings.supervisor.look(vec![instance.clone()]).await;
        let is_reverted = now.iter().any(|(_, live)| matches!(live.phase, Phase::Running { .. }));
        let (failure, exit, last_lines) = (Some(failure), None, Vec::new());
        OperationResult::Failed { instance, failure, exit, last_lines, is_reverted, is_stuck: false }
    }
}
