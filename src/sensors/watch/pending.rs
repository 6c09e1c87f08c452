//! A change that was noticed and is not acted upon yet, as a small file: whoever watches the app next goes on with it.
//!
//! It is not synced: it is there for the death of the daemon in the middle of a build, and for a watcher that makes
//! way for one with other rules. Without it a change is lost then, because the next watcher takes the files as it
//! finds them.

use std::path::PathBuf;

use crate::model::{AppId, Cause};
use crate::os::{self, Home};

/// More than any cause with a path is long.
const BYTES_MAX: u64 = 64 << 10;

/// The file of one app. All of it blocks: for a thread that may wait.
#[derive(Clone, Debug)]
pub(super) struct Pending(PathBuf);

impl Pending {
    pub(super) fn of(app: &AppId, home: &Home) -> Self {
        Self(home.changes().join(app.to_string()))
    }

    /// From now on it is known what is to be done. Where it cannot be written, only this is lost.
    pub(super) fn note(&self, cause: &Cause) {
        let Some((folder, text)) = self.0.parent().zip(serde_json::to_vec(cause).ok()) else { return };
        let _ = os::create_private_folder(folder).and_then(|()| os::write_whole(&self.0, &text, 0o600));
    }

    /// What the watcher before was still to do.
    pub(super) fn left_over(&self) -> Option<Cause> {
        serde_json::from_slice(&os::read_limited(&self.0, BYTES_MAX).ok()?).ok()
    }

    /// It is done, or need not be done any more.
    pub(super) fn forget(&self) {
        let _ = os::remove_if_there(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (home, app) = (Home::at(folder.path()), "shop:api".parse().unwrap());
        let pending = Pending::of(&app, &home);
        assert_eq!(pending.left_over(), None);
        for (path, others) in [("src/a.js", 0), ("src/b.js", 7)] {
            let cause = Cause::Watch { path: path.into(), others };
            pending.note(&cause);
            assert_eq!(Pending::of(&app, &home).left_over(), Some(cause));
        }
        assert_eq!(Pending::of(&"shop:web".parse().unwrap(), &home).left_over(), None);
        pending.forget();
        assert_eq!(pending.left_over(), None);
    }
}
