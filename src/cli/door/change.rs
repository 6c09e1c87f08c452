//! stop, restart, reload, delete, scale, resurrect: with what was named.

use super::super::fail::{Code, CommandError, Ending};
use super::super::session::Session;
use super::follow::edit;
use super::say::say_done;
use super::scene::{DoorScene, ListedProcess};
use super::{act, show, start};
use crate::model::DesiredState;
use crate::pm2::{DoorCall, DoorVerb};
use crate::wire::Edit;

/// Does it with each target in turn; the first that fails ends it.
pub(super) fn change(session: &mut Session, call: &DoorCall) -> Ending {
    if call.targets.is_empty() {
        return Err(CommandError::new(Code::Usage, format!("`{}` needs an app, an id, a file or `all`", call.word)));
    }
    let mut worst = Code::Ok;
    for target in &call.targets {
        let is_file = start::is_configuration(target);
        let code = match call.verb {
            DoorVerb::Restart | DoorVerb::Reload if is_file => start::file(session, call, target)?,
            DoorVerb::Reload if call.word.starts_with("startOr") => {
                return Err(CommandError::new(Code::Usage, format!("`{}` needs a file, not `{target}`", call.word)));
            }
            DoorVerb::Stop | DoorVerb::Delete if is_file => {
                let names = start::names_in(session, call, target)?;
                let scene = DoorScene::ask(session)?;
                let meant: Vec<ListedProcess<'_>> =
                    scene.members().filter(|member| names.contains(&member.known.name)).collect();
                act::with(session, call, &scene, &meant)?
            }
            _ => {
                let scene = DoorScene::ask(session)?;
                let meant = scene.named(target)?;
                if start::has_settings(call) {
                    let hint = "write them into a file and apply it, or `delete` the app and `start` it with them";
                    return Err(CommandError::new(
                        Code::Usage,
                        format!("`{}` changes no settings of an app", call.word),
                    )
                    .hint(hint));
                }
                if call.options.has("update-env") {
                    start::with_new_environment(session, call, &scene, &meant)?
                } else {
                    act::with(session, call, &scene, &meant)?
                }
            }
        };
        if code != Code::Ok {
            worst = code;
        }
    }
    show::after(session, call)?;
    Ok(worst)
}

/// `scale api 4`, `scale api +1`.
pub(super) fn scale(session: &mut Session, call: &DoorCall) -> Ending {
    let [name, number] = call.targets.as_slice() else {
        return Err(CommandError::new(Code::Usage, "write `scale APP N` or `scale APP +N`"));
    };
    let scene = DoorScene::ask(session)?;
    let meant = scene.named(name)?;
    let id = meant[0].id();
    if meant.iter().any(|member| member.id() != id) {
        return Err(CommandError::new(Code::Error, format!("`{name}` means several apps")));
    }
    let now = meant[0].app.scaled.or(meant[0].app.spec.instances).unwrap_or(1);
    let count = |text: &str| {
        let wrong = || CommandError::new(Code::Usage, format!("`{number}` is not a number of copies"));
        text.parse::<u32>().map_err(|_| wrong())
    };
    let to = match (number.strip_prefix('+'), number.strip_prefix('-')) {
        (Some(more), _) => now.saturating_add(count(more)?),
        (_, Some(fewer)) => now.saturating_sub(count(fewer)?),
        _ => count(number)?,
    };
    if to == now {
        return Err(CommandError::new(Code::Error, format!("nothing to do: `{name}` has {now} copies")));
    }
    let code = edit(session, Edit::Scale { to }, vec![id.to_string()])?;
    say_done(session, code, &format!("{} has {to} copies, {now} before", id.name));
    show::after(session, call)?;
    Ok(code)
}

/// Starts what `kill` or the end of the machine has stopped, and nothing that a user has stopped.
pub(super) fn resurrect(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    let is_down = |member: &ListedProcess<'_>| member.row.is_shut_down && member.app.desired_state == DesiredState::Up;
    let meant: Vec<ListedProcess<'_>> = scene.members().filter(is_down).collect();
    let code = edit(session, Edit::Start, scene.selectors(&meant))?;
    for member in &meant {
        say_done(session, code, &format!("started {}", member.label()));
    }
    show::after(session, call)?;
    Ok(code)
}
