//! The worker of a Git source (`pm source-worker NAME`, started by the daemon): one look at a repository, and what follows.
//!
//! It acts as a client: it fetches and lays out, reads the file in the release as `pm apply` would, and applies it. What must
//! outlive it is kept by the daemon; what it prints last is what the look came to.

mod deploy;
mod entry;
mod inputs;
mod preview;
mod proof;
mod remote;
mod sync;

use std::ffi::OsString;

use super::fail::{Code, CommandError, Ending};
use super::session::Session;
use crate::model::{SourceName, TickEnd};
use crate::os;
use sync::SourceSync;

pub(in crate::cli) use preview::{Preview, preview};

/// As it is called; not a command for users.
pub(super) const WORKER: &str = "source-worker";

/// Places where a test can kill the worker: a release is laid out but not sealed, …
const LAID_OUT: &str = "source.laid_out";
/// … a commit is about to be applied, …
const BEGAN: &str = "source.began";
/// … it was accepted, …
const ACCEPTED: &str = "source.accepted";
/// … it has proved itself, or is bad, …
const PROVED: &str = "source.proved";
/// … it was rolled back.
const RETURNED: &str = "source.returned";

/// Looks once.
///
/// # Errors
/// It was called in another way.
pub(super) fn work(session: &mut Session, words: &[OsString]) -> Ending {
    static VISITS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    os::arm_killpoints(&VISITS);
    let (name, is_forced) = match words {
        [name] => (name, false),
        [name, flag] if flag == "--force" => (name, true),
        _ => return Err(misused()),
    };
    let source = name.to_str().and_then(|name| SourceName::new(name).ok()).ok_or_else(misused)?;
    session.screen.is_quiet = true;
    // The daemon whose worker this is has its home already.
    super::session::insist();
    let end = look(session, source, is_forced);
    session.screen.compact(&end)?;
    Ok(Code::Ok)
}

fn misused() -> CommandError {
    CommandError::new(Code::Usage, "`pm source-worker` is started by the daemon")
        .hint("`pm source sync NAME` looks at a source now")
}

fn look(session: &mut Session, source: SourceName, is_forced: bool) -> TickEnd {
    let begun = || SourceSync::new(session, Session::home()?, source, is_forced).run();
    begun().unwrap_or_else(|error| end_of(&error))
}

/// An error as the end of a look: nothing is kept of it, and the next look tries again.
fn end_of(error: &CommandError) -> TickEnd {
    let words: Vec<&str> = std::iter::once(&error.message).chain(&error.causes).map(String::as_str).collect();
    TickEnd {
        words: words.join(": "),
        hint: error.hint.clone(),
        exit_code: error.exit_code,
        is_unreachable: true,
        again_at: None,
    }
}
