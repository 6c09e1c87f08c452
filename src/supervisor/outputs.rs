//! The pipes of every instance: made once per row, held by the anchor, read by the pump, written by whatever runs there.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::world::World;
use crate::anchor::{HELD_ERRORS, HELD_OUTPUT, Row};
use crate::logs::StreamKey;
use crate::model::{InstanceId, LogPolicy, Stream};
use crate::os;

/// Standard output and standard error.
pub(super) type Pipes = [Arc<OwnedFd>; 2];

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// The pipes by rows.
#[derive(Debug, Default)]
pub struct Outputs(Mutex<BTreeMap<u32, Pipes>>);

impl Outputs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Pipes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has the pipes, and whose log they fill.
pub(super) struct Writer<'a> {
    pub row: Row,
    pub id: &'a InstanceId,
    pub logs: &'a LogPolicy,
    /// User and group, if others than ours.
    pub owner: Option<(u32, u32)>,
}

impl World {
    /// The pipes that a process of this row is to write into, and whether they were there before. New ones are given to
    /// the anchor, which outlives us, and to the pump.
    ///
    /// # Errors
    /// No descriptors left; the anchor is gone.
    pub(super) fn pipes_for(&self, writer: &Writer<'_>) -> io::Result<(Pipes, bool)> {
        let row = writer.row.index();
        // A hook and the app itself may come at the same time: only one of them makes the pipes.
        let mut known = self.outputs.lock();
        if let Some(pipes) = known.get(&row) {
            for pipe in pipes {
                os::give_pipe(pipe.as_fd(), writer.owner)?;
            }
            return Ok((pipes.clone(), true));
        }
        let pipes = [Arc::new(os::output_pipe(writer.owner)?), Arc::new(os::output_pipe(writer.owner)?)];
        self.connect(writer, &pipes)?;
        known.insert(row, pipes.clone());
        Ok((pipes, false))
    }

    fn connect(&self, writer: &Writer<'_>, pipes: &Pipes) -> io::Result<()> {
        let [output, errors] = pipes;
        let inodes = [os::pipe_inode(output.as_fd())?, os::pipe_inode(errors.as_fd())?];
        self.anchor.hold_two(u64::from(writer.row.index()), HELD_OUTPUT, [output.as_fd(), errors.as_fd()])?;
        writer.row.set_outputs(inodes);
        self.pump(writer, pipes);
        Ok(())
    }

    fn pump(&self, writer: &Writer<'_>, pipes: &Pipes) {
        for (pipe, stream) in pipes.iter().zip(STREAMS) {
            let key = StreamKey { row: writer.row.index(), stream };
            self.pump.attach(key, Arc::clone(pipe), self.target(writer.id, stream, writer.logs));
        }
    }

    /// Takes the pipes of an instance over that an earlier daemon started, so that its output flows again: what the
    /// anchor held for it, else (after the death of both) what its processes still have open.
    ///
    /// # Errors
    /// Its processes may not be looked into: what they say from now on is lost.
    pub(super) fn reconnect(&self, writer: &Writer<'_>, held: &mut BTreeMap<(u64, u32), OwnedFd>) -> io::Result<()> {
        let key = u64::from(writer.row.index());
        let kept = [held.remove(&(key, HELD_OUTPUT)), held.remove(&(key, HELD_ERRORS))];
        let pipes = match kept {
            [Some(output), Some(errors)] => [output, errors].map(Arc::new),
            kept => {
                let found = found_in_processes(writer.row, kept)?;
                let [output, errors] = &found;
                self.anchor.hold_two(key, HELD_OUTPUT, [output.as_fd(), errors.as_fd()])?;
                writer.row.set_outputs([os::pipe_inode(output.as_fd())?, os::pipe_inode(errors.as_fd())?]);
                found
            }
        };
        self.pump(writer, &pipes);
        self.outputs.lock().insert(writer.row.index(), pipes);
        Ok(())
    }

    /// Closes the pipes of a row and forgets them, after what is in them has been written. The next user of the row gets
    /// new ones: whoever still holds these cannot write into its log.
    pub(super) fn disconnect(&self, row: u32) {
        self.outputs.lock().remove(&row);
        for (stream, kind) in STREAMS.into_iter().zip([HELD_OUTPUT, HELD_ERRORS]) {
            self.pump.detach(StreamKey { row, stream });
            // An anchor that does not listen is about to be replaced; the new one holds nothing of this row.
            let _ = self.anchor.drop_held(u64::from(row), kind);
        }
    }
}

/// The pipes that are recorded for a row, as far as its process or anything below it has them open. One that nobody has
/// open any more has nothing to say: a new one stands in its place.
fn found_in_processes(row: Row, kept: [Option<OwnedFd>; 2]) -> io::Result<Pipes> {
    let main = row.pid();
    let below = main.map(|pid| os::descendants(row.index(), pid)).unwrap_or_default();
    let processes: Vec<u32> = main.into_iter().chain(below.iter().map(|other| other.process.pid())).collect();
    let find = |inode: u64, kept: Option<OwnedFd>| -> io::Result<Arc<OwnedFd>> {
        if let Some(kept) = kept {
            return Ok(Arc::new(kept));
        }
        let mut refused = None;
        for pid in processes.iter().filter(|_| inode != 0) {
            match os::pipe_of_process(*pid, inode) {
                Ok(Some(pipe)) => return Ok(Arc::new(pipe)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // it has ended
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or_else(|| os::output_pipe(None).map(Arc::new), Err)
    };
    let ([output, errors], [out, err]) = (kept, row.outputs());
    Ok([find(out, output)?, find(err, errors)?])
}
