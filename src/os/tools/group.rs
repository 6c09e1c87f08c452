//! Other programs that start programs of their own (git, ssh): run for an answer in a process group that ends as a whole.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::model::{Millis, Moment};
use crate::os::PidFd;
use crate::os::clock::now;
use crate::os::errno::{checked, uninterrupted};

/// How much of the end of the standard error is kept.
const COMPLAINT_BYTES_MAX: usize = 32 << 10;
/// How often the caller is asked whether the answer is still of use.
const ASK_EVERY: Millis = Millis(100);

/// A program to run to its end, with everything that it starts.
#[derive(Clone, Copy)]
pub struct GroupCall<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub args: &'a [String],
    /// All of its variables: nothing of our own is added.
    pub variables: &'a [(String, String)],
    /// Where it works.
    pub folder: &'a Path,
    /// What it reads from standard input.
    pub input: &'a [u8],
    /// It is ended after so long.
    pub patience: Millis,
    /// How many bytes of its standard output are kept.
    pub output_bytes_max: usize,
    /// Asked some times a second; it is ended once this says yes.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// How such a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupAnswer {
    /// `None`: a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed on standard output.
    pub output: Vec<u8>,
    /// The end of what it printed on standard error.
    pub complaint: String,
    /// It printed more on standard output than is kept.
    pub is_cut: bool,
}

/// Runs a program in a process group of its own and waits for its end. Whatever is left of the group then is killed, also
/// after a time-out; the program itself dies with the thread that runs this.
///
/// # Errors
/// There is no such program, no descriptors left; `TimedOut`: it was ended because it took too long; `Interrupted`: because
/// `is_cancelled` said so.
pub fn run_in_group(call: &GroupCall<'_>) -> io::Result<GroupAnswer> {
    let (output, output_writer) = io::pipe()?;
    let (complaint, complaint_writer) = io::pipe()?;
    let mut command = Command::new(call.program);
    command.args(call.args).env_clear().envs(call.variables.iter().map(|(name, value)| (name, value)));
    command.current_dir(call.folder).process_group(0);
    command.stdin(input_of(call.input)?).stdout(output_writer).stderr(complaint_writer);
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec and only makes two system calls.
    unsafe {
        command.pre_exec(move || {
            checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
            // The parent may have died before that.
            if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
    let mut child = command.spawn()?;
    drop(command); // with our copies of the writing ends
    let mut streams = [
        GroupOutput::new(output, call.output_bytes_max, KeptPart::Beginning),
        GroupOutput::new(complaint, COMPLAINT_BYTES_MAX, KeptPart::End),
    ];
    let read = PidFd::open(child.id()).and_then(|process| read_until_end(&mut streams, &process, call));
    end_group(&child);
    let exit_code = child.wait()?.code();
    read?;
    let [output, complaint] = streams;
    let is_cut = output.is_cut;
    let complaint = String::from_utf8_lossy(&complaint.kept).into_owned();
    Ok(GroupAnswer { exit_code, output: output.kept, complaint, is_cut })
}

/// Kills what is left of the group. Its leader has not been reaped, so that its number can belong to nobody else.
fn end_group(leader: &Child) {
    if let Ok(group) = i32::try_from(leader.id()) {
        // SAFETY: passes no pointers. That nobody is left is no error.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

fn input_of(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// What is kept of an output that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeptPart {
    Beginning,
    End,
}

/// One output of the program.
struct GroupOutput {
    reader: PipeReader,
    kept: Vec<u8>,
    bytes_max: usize,
    kept_part: KeptPart,
    is_cut: bool,
    is_open: bool,
}

impl GroupOutput {
    fn new(reader: PipeReader, bytes_max: usize, kept_part: KeptPart) -> Self {
        Self { reader, kept: Vec::new(), bytes_max, kept_part, is_cut: false, is_open: true }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut block = [0; 16 << 10];
        let length = uninterrupted(|| self.reader.read(&mut block))?;
        self.is_open = length > 0;
        if self.kept_part == KeptPart::End {
            self.kept.extend_from_slice(&block[..length]);
            let excess = self.kept.len().saturating_sub(self.bytes_max);
            self.kept.drain(..excess);
        } else {
            let kept = length.min(self.bytes_max - self.kept.len());
            self.is_cut |= kept < length;
            self.kept.extend_from_slice(&block[..kept]);
        }
        Ok(())
    }
}

/// Until the program is gone and nothing more has come.
fn read_until_end(streams: &mut [GroupOutput; 2], process: &PidFd, call: &GroupCall<'_>) -> io::Result<()> {
    let give_up = now().after(call.patience);
    loop {
        let limit = next_look(give_up)?;
        let (has_ended, ready) = {
            let mut fds = vec![PollFd::new(process, PollFlags::IN)];
            let open = streams.iter().filter(|stream| stream.is_open);
            fds.extend(open.map(|stream| PollFd::new(&stream.reader, PollFlags::IN)));
            uninterrupted(|| Ok(poll(&mut fds, Some(&limit))?))?;
            let mut ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
            let is_ready = streams.each_ref().map(|stream| stream.is_open && ready.next().unwrap_or(false));
            (!fds[0].revents().is_empty(), is_ready)
        };
        if has_ended && ready == [false; 2] {
            return Ok(());
        }
        for (stream, is_ready) in streams.iter_mut().zip(ready) {
            if is_ready {
                stream.read_some()?;
            }
        }
        if !has_ended && (call.is_cancelled)() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
    }
}

/// How long the next wait may be.
fn next_look(give_up: Moment) -> io::Result<Timespec> {
    let left = give_up.since(now());
    if left == Millis(0) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    left.min(ASK_EVERY).duration().try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn shell(script: &str, patience: Millis, is_cancelled: &dyn Fn() -> bool) -> io::Result<GroupAnswer> {
        let args = ["-c".to_owned(), script.to_owned()];
        let variables = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        run_in_group(&GroupCall {
            program: Path::new("/bin/sh"),
            args: &args,
            variables: &variables,
            folder: Path::new("/"),
            input: b"what was asked",
            patience,
            output_bytes_max: 100_000,
            is_cancelled,
        })
    }

    /// Whether the process of this number is no more, or only waits to be reaped.
    fn is_gone(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    fn wait_until_gone(pid: &str) {
        let give_up = now().after(Millis::seconds(20));
        while !is_gone(pid) {
            assert!(now() < give_up, "{pid} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_gets_exactly_what_it_is_given() {
        let answer =
            shell("cat; pwd; env | grep -c HOME; echo no >&2; exit 3", Millis::seconds(60), &|| false).unwrap();
        assert_eq!(String::from_utf8(answer.output).unwrap(), "what was asked/\n0\n");
        assert_eq!((answer.exit_code, answer.complaint.as_str(), answer.is_cut), (Some(3), "no\n", false));
    }

    #[test]
    fn of_too_much_the_beginning_of_the_answer_and_the_end_of_the_complaint_are_kept() {
        let script = "yes | head -c 300000; (yes no | head -c 300000; echo last) >&2";
        let answer = shell(script, Millis::seconds(60), &|| false).unwrap();
        assert_eq!((answer.output.len(), answer.is_cut), (100_000, true));
        assert!(answer.complaint.len() <= COMPLAINT_BYTES_MAX && answer.complaint.ends_with("no\nlast\n"));
    }

    #[test]
    fn what_it_leaves_running_ends_with_it() {
        let answer = shell("sleep 1000 & echo $!", Millis::seconds(60), &|| false).unwrap();
        wait_until_gone(&String::from_utf8(answer.output).unwrap());
    }

    #[test]
    fn too_slow_or_not_wanted_any_more_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        // Its outputs are closed: only the end of the process itself counts.
        let script = format!("exec >&- 2>&-; sleep 1000 & echo $! > {}.tmp; mv {0}.tmp {0}; wait", file.display());
        assert_eq!(shell(&script, Millis(700), &|| false).unwrap_err().kind(), io::ErrorKind::TimedOut);
        wait_until_gone(&std::fs::read_to_string(&file).unwrap());
        std::fs::remove_file(&file).unwrap();
        let asked = Cell::new(0);
        let is_cancelled = || {
            asked.set(asked.get() + 1);
            file.exists()
        };
        let error = shell(&script, Millis::seconds(60), &is_cancelled).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert!(asked.get() > 0);
        wait_until_gone(&std::fs::read_to_string(&file).unwrap());
    }
}
