//! Rows that name a spec which the state does not hold: what lives in them is kept, what does not is forgotten.

use std::sync::Arc;

use super::member::Member;
use super::recover::{member_of, verified};
use super::run::Loop;
use super::unlisted::instance_of;
use crate::anchor::{Row, RowState};
use crate::model::{App, Exit, Fact, InstanceId, Subject};
use crate::os;
use crate::rules::StartMark;

/// What happens to a process whose spec was lost.
const LEFT_ALONE: &str = "it is left running until an apply declares its app or `pm delete` ends it";
/// What happens to one that cannot be told from a stranger's.
const UNNAMED: &str = "it is left running, and an apply may start a second one beside it";

impl Loop {
    /// The instance behind a living process, by what the process itself was told when it was started. `None` after
    /// saying so, if it cannot be known, or is known by another row already.
    pub(super) fn lost_member(&mut self, row: Row) -> Option<Member> {
        if !is_alive(row) {
            self.forget_row(row);
            return None;
        }
        let found = self.identity(row).filter(|id| self.roster.row_of(id).is_none());
        let pid = row.pid().unwrap_or(0);
        let about = found.clone().map_or(Subject::Daemon, Subject::Instance);
        let message = match &found {
            Some(_) => format!("process {pid} runs, and its spec is lost: {LEFT_ALONE}"),
            None => format!("process {pid} runs, its spec is lost, and it does not say of which app it is: {UNNAMED}"),
        };
        self.world.events.emit(about, Fact::Trouble { message });
        // The digests in the row stay: a state that is put back later may know them.
        found.map(|id| member_of(row, Arc::new(App::with_lost_spec(id.app)), Arc::default()))
    }

    /// What the process says of itself, proven by the cookie of this very row and incarnation.
    fn identity(&self, row: Row) -> Option<InstanceId> {
        let pid = row.pid()?;
        let mark: StartMark = os::cookie_of(pid)?.parse().ok()?;
        let is_its = mark.incarnation == row.incarnation() && mark.start == row.started().0;
        if mark.home != self.world.table.home_id() || !is_its {
            return None;
        }
        instance_of(pid, row.record().slot)
    }

    /// Nothing lives in it and nothing of it could be started again.
    fn forget_row(&mut self, row: Row) {
        if row.abandon().is_err() {
            let _ = row.exited_unseen(Exit::Unknown);
            let _ = row.idle(&row.record());
        }
        let message = format!("row {} of the process table was of a lost spec and without a process", row.index());
        self.world.events.emit(Subject::Daemon, Fact::Trouble { message });
        self.world.disconnect(row.index());
        if row.free().is_ok() {
            self.unmirrored.insert(row.index());
        }
    }
}

/// What a person should be told of the instances that were found so.
pub(super) fn warning(lost: &[InstanceId]) -> Option<String> {
    const NAMED_MAX: usize = 5;
    if lost.is_empty() {
        return None;
    }
    let mut names: Vec<String> = lost.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if lost.len() > NAMED_MAX {
        names.push(format!("and {} more", lost.len() - NAMED_MAX));
    }
    let names = names.join(", ");
    Some(format!(
        "what runs as {names} was started from a spec that is lost: an apply that declares it replaces it, `pm delete` ends it"
    ))
}

fn is_alive(row: Row) -> bool {
    matches!(row.state(), RowState::Spawning | RowState::Running) && verified(row).is_some()
}
