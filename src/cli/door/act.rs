//! Stops, restarts, reloads or deletes processes that have been chosen.

use super::super::fail::{Code, CommandError, Ending};
use super::super::session::Session;
use super::follow::edit;
use super::say::say_done;
use super::scene::{DoorScene, ListedProcess};
use crate::pm2::{DoorCall, DoorVerb};
use crate::wire::Edit;

/// Does it with these processes.
pub(super) fn with(session: &mut Session, call: &DoorCall, scene: &DoorScene, meant: &[ListedProcess<'_>]) -> Ending {
    let (code, done) = match call.verb {
        DoorVerb::Stop => (edit(session, Edit::Stop { is_held: false }, scene.selectors(meant))?, "stopped"),
        DoorVerb::Reload => (edit(session, Edit::Reload, scene.selectors(meant))?, "reloaded"),
        DoorVerb::Delete => (delete(session, scene, meant)?, "deleted"),
        _ => (edit(session, Edit::Restart, scene.selectors(meant))?, "restarted"),
    };
    for member in meant {
        say_done(session, code, &format!("{done} {}", member.label()));
    }
    Ok(code)
}

/// Whole apps are deleted; of one with several copies the last ones can be.
fn delete(session: &mut Session, scene: &DoorScene, meant: &[ListedProcess<'_>]) -> Ending {
    let mut whole = Vec::new();
    for selector in scene.selectors(meant) {
        if !selector.contains('/') {
            whole.push(selector);
        }
    }
    let is_whole = |member: &ListedProcess<'_>| whole.contains(&member.id().to_string());
    let mut partly: Vec<(String, u32)> = Vec::new();
    for member in meant.iter().filter(|member| !is_whole(member)) {
        let id = member.id();
        let slots = |members: &mut dyn Iterator<Item = ListedProcess<'_>>| -> Vec<u32> {
            members.filter(|one| one.id() == id).filter_map(|one| one.row.slot).collect()
        };
        let going = slots(&mut meant.iter().copied());
        let staying = slots(&mut scene.members()).into_iter().filter(|slot| !going.contains(slot)).count();
        let staying = u32::try_from(staying).unwrap_or(u32::MAX);
        if going.iter().any(|slot| *slot < staying) {
            let message = format!("only the last copies of `{}` can be deleted one by one", id.name);
            return Err(CommandError::new(Code::Error, message).hint(format!("`pm scale {} {staying}`", id.name)));
        }
        partly.push((id.to_string(), staying));
    }
    partly.dedup();
    let mut code = edit(session, Edit::Delete, whole)?;
    for (app, to) in partly {
        let next = edit(session, Edit::Scale { to }, vec![app])?;
        code = if next == Code::Ok { code } else { next };
    }
    Ok(code)
}
