//! The plan of a child process: everything is decided and allocated before it exists.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use crate::model::{ExecContext, Identity, Limits, SpawnStage, StdinMode};

/// Everything that a child needs.
#[derive(Debug)]
pub struct ExecPlan {
    /// What is executed: an absolute path.
    pub program: CString,
    /// Its arguments, `argv[0]` included.
    pub argv: Vec<CString>,
    /// Its environment, `NAME=value`.
    pub envp: Vec<CString>,
    /// Its working folder.
    pub cwd: CString,
    /// Who it runs as; `None` = as we do.
    pub identity: Option<Identity>,
    /// File mode mask.
    pub umask: u32,
    /// What it reads from its standard input.
    pub stdin: StdinMode,
    /// Its standard output and standard error.
    pub output: Output,
    /// What it gets besides, as descriptors from 3 on.
    pub handed: Vec<OwnedFd>,
    /// It finds its own number in `LISTEN_PID` (`sd_listen_fds(3)`), which nobody else can know in time.
    pub is_told_its_pid: bool,
    /// What it may use, as far as that is set on the process itself.
    pub limits: Limits,
    /// The file through which it enters its control group.
    pub group: Option<CString>,
    /// The kernel kills it when the thread that started it ends, and makes it the parent of what is orphaned below it: for
    /// helpers of ours, never for apps.
    pub dies_with_caller: bool,
}

/// Where the standard output and the standard error of a child go, in this order.
#[derive(Debug)]
pub enum Output {
    /// Nothing of it is kept.
    Nowhere,
    /// Copies of these descriptors.
    Opened([OwnedFd; 2]),
    /// Ends of its own of these pipes ([`crate::os::output_pipe`]).
    Pipes([Arc<OwnedFd>; 2]),
}

/// Runs the first argument, says on descriptor 3 that it has ended, and waits there.
const BEHIND_GATE: &str = r#"/bin/sh -c "$1" 3>&-; status=$?; echo >&3; read -r _ <&3; exit $status"#;

/// A text that the kernel cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` contains a NUL byte")]
pub struct HoldsNul {
    /// The step that it is for.
    pub stage: SpawnStage,
    /// The text.
    pub text: String,
}

impl ExecPlan {
    /// A program in a context, with nothing but its outputs.
    ///
    /// # Errors
    /// A text holds a NUL byte.
    pub fn new(context: &ExecContext, program: &str, words: &[String], output: Output) -> Result<Self, HoldsNul> {
        let ExecContext { env, cwd, identity, umask, limits } = context;
        let text = |text: &str| c_string(SpawnStage::Exec, text.as_bytes());
        Ok(Self {
            program: text(program)?,
            argv: words.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
            envp: env.iter().map(|(name, value)| text(&format!("{name}={value}"))).collect::<Result<_, _>>()?,
            cwd: c_string(SpawnStage::Folder, cwd.as_os_str().as_bytes())?,
            identity: identity.clone(),
            umask: *umask,
            stdin: StdinMode::Null,
            output,
            handed: Vec::new(),
            is_told_its_pid: false,
            limits: limits.clone(),
            group: None,
            dies_with_caller: false,
        })
    }

    /// A command line for `sh -c` beside an app; it does not outlive the thread that starts it.
    ///
    /// # Errors
    /// A text holds a NUL byte.
    pub fn in_context(context: &ExecContext, command: &str, output: Output) -> Result<Self, HoldsNul> {
        let words = ["sh", "-c", command].map(str::to_owned);
        Ok(Self { dies_with_caller: true, ..Self::new(context, "/bin/sh", &words, output)? })
    }

    /// The same, but the shell stays when the command has ended, as the parent of whatever that left, until the gate is
    /// opened.
    ///
    /// # Errors
    /// A text holds a NUL byte.
    pub fn behind_gate(context: &ExecContext, command: &str, output: Output, gate: OwnedFd) -> Result<Self, HoldsNul> {
        let words = ["sh", "-c", BEHIND_GATE, "sh", command].map(str::to_owned);
        let plan = Self::new(context, "/bin/sh", &words, output)?;
        Ok(Self { dies_with_caller: true, handed: vec![gate], ..plan })
    }
}

fn c_string(stage: SpawnStage, text: &[u8]) -> Result<CString, HoldsNul> {
    CString::new(text).map_err(|_| HoldsNul { stage, text: String::from_utf8_lossy(text).into_owned() })
}
