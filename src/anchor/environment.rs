//! The environment variables of anchor and daemon, independent of who started them.
//!
//! | variable | value | for |
//! | --- | --- | --- |
//! | `PM_HOME` | the home | the daemon's way to its folders |
//! | `PATH` | the usual folders | whatever is executed by its bare name without an app being concerned |
//! | `HOME` | from `/etc/passwd` | libraries that look into it |
//!
//! No `TZ`: schedules without a zone of their own follow `/etc/localtime`. No `LANG`: we speak one language. What the apps
//! get is recorded when they are applied, and comes from the shell of that moment.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::os::{self, Home};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that control test builds (see `os::killpoint`).
#[cfg(debug_assertions)]
const PASSED_ON: &[&str] = &["PM_KILLPOINT"];
#[cfg(not(debug_assertions))]
const PASSED_ON: &[&str] = &[];

/// `NAME=value`, always in the same order.
///
/// # Errors
/// A path with a null byte.
pub(super) fn own_environment(home: &Home) -> io::Result<Vec<CString>> {
    let user = os::user_by_id(os::user_id()).ok().flatten();
    let mut variables: Vec<(&str, OsString)> = vec![
        ("HOME", user.map_or_else(|| OsString::from("/"), |user| user.home.into_os_string())),
        ("PATH", PATH.into()),
        ("PM_HOME", home.root.clone().into_os_string()),
    ];
    variables.extend(PASSED_ON.iter().filter_map(|name| Some((*name, OsString::from(os::variable(name)?)))));
    let text = |(name, value): (&str, OsString)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat());
    variables.into_iter().map(|variable| text(variable).map_err(io::Error::from)).collect()
}
