//! Why there is no answer from another machine, in words: `ssh` says it in one exit code and a line of text.

use std::io;

use super::host::RemoteHost;
use crate::cli::fail::{Code, CommandError};
use crate::cli::output::harmless;
use crate::os::CarrierEnd;
use crate::wire;

/// The exit code of a shell that does not find the program.
const NOT_FOUND: i32 = 127;
/// The exit code of a `pm` that does not know the command.
const UNKNOWN_COMMAND: i32 = 64;
/// Lines of `ssh` that are shown.
const LINES_MAX: usize = 4;

/// `ssh` could not be started.
pub(super) fn not_started(error: &io::Error) -> CommandError {
    if error.kind() == io::ErrorKind::NotFound {
        return CommandError::new(Code::Unreachable, "there is no `ssh` on the PATH")
            .hint("install the client of OpenSSH: `--host` uses it with your keys and your configuration");
    }
    CommandError { exit_code: Code::Unreachable as u8, ..CommandError::system("cannot start `ssh`", error) }
}

/// It ended before the other machine answered.
pub(super) fn not_reached(host: &RemoteHost, end: &CarrierEnd) -> CommandError {
    let causes = lines(&end.complaint);
    let unreachable = |message: String| CommandError { causes, ..CommandError::new(Code::Unreachable, message) };
    let said = |words: &str| end.complaint.contains(words);
    let try_it = format!("`{}` has to work without a question", host.ssh_line());
    match end.exit_code {
        Some(NOT_FOUND) => unreachable(format!("there is no `pm` on `{host}`")).hint(
            "install it there: it is looked for on the PATH of the commands of ssh, in ~/.local/bin and in ~/.cargo/bin",
        ),
        Some(UNKNOWN_COMMAND) => unreachable(format!("the `pm` on `{host}` does not know `--host` yet"))
            .hint(format!("install {} there, too", wire::VERSION)),
        _ if said("REMOTE HOST IDENTIFICATION HAS CHANGED") => {
            unreachable(format!("the key of `{host}` is another one than before; nothing was sent"))
                .hint("find out why before you remove the old one from known_hosts")
        }
        _ if said("Host key verification failed") => unreachable(format!("the key of `{host}` is not known; nothing was sent"))
            .hint(format!("`{}` shows it and asks once", host.ssh_line())),
        _ if said("Permission denied") => {
            unreachable(format!("`{host}` does not let you in")).hint(format!("{try_it}: `ssh-add -l` lists your keys"))
        }
        _ => unreachable(format!("cannot reach `{host}` through ssh")).hint(try_it),
    }
}

/// The other `pm` speaks another protocol.
pub(super) fn other_protocol(host: &RemoteHost, version: &str) -> CommandError {
    let version = harmless(version);
    let message =
        format!("`pm` on `{host}` is version {version}, this is {}: they do not understand each other", wire::VERSION);
    CommandError::new(Code::Unreachable, message).hint("install the same version on both machines")
}

/// The connection broke while the command ran.
pub(super) fn lost(host: &RemoteHost, end: &CarrierEnd, changes: bool) -> CommandError {
    let code = if changes { Code::TimedOut } else { Code::Unreachable };
    let error = CommandError {
        causes: lines(&end.complaint),
        ..CommandError::new(code, format!("the connection to `{host}` was lost before the command ended"))
    };
    if changes {
        return error.hint("what the daemon there has accepted goes on: `pm --host … list` shows how far it is");
    }
    error.hint("run the command again")
}

/// The last lines that say something.
fn lines(complaint: &str) -> Vec<String> {
    let said: Vec<&str> = complaint.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    said[said.len().saturating_sub(LINES_MAX)..].iter().map(|line| harmless(line).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_in_our_words() {
        let host = RemoteHost::parse("ssh://me@box:2222").unwrap();
        for (exit_code, complaint, expected) in [
            (255, "me@box: Permission denied (publickey).\n", "does not let you in"),
            (255, "Host key verification failed.\r\n", "is not known"),
            (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "another one"),
            (255, "ssh: connect to host box port 2222: Connection refused\n", "cannot reach"),
            (255, "", "cannot reach"),
            (127, "", "there is no `pm`"),
            (64, "error: unrecognized subcommand '__remote'\n", "does not know `--host` yet"),
        ] {
            let end = CarrierEnd { exit_code: Some(exit_code), complaint: complaint.to_owned() };
            let error = not_reached(&host, &end);
            assert!(error.message.contains(expected), "{complaint}: {}", error.message);
            assert_eq!((error.exit_code, error.hint.is_some()), (69, true), "{complaint}");
            assert_eq!(error.causes.is_empty(), complaint.is_empty());
        }
    }
}
