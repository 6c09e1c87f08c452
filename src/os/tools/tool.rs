//! Other programs that a command runs for an answer: bounded in time and in what is kept of their output.

use std::io::{self, PipeReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::model::Millis;
use crate::os::PidFd;
use crate::os::clock::now;
use crate::os::errno::uninterrupted;

/// How much of the standard error is kept.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;

/// A program to run to its end.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    /// A path, or a name that is looked up on the PATH.
    pub program: &'a str,
    /// Its arguments.
    pub args: &'a [String],
    /// Variables that are added to our own.
    pub variables: &'a [(String, String)],
    /// It is ended after so long.
    pub patience: Millis,
    /// How many bytes of its standard output are kept.
    pub output_bytes_max: usize,
}

/// How such a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolAnswer {
    /// `None`: a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed on standard output.
    pub output: String,
    /// What it printed on standard error.
    pub complaint: String,
    /// It printed more than is kept.
    pub is_cut: bool,
}

/// Runs a program without standard input and waits for its end. What it leaves running is not waited for.
///
/// # Errors
/// There is no such program, no descriptors left; `TimedOut`: it was ended because it took too long.
pub fn run_tool(tool: &ToolCall<'_>) -> io::Result<ToolAnswer> {
    let (output, output_writer) = io::pipe()?;
    let (complaint, complaint_writer) = io::pipe()?;
    let mut command = Command::new(tool.program);
    command.args(tool.args).envs(tool.variables.iter().map(|(name, value)| (name, value)));
    // A question (for a password, say) has nobody to answer it here.
    let mut child = command.stdin(Stdio::null()).stdout(output_writer).stderr(complaint_writer).spawn()?;
    drop(command); // with our copies of the writing ends
    let mut streams = [ToolStream::new(output, tool.output_bytes_max), ToolStream::new(complaint, COMPLAINT_BYTES_MAX)];
    let read = PidFd::open(child.id()).and_then(|process| read_both(&mut streams, &process, tool.patience));
    if read.is_err() {
        let _it_may_have_ended = child.kill();
    }
    let exit_code = child.wait()?.code();
    read?;
    let [output, complaint] = streams;
    let is_cut = output.is_cut;
    Ok(ToolAnswer { exit_code, output: output.text(), complaint: complaint.text(), is_cut })
}

/// One output of the program.
struct ToolStream {
    reader: PipeReader,
    kept: Vec<u8>,
    bytes_max: usize,
    is_cut: bool,
    is_open: bool,
}

impl ToolStream {
    fn new(reader: PipeReader, bytes_max: usize) -> Self {
        Self { reader, kept: Vec::new(), bytes_max, is_cut: false, is_open: true }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut block = [0; 16 << 10];
        let length = uninterrupted(|| self.reader.read(&mut block))?;
        self.is_open = length > 0;
        let kept = length.min(self.bytes_max - self.kept.len());
        self.is_cut |= kept < length;
        self.kept.extend_from_slice(&block[..kept]);
        Ok(())
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// Until both are closed, or the program is gone and nothing more has come.
fn read_both(streams: &mut [ToolStream; 2], process: &PidFd, patience: Millis) -> io::Result<()> {
    let give_up = now().after(patience);
    while streams.iter().any(|stream| stream.is_open) {
        let left: Duration = give_up.since(now()).duration();
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let limit = left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        let [is_output_ready, is_complaint_ready, has_ended] = {
            let mut fds = vec![PollFd::new(process, PollFlags::IN)];
            fds.extend(
                streams.iter().filter(|stream| stream.is_open).map(|stream| PollFd::new(&stream.reader, PollFlags::IN)),
            );
            uninterrupted(|| Ok(poll(&mut fds, Some(&limit))?))?;
            let mut ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
            let mut is_ready = |stream: &ToolStream| stream.is_open && ready.next().unwrap_or(false);
            [is_ready(&streams[0]), is_ready(&streams[1]), !fds[0].revents().is_empty()]
        };
        if has_ended && !is_output_ready && !is_complaint_ready {
            return Ok(());
        }
        for (stream, is_ready) in streams.iter_mut().zip([is_output_ready, is_complaint_ready]) {
            if is_ready {
                stream.read_some()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Millis) -> io::Result<ToolAnswer> {
        let args = ["-c".to_owned(), script.to_owned()];
        let variables = [("WORD".to_owned(), "hello".to_owned())];
        run_tool(&ToolCall { program: "sh", args: &args, variables: &variables, patience, output_bytes_max: 100_000 })
    }

    #[test]
    fn a_tool_answers_with_its_code_and_both_of_its_outputs() {
        let minute = Millis::seconds(60);
        let answer = shell("echo $WORD; echo no >&2; exit 3", minute).unwrap();
        let expected =
            ToolAnswer { exit_code: Some(3), output: "hello\n".into(), complaint: "no\n".into(), is_cut: false };
        assert_eq!(answer, expected);
        assert_eq!(shell("kill -9 $$", minute).unwrap().exit_code, None);
        // More on one of them than a pipe holds, while the other is open.
        let answer = shell("yes | head -c 300000 >&2; yes | head -c 300000; echo end", minute).unwrap();
        assert_eq!((answer.output.len(), answer.complaint.len(), answer.is_cut), (100_000, COMPLAINT_BYTES_MAX, true));
        // What it leaves behind holds its outputs open.
        assert_eq!(shell("sleep 100 & echo $!", minute).map(|answer| end(&answer.output)).unwrap(), Some(0));
        let missing =
            ToolCall { program: "no-such-program", args: &[], variables: &[], patience: minute, output_bytes_max: 1 };
        assert_eq!(run_tool(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        assert_eq!(shell("exec sleep 100", Millis(50)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// Ends the process that the test has started.
    fn end(pid: &str) -> Option<i32> {
        Command::new("kill").arg(pid.trim()).status().ok()?.code()
    }
}
