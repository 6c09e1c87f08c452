//! `pm daemon run`: the caller's process becomes the anchor, for service units and containers.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::arguments::{Arguments, Foreground};
use super::environment::own_environment;
use crate::os::{self, Home};

/// Becomes the anchor of `home`, as the process that the caller is: whoever waits for it waits for the anchor. Comes back
/// only to say why not.
pub fn become_anchor(home: &Home, exe: &Path, notify: Option<OsString>) -> io::Error {
    let arguments = Arguments {
        home: home.root.clone(),
        is_insisted: home.is_insisted,
        ready_fd: None,
        foreground: Some(Foreground { notify }),
    };
    let prepared = CString::new(exe.as_os_str().as_bytes()).map_err(io::Error::from);
    let prepared = prepared.and_then(|exe| Ok((exe, arguments.words()?, own_environment(home)?)));
    match prepared {
        Ok((exe, words, variables)) => os::become_service(&exe, &words, &variables),
        Err(error) => error,
    }
}
