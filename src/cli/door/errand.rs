//! sendSignal, reset, flush: for processes that go on.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::super::fail::{Code, CommandError, Ending};
use super::super::output::harmless;
use super::super::session::Session;
use super::kept::{self, CountedFrom};
use super::say::say;
use super::scene::{DoorScene, ListedProcess, everywhere};
use super::show;
use crate::os;
use crate::pm2::DoorCall;
use crate::wire::{NotSignalled, SignalRequest, WhyNotSignalled};

/// `sendSignal SIGUSR2 api`.
pub(super) fn signal(session: &mut Session, call: &DoorCall) -> Ending {
    let [signal, target] = call.targets.as_slice() else {
        return Err(CommandError::new(Code::Usage, "write `sendSignal SIGNAL APP`"));
    };
    let scene = DoorScene::ask(session)?;
    let meant = scene.named(target)?;
    let selection = everywhere(scene.selectors(&meant));
    let answer = Session::client()?.hand_over(&SignalRequest { selection, signal: signal.clone() })?;
    for sent in &answer.sent {
        say(session, &format!("{} sent to {} (process {})", answer.signal, sent.instance.app.name, sent.pid));
    }
    for NotSignalled { instance, why } in &answer.failed {
        let why = match why {
            WhyNotSignalled::NotRunning => "it does not run",
            WhyNotSignalled::NotAllowed => "it runs as another user, whom the daemon may not signal",
        };
        session.screen.note(&format!("[PM2][ERROR] {} not sent to {}: {why}", answer.signal, instance.app.name));
    }
    Ok(if answer.failed.is_empty() { Code::Ok } else { Code::Error })
}

/// `reset api`: this command line counts restarts from now on. `pm list` and `pm events` have all of them.
pub(super) fn reset(session: &mut Session, call: &DoorCall) -> Ending {
    let Some(target) = call.targets.first() else {
        return Err(CommandError::new(Code::Usage, "`reset` needs an app, an id or `all`"));
    };
    let scene = DoorScene::ask(session)?;
    let meant = scene.named(target)?;
    let now = os::wall();
    kept::update(|kept| {
        for member in &meant {
            let from = CountedFrom { starts: member.starts(), at: now };
            kept.counted_from.insert(member.row.id.clone(), from);
        }
    })?;
    for member in &meant {
        say(session, &format!("restarts of {} are counted from now on", member.label()));
    }
    show::after(session, call)?;
    Ok(Code::Ok)
}

/// `flush`, `flush api`: the files that are being written to; older ones stay.
pub(super) fn flush(session: &mut Session, call: &DoorCall) -> Ending {
    let scene = DoorScene::ask(session)?;
    let meant: Vec<ListedProcess<'_>> = match call.targets.first() {
        Some(word) => scene.named(word)?,
        None => scene.members().collect(),
    };
    let files: BTreeSet<PathBuf> = meant.iter().flat_map(ListedProcess::log_paths).flatten().collect();
    let mut code = Code::Ok;
    for file in files {
        let name = harmless(&file.to_string_lossy()).into_owned();
        match os::empty_own_file(&file) {
            Ok(bytes) => say(session, &format!("emptied {name} ({bytes} bytes)")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                session.screen.note(&format!("[PM2][ERROR] `{name}` is not a file of yours alone: not emptied"));
                code = Code::Error;
            }
            Err(error) => {
                session.screen.note(&format!("[PM2][ERROR] cannot empty `{name}`: {error}"));
                code = Code::Error;
            }
        }
    }
    Ok(code)
}
