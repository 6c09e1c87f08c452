//! The command line of the anchor process; only `pm` itself writes and reads it.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::os::Home;

const HOME: &str = "--home";
const INSISTED: &str = "--as-root";
const READY_FD: &str = "--ready-fd";
const FOREGROUND: &str = "--foreground";
const NOTIFY: &str = "--notify";

/// What an anchor is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    /// `PM_HOME`.
    pub home: PathBuf,
    /// Root uses it although it belongs to somebody else.
    pub is_insisted: bool,
    /// Who waits for `ok`, or for what went wrong.
    pub ready_fd: Option<RawFd>,
    /// It stays with its caller, who waits for its end.
    pub foreground: Option<Foreground>,
}

/// What there is to an anchor in the foreground.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Foreground {
    /// `NOTIFY_SOCKET` of the service manager.
    pub notify: Option<OsString>,
}

impl Arguments {
    /// Reads the words after `pm anchor`; `None` for what no `pm` writes.
    pub fn parse(words: &[OsString]) -> Option<Self> {
        let mut arguments = Self { home: PathBuf::new(), is_insisted: false, ready_fd: None, foreground: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str()? {
                HOME => arguments.home = PathBuf::from(words.next()?),
                INSISTED => arguments.is_insisted = true,
                FOREGROUND => arguments.foreground = Some(Foreground::default()),
                NOTIFY => arguments.foreground.as_mut()?.notify = Some(words.next()?.clone()),
                READY_FD => arguments.ready_fd = Some(words.next()?.to_str()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(arguments).filter(|arguments| {
            arguments.home.is_absolute() && arguments.ready_fd.is_some() != arguments.foreground.is_some()
        })
    }

    /// The whole command line.
    ///
    /// # Errors
    /// A path with a null byte.
    pub(super) fn words(&self) -> io::Result<Vec<CString>> {
        let mut words = vec![c"pm".to_owned(), c"anchor".to_owned(), CString::new(HOME)?];
        words.push(CString::new(self.home.as_os_str().as_bytes())?);
        if self.is_insisted {
            words.push(CString::new(INSISTED)?);
        }
        if let Some(fd) = self.ready_fd {
            words.extend([CString::new(READY_FD)?, CString::new(fd.to_string())?]);
        }
        if let Some(Foreground { notify }) = &self.foreground {
            words.push(CString::new(FOREGROUND)?);
            if let Some(socket) = notify {
                words.extend([CString::new(NOTIFY)?, CString::new(socket.as_bytes())?]);
            }
        }
        Ok(words)
    }

    /// The folders.
    pub(super) fn home(&self) -> Home {
        Home::at(&self.home).insisted(self.is_insisted)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_that_a_person_may_type_does() {
        let notified = Foreground { notify: Some("@systemd".into()) };
        for (is_insisted, ready_fd, foreground) in [
            (false, Some(1), None),
            (true, Some(3), None),
            (true, None, Some(Foreground::default())),
            (false, None, Some(notified)),
        ] {
            let arguments = Arguments { home: "/var/lib/pm".into(), is_insisted, ready_fd, foreground };
            let words = arguments.words().unwrap();
            let words: Vec<OsString> =
                words.iter().skip(2).map(|word| OsStr::from_bytes(word.to_bytes()).to_owned()).collect();
            assert_eq!(Arguments::parse(&words), Some(arguments));
        }
        for wrong in [
            "",
            "--help",
            "--home",
            "--home /h",
            "--home h --ready-fd 1",
            "--home /h --ready-fd x",
            "--home /h x",
            "--home /h --foreground --ready-fd 1",
            "--home /h --notify x",
        ] {
            let words: Vec<OsString> = wrong.split_whitespace().map(OsString::from).collect();
            assert_eq!(Arguments::parse(&words), None, "{wrong}");
        }
    }
}
