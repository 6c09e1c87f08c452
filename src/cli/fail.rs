//! How a command ends: exit codes, and errors in words.

use std::error::Error;
use std::io;

use clap::builder::StyledStr;

use crate::client::ClientError;
use crate::model::{Refusal, RefusalKind};
use crate::os::{self, HomeError};
use crate::wire::{Problem, ProblemCode};

/// Exit codes: stable, documented, the same in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    Ok = 0,
    /// Something went wrong.
    Error = 1,
    /// `plan --detailed-exitcode`: there is something to do.
    Pending = 2,
    /// Part of a change was skipped, or taken over by a later command.
    Partly = 3,
    /// An app is not healthy.
    Unhealthy = 6,
    /// The waiting is over, the work is not.
    TimedOut = 7,
    /// A safety rule speaks against it; the message names the option that confirms.
    Refused = 8,
    /// The call is wrong.
    Usage = 64,
    /// The file is wrong.
    File = 65,
    /// The daemon cannot be reached.
    Unreachable = 69,
}

/// What a command gives back.
pub(super) type Ending = Result<Code, CommandError>;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct CommandError {
    /// What the process ends with.
    pub exit_code: u8,
    /// Already reported, or nobody reads it: nothing more is printed.
    pub is_told: bool,
    /// The sentence.
    pub message: String,
    /// What led to it, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Further lines.
    pub details: Vec<String>,
    /// What the parser of the command line says instead of all that.
    pub rendered: Option<Box<Rendered>>,
}

/// Text of the parser: help, or what is wrong with a call.
#[derive(Debug)]
pub(super) struct Rendered {
    pub text: StyledStr,
    /// It was requested.
    pub is_answer: bool,
}

impl CommandError {
    /// An error with this exit code.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            exit_code: code as u8,
            is_told: false,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            details: Vec::new(),
            rendered: None,
        }
    }

    /// An error that has been printed.
    pub(super) fn told(exit_code: u8) -> Self {
        Self { exit_code, is_told: true, ..Self::new(Code::Error, "") }
    }

    /// An error of the system.
    pub(super) fn system(message: impl Into<String>, source: &dyn Error) -> Self {
        Self { causes: chain(source), ..Self::new(Code::Error, message) }
    }

    /// With what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and what led to it.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let causes = error.source().map(chain).unwrap_or_default();
        let known = |code| Self { causes: causes.clone(), ..Self::new(code, message.clone()) };
        match error {
            ClientError::Problem(problem) => problem.into(),
            ClientError::NotRunning { .. } => known(Code::Unreachable).hint("`pm apply` or `pm list` starts it"),
            ClientError::NotStarted { hint, .. } => Self { hint, ..known(Code::Unreachable) },
            ClientError::NotConnected { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                known(Code::Unreachable).hint("it belongs to another user; set PM_HOME to a folder of your own")
            }
            ClientError::NotConnected { .. } => known(Code::Unreachable),
            ClientError::CannotBegin { reason, .. } => Self {
                causes: vec![reason],
                ..known(Code::Unreachable).hint(
                    "fix this and run the command again; until then the apps run unsupervised (`pm shutdown` stops them)",
                )
            },
            ClientError::Home(error) => error.into(),
            ClientError::OtherOwner { owner, .. } => {
                known(Code::Unreachable).hint(format!("`sudo -u {} pm …` acts as that user", os::user_name(owner)))
            }
            ClientError::Lost { .. } | ClientError::CutOff { .. } => known(Code::Unreachable)
                .hint("unless `pm shutdown` stopped it, it restarts within moments; `pm list` shows the current state"),
            ClientError::TimedOut => known(Code::Unreachable)
                .hint("`pm daemon status` tries again; `pm daemon restart` replaces it and keeps the apps running"),
            ClientError::Unsendable { .. } => {
                known(Code::Usage).hint("`pm` needs paths that are UTF-8: rename the folder or the file, or work in another one")
            }
            ClientError::NotUnderstood { .. } => known(Code::Error).hint("run `pm daemon restart`"),
            ClientError::OtherProtocol { .. } => {
                known(Code::Unreachable).hint("run `pm daemon restart`; it does not touch the apps")
            }
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        let exit_code = match refusal.kind {
            RefusalKind::Ownership => ProblemCode::Ownership,
            RefusalKind::Safety => ProblemCode::Refused,
            RefusalKind::Usage => ProblemCode::Usage,
            RefusalKind::Stale => ProblemCode::Stale,
        }
        .exit_code();
        Self { exit_code, hint: refusal.hint, ..Self::new(Code::Refused, refusal.message) }
    }
}

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> Self {
        Self {
            exit_code: problem.exit_code,
            is_told: false,
            message: problem.message,
            causes: Vec::new(),
            hint: problem.hint,
            details: problem.details,
            rendered: None,
        }
    }
}

impl From<HomeError> for CommandError {
    fn from(error: HomeError) -> Self {
        let causes = error.source().map(chain).unwrap_or_default();
        Self { causes, hint: error.hint(), ..Self::new(Code::Unreachable, error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ProblemCode;

    #[test]
    fn every_kind_of_problem_has_its_published_exit_code() {
        let cases = [
            (ProblemCode::NoSuchApp, 1),
            (ProblemCode::NotStored, 1),
            (ProblemCode::Ownership, 5),
            (ProblemCode::Refused, 8),
            (ProblemCode::Usage, 64),
            (ProblemCode::Ambiguous, 64),
            (ProblemCode::ShuttingDown, 69),
            (ProblemCode::Forbidden, 69),
        ];
        for (code, expected) in cases {
            let error = CommandError::from(ClientError::from(Problem::new(code, "x")));
            assert_eq!(error.exit_code, expected, "{code:?}");
        }
        let lost = ClientError::Lost { source: io::ErrorKind::UnexpectedEof.into() };
        assert_eq!(CommandError::from(lost).exit_code, 69);
        let cut_off = ClientError::CutOff { source: io::ErrorKind::UnexpectedEof.into() };
        assert_eq!(CommandError::from(cut_off).exit_code, 69);
        assert_eq!(CommandError::from(ClientError::TimedOut).exit_code, 69);
    }
}
