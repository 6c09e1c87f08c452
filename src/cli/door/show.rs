//! list, jlist, prettylist, describe, env, pid, id.

use super::super::fail::{Code, CommandError, Ending};
use super::super::output::harmless;
use super::super::session::Session;
use super::scene::{DoorScene, ListedProcess, everywhere};
use super::{inspect, jlist, table};
use crate::pm2::DoorCall;

/// The table, after a command that has changed something.
pub(super) fn after(session: &mut Session, call: &DoorCall) -> Result<(), CommandError> {
    list(session, call).map(drop)
}

/// The table.
pub(super) fn list(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    if session.screen.is_quiet {
        return Ok(Code::Ok);
    }
    let members: Vec<ListedProcess<'_>> = scene.members().collect();
    let text = if call.options.has("mini-list") {
        table::mini(&members)
    } else {
        table::list(&members, session.screen.paint(), session.screen.width())
    };
    session.screen.data(text.as_bytes());
    Ok(Code::Ok)
}

pub(super) fn json_list(session: &mut Session) -> Ending {
    let scene = DoorScene::ask(session)?;
    session.screen.compact(&jlist::all(&scene))?;
    Ok(Code::Ok)
}

pub(super) fn pretty_list(session: &mut Session) -> Ending {
    let scene = DoorScene::ask(session)?;
    session.screen.data(inspect::text(&jlist::all(&scene)).as_bytes());
    Ok(Code::Ok)
}

fn target(call: &DoorCall) -> Result<&str, CommandError> {
    let missing = || CommandError::new(Code::Usage, format!("`{}` needs an app or an id", call.word));
    call.targets.first().map(String::as_str).ok_or_else(missing)
}

pub(super) fn describe(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    for member in scene.named(target(call)?)? {
        if !session.screen.is_quiet {
            let text = table::details(&member, session.screen.paint());
            session.screen.data(text.as_bytes());
        }
    }
    Ok(Code::Ok)
}

pub(super) fn environment(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    let meant = scene.named(target(call)?)?;
    let answer = Session::client()?.environment(&everywhere(vec![meant[0].row.id.clone()]), false)?;
    for (name, value) in &answer.env {
        session.screen.line(&format!("{}: {}", harmless(name), harmless(value)));
    }
    Ok(Code::Ok)
}

/// One a line; 0 for what does not run, an empty line for what nobody knows.
pub(super) fn pids(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    let meant = scene.meant_by(call.targets.first().map_or("all", String::as_str))?;
    let pids: Vec<String> = meant.iter().map(|member| member.row.pid.unwrap_or(0).to_string()).collect();
    session.screen.line(&pids.join("\n"));
    Ok(Code::Ok)
}

/// As a list of JavaScript.
pub(super) fn numbers(session: &mut Session, call: &DoorCall) -> Ending {
    let name = target(call)?;
    let scene = DoorScene::ask(session)?;
    let numbers: Vec<String> =
        scene.members().filter(|member| member.known.name == name).map(|member| member.number.to_string()).collect();
    session.screen.line(&if numbers.is_empty() { "[]".to_owned() } else { format!("[ {} ]", numbers.join(", ")) });
    Ok(Code::Ok)
}
