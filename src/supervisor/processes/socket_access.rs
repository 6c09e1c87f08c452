//! Who may connect to the Unix sockets of an app: what is declared, else its own user and group.

use super::failures::{failed, refused};
use crate::model::{Identity, Run, SpawnError, SpawnStage};
use crate::os::{self, SocketAccess};

/// `own`: who the process becomes, if another user than the daemon's.
pub(super) fn socket_access(run: &Run, own: Option<&Identity>) -> Result<SocketAccess, SpawnError> {
    let unknown = |name: &str, what: &str| refused(SpawnStage::User, name, &format!("there is no such {what}"));
    let user = match run.access.socket_user.as_deref() {
        Some(name) => {
            let user = os::user_named(name).map_err(|error| failed(SpawnStage::User, name, &error))?;
            Some(user.ok_or_else(|| unknown(name, "user"))?.uid)
        }
        None => own.map(|own| own.uid),
    };
    let group = match run.access.socket_group.as_deref() {
        Some(name) => {
            let group = os::group_id(name).map_err(|error| failed(SpawnStage::User, name, &error))?;
            Some(group.ok_or_else(|| unknown(name, "group"))?)
        }
        None => own.map(|own| own.gid),
    };
    Ok(SocketAccess { mode: run.access.socket_mode.unwrap_or(SocketAccess::default().mode), user, group })
}
