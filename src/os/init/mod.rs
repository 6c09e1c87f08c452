//! The init system of this machine: which one it is, its tools, and the folders that its files are in.

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::PollFlags;

use super::clock::now;
use super::errno::poll_one;
use crate::model::Millis;

/// A tool of the init system that says nothing for so long is ended.
const PATIENCE: Millis = Millis::seconds(60);
/// How much of its output is kept.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// How a tool of the init system ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolAnswer {
    /// `None`: a signal ended it, or it was ended because it took too long.
    pub exit_code: Option<i32>,
    /// What it printed on standard output.
    pub output: String,
    /// What it printed on standard error.
    pub complaint: String,
}

/// Runs a tool of the init system with these variables added, and waits for its end.
///
/// # Errors
/// There is no such program, no descriptors left; `TimedOut`: it was ended after a minute.
pub fn run_init_tool(program: &str, args: &[String], variables: &[(String, String)]) -> io::Result<ToolAnswer> {
    let (mut output, output_writer) = io::pipe()?;
    let (mut complaint, complaint_writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
    // A question (for a password, say) has nobody to answer it here.
    command.env("SYSTEMD_PAGER", "").env("LC_ALL", "C").stdin(Stdio::null());
    let mut child = command.stdout(output_writer).stderr(complaint_writer).spawn()?;
    drop(command); // with our copies of the writing ends
    let read = read_within(&mut output).and_then(|text| Ok((text, read_within(&mut complaint)?)));
    if read.is_err() {
        let _it_may_have_ended = child.kill();
    }
    let exit_code = child.wait()?.code();
    let (output, complaint) = read?;
    Ok(ToolAnswer { exit_code, output, complaint })
}

/// Everything up to the end, as far as it is kept.
fn read_within(reader: &mut io::PipeReader) -> io::Result<String> {
    let give_up = now().after(PATIENCE);
    let (mut all, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let left: Duration = give_up.since(now()).duration();
        if left.is_zero() || poll_one(&*reader, PollFlags::IN, Some(left))?.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match reader.read(&mut block)? {
            0 => return Ok(String::from_utf8_lossy(&all).into_owned()),
            length if all.len() < OUTPUT_BYTES_MAX => all.extend_from_slice(&block[..length]),
            _ => {}
        }
    }
}

/// The name of process 1: `systemd`, `runit`, `init`; empty where it cannot be seen.
pub fn first_process() -> String {
    fs::read_to_string("/proc/1/comm").unwrap_or_default().trim().to_owned()
}

/// Makes a folder that everybody may look into, and those above it.
///
/// # Errors
/// As `mkdir(2)`.
pub fn create_open_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// The user that a file belongs to; links are followed. `None` if it cannot be seen.
pub fn owner_of_file(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.uid())
}

/// Whether other users than its owner may write to a file.
pub fn is_writable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o022 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> io::Result<ToolAnswer> {
        run_init_tool("sh", &["-c".to_owned(), script.to_owned()], &[("WORD".to_owned(), "hello".to_owned())])
    }

    #[test]
    fn a_tool_answers_with_its_code_and_both_of_its_outputs() {
        let answer = shell("echo $WORD; echo no >&2; exit 3").unwrap();
        let expected = ToolAnswer { exit_code: Some(3), output: "hello\n".into(), complaint: "no\n".into() };
        assert_eq!(answer, expected);
        assert_eq!(shell("kill -9 $$").unwrap().exit_code, None);
        assert!(run_init_tool("no-such-program", &[], &[]).is_err());
        assert!(shell("yes | head -c 200000").unwrap().output.len() <= OUTPUT_BYTES_MAX + 4096);
    }
}
