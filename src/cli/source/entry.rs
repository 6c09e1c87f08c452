//! Who may enter a release: the daemon's user, and the users of its apps.
//!
//! Only root starts apps as other users. Their way leads through folders that let everybody pass, to a release that only one group may enter (0550): who else knows the name of a commit gets nothing by it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::model::{App, Identity};
use crate::os::{self, Home};

/// An app whose user cannot enter its release, and why.
pub(super) struct ShutOut {
    pub app: String,
    pub user: String,
    pub why: String,
}

/// An app that runs as somebody else.
struct ForeignApp<'a> {
    app: &'a App,
    user: &'a str,
    identity: Identity,
}

impl ForeignApp<'_> {
    fn can_enter(&self, folder: &Path) -> bool {
        let entered = os::with_rights_of(Some(&self.identity), || os::canonicalize(folder));
        !entered.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    fn shut_out(&self, why: String) -> ShutOut {
        ShutOut { app: self.app.name.to_string(), user: self.user.to_owned(), why }
    }
}

/// Lets the users of these apps into a sealed release; or says which app's user stays outside. Nothing is opened before it is known
/// that this helps.
pub(super) fn let_in(home: &Home, source: &Path, release: &Path, apps: &[App]) -> Result<(), ShutOut> {
    let foreign: Vec<ForeignApp<'_>> = apps.iter().filter_map(foreign).collect();
    let groups: BTreeSet<u32> = foreign.iter().map(|app| app.identity.gid).collect();
    let Some(first) = foreign.first() else { return Ok(()) };
    if !os::lets_pass(source) && foreign.iter().all(|app| app.can_enter(&app.app.run.cwd)) {
        return Ok(());
    }
    // To find the home, its user has to get through everything above it.
    if let Some(outside) = foreign.iter().find(|app| !app.can_enter(&home.root)) {
        return Err(outside.shut_out("who cannot enter the home: the folders above it keep that user out".to_owned()));
    }
    if groups.len() > 1 {
        return Err(
            first.shut_out("and another app as a user of another group; a release lets in one group".to_owned())
        );
    }
    let opened = open(home, source, release, first.identity.gid);
    opened.map_err(|error| first.shut_out(format!("who cannot be let in: {error}")))?;
    match foreign.iter().find(|app| !app.can_enter(&app.app.run.cwd)) {
        Some(outside) => Err(outside.shut_out("who cannot enter its `cwd`".to_owned())),
        None => Ok(()),
    }
}

/// An app whose user is not the daemon's. What is wrong with a user is found by the plan.
fn foreign(app: &App) -> Option<ForeignApp<'_>> {
    let user = app.run.user.as_deref()?;
    let identity = os::account(Some(user), app.run.group.as_deref()).ok()??.identity?;
    (identity.uid != os::user_id()).then_some(ForeignApp { app, user, identity })
}

/// Closes what nobody else needs before anything is opened.
fn open(home: &Home, source: &Path, release: &Path, group: u32) -> io::Result<()> {
    let releases = source.join("releases");
    if !os::lets_pass(source) {
        for (name, is_folder) in os::list_folder(&releases) {
            if is_folder && !name.starts_with('.') {
                os::keep_for(&releases.join(name), None)?;
            }
        }
    }
    os::keep_for(release, Some(group))?;
    let sources = home.root.join("sources");
    [&releases, &source.join("shared"), &source.to_owned(), &sources, &home.root]
        .into_iter()
        .try_for_each(|folder| os::let_pass(folder))
}
