//! The pipes of an instance: made once per row, held by the anchor, read by the pump, written by whatever runs there.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pipes::Pipes;
use crate::anchor::{HELD_ERRORS, HELD_OUTPUT, Row};
use crate::logs::StreamKey;
use crate::model::{InstanceId, LogPolicy, Run, Stream};
use crate::os;
use crate::supervisor::world::World;

/// Processes by session, looked up when the first row needs them.
pub(in crate::supervisor) type Sessions = LazyCell<BTreeMap<u32, Vec<u32>>>;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// Who has the pipes, and whose log they fill.
pub(in crate::supervisor) struct Writer<'a> {
    pub row: Row,
    pub id: &'a InstanceId,
    pub logs: &'a LogPolicy,
    /// Whom the files belong to.
    pub run: &'a Run,
}

impl World {
    /// The pipes that a process of this row is to write into, and whether they were there before. New ones are given to
    /// the anchor, which outlives us, and to the pump. A hook and the app itself may ask at the same time.
    ///
    /// # Errors
    /// No descriptors left; the anchor is gone.
    pub(in crate::supervisor) fn pipes_for(&self, writer: &Writer<'_>) -> io::Result<(Pipes, bool)> {
        let row = writer.row.index();
        if let Some(pipes) = self.outputs.get_or_claim(row) {
            for stream in STREAMS {
                // This process may run as another user than the one before it.
                let target = self.target(writer.id, stream, writer.logs, writer.run);
                self.pump.retarget(StreamKey { row, stream }, target);
            }
            return Ok((pipes, true));
        }
        let made = self.outputs.make().and_then(|output| Ok([output, self.outputs.make()?]));
        let made = made.and_then(|pipes| {
            self.hold(writer.row, &pipes)?;
            // Of an earlier user of the row, if our predecessor died while it gave it back.
            writer.row.dropped().iter().for_each(|dropped| dropped.store(0, Ordering::Release));
            self.connect(writer, &pipes)?;
            Ok(pipes)
        });
        self.outputs.put(row, made.as_ref().ok().cloned());
        made.map(|pipes| (pipes, false))
    }

    fn hold(&self, row: Row, [output, errors]: &Pipes) -> io::Result<()> {
        self.anchor.hold_two(u64::from(row.index()), HELD_OUTPUT, [output.as_fd(), errors.as_fd()])
    }

    fn connect(&self, writer: &Writer<'_>, pipes: &Pipes) -> io::Result<()> {
        let [output, errors] = pipes;
        writer.row.set_outputs([os::pipe_inode(output.as_fd())?, os::pipe_inode(errors.as_fd())?]);
        for ((pipe, stream), dropped) in pipes.iter().zip(STREAMS).zip(writer.row.dropped()) {
            let key = StreamKey { row: writer.row.index(), stream };
            let target = self.target(writer.id, stream, writer.logs, writer.run);
            self.pump.attach(key, Arc::clone(pipe), target, Some(dropped));
        }
        Ok(())
    }

    /// Takes the pipes of a row over from an earlier daemon, if it has any, so that its output flows again: what the
    /// anchor held, else (after the death of the anchor) what the processes of the row still have open. `main` is its
    /// main process, if that lives.
    ///
    /// # Errors
    /// A process may not be looked into. It blocks as soon as the pipe is full that only it itself has open.
    pub(in crate::supervisor) fn reconnect(
        &self,
        writer: &Writer<'_>,
        held: &mut BTreeMap<(u64, u32), OwnedFd>,
        main: Option<u32>,
        sessions: &Sessions,
    ) -> io::Result<()> {
        let row = writer.row;
        let mut take = |kind| held.remove(&(u64::from(row.index()), kind));
        let kept = [take(HELD_OUTPUT), take(HELD_ERRORS)];
        if kept.iter().all(Option::is_none) && row.outputs() == [0, 0] {
            return Ok(());
        }
        let is_held = kept.iter().all(Option::is_some);
        let mut trouble = None;
        let mut pipe = |kept: Option<OwnedFd>, inode| match kept {
            Some(kept) => Ok(Arc::new(kept)),
            None => match found_in_processes(row, inode, main, sessions) {
                Ok(Some(found)) => Ok(Arc::new(found)),
                // One that nobody has open any more has nothing to say.
                Ok(None) => new_pipe(),
                Err(error) => {
                    trouble = Some(error);
                    new_pipe()
                }
            },
        };
        let ([output, errors], [out, err]) = (kept, row.outputs());
        let pipes = [pipe(output, out)?, pipe(errors, err)?];
        if !is_held {
            self.hold(row, &pipes)?;
        }
        self.connect(writer, &pipes)?;
        self.outputs.put(row.index(), Some(pipes));
        trouble.map_or(Ok(()), Err)
    }

    /// Closes the pipes of a row and forgets them, after what is in them has been written. The next user of the row gets
    /// new ones: whoever still holds these cannot write into its log.
    pub(in crate::supervisor) fn disconnect(&self, row: u32) {
        self.outputs.put(row, None);
        for (stream, kind) in STREAMS.into_iter().zip([HELD_OUTPUT, HELD_ERRORS]) {
            self.pump.detach(StreamKey { row, stream });
            // An anchor that does not listen is about to be replaced; the new one holds nothing of this row.
            let _ = self.anchor.drop_held(u64::from(row), kind);
        }
    }
}

fn new_pipe() -> io::Result<Arc<OwnedFd>> {
    os::output_pipe().map(Arc::new)
}

/// The pipe with this number, if a process of the row has it open: the main one, one of its session (its parent may be
/// gone), or one below it.
fn found_in_processes(row: Row, inode: u64, main: Option<u32>, sessions: &Sessions) -> io::Result<Option<OwnedFd>> {
    let of_session = || row.pid().and_then(|session| sessions.get(&session)).into_iter().flatten().copied();
    let below = || main.map(|pid| os::descendants(row.index(), pid)).into_iter().flatten();
    let processes = main.into_iter().chain(of_session()).chain(below().map(|other| other.process.pid()));
    let mut refused = None;
    for pid in processes {
        match os::pipe_of_process(pid, inode) {
            Ok(Some(pipe)) => return Ok(Some(pipe)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
            Ok(None) | Err(_) => {} // without it, or ended meanwhile
        }
    }
    refused.map_or(Ok(None), Err)
}
