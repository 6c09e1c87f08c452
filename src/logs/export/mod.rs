//! Files that are written from logs, for other programs: with time stamps, as JSON, of several copies, of both outputs.
//!
//! In:    the bytes that a log has grown by   Out:  whole lines in other files
//! Never: a second writer per file; a line twice or not at all, whoever is killed; a process that waits for more than the
//!        log itself would make it wait
//! Walk:  `checkpoint` (how far each log got) → `journal` (on the disk, for the next daemon) → `read` → `render` → here
//!
//! The log comes first: its bytes are in the pipe or in the log, never elsewhere. What is written from it is a function of
//! it: of a range of its bytes and of its index of times. So a write that a kill has interrupted is done again, at the same
//! place with the same bytes, and nobody who follows the file notices. Before each write stands in the journal what is
//! about to be written where; behind it, how far the log was written.

mod checkpoint;
mod journal;
mod read;
mod render;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;

use jiff::tz::TimeZone;

use super::file::{LogError, OpenFiles};
use super::{ExportFile, Location, LogTarget};
use crate::model::{Bytes, InstanceId, LogFormat, Rotation, Stream};
use crate::os;
use crate::rules::{LineOrigin, LineWriter};

pub use journal::ExportJournal;

use checkpoint::{Checkpoint, ExportState, LogPosition};
use journal::{DueFile, DueWrite, NextWrite};
use read::{Times, read_on};
use render::{Joint, render};

/// So much of a line is held until its end comes; a longer one is written in pieces.
const LINE_HELD_BYTES: usize = 1 << 20;

/// The files that the pump writes: the logs, and what is written from them.
pub(super) struct WrittenFiles {
    pub(super) open: OpenFiles,
    journal: Option<ExportJournal>,
    /// How far each log was written that is written from.
    states: HashMap<Location, ExportState>,
    /// How far an earlier daemon got with logs that nobody has attached yet, by their keys.
    earlier: HashMap<u64, Checkpoint>,
}

/// Whose output is written, by what rules.
#[derive(Clone, Copy)]
struct ExportJob<'a> {
    instance: &'a InstanceId,
    stream: Stream,
    log: &'a Location,
    exports: &'a [ExportFile],
    rotation: Rotation,
}

impl<'a> ExportJob<'a> {
    fn of(target: &'a LogTarget, stream: Stream) -> Self {
        let LogTarget { instance, location, exports, rotation, .. } = target;
        Self { instance, stream, log: location, exports, rotation: *rotation }
    }
}

impl WrittenFiles {
    /// Finishes what an earlier daemon was writing when it died.
    pub(super) fn new(open: OpenFiles, journal: Option<ExportJournal>) -> Self {
        let mut written = Self { open, journal, states: HashMap::new(), earlier: HashMap::new() };
        let Some((checkpoints, due)) = written.journal.as_mut().map(ExportJournal::take_earlier) else {
            return written;
        };
        written.earlier = checkpoints.into_iter().map(|checkpoint| (checkpoint.key, checkpoint)).collect();
        if let Some(due) = due {
            written.finish(&due);
        }
        written
    }

    /// From now on this log is written into these files, from its present end on, or from where an earlier daemon got to;
    /// or into none any more.
    pub(super) fn begin_exports(&mut self, target: &LogTarget) {
        let key = checkpoint::key(&target.location.path);
        if target.exports.is_empty() {
            let state = self.states.remove(&target.location).map(|state| state.checkpoint);
            if let (Some(checkpoint), Some(journal)) = (state.or(self.earlier.remove(&key)), &mut self.journal) {
                journal.release(&checkpoint);
            }
            return;
        }
        if self.states.contains_key(&target.location) {
            return;
        }
        let checkpoint = self.earlier.remove(&key).unwrap_or_else(|| {
            let slot = self.journal.as_mut().map_or(0, ExportJournal::claim);
            let position = LogPosition::end_of(&target.location.path);
            // What comes may be the rest of a line, which is none by itself.
            let is_continued = position.is_mid_line(&target.location.path);
            let checkpoint = Checkpoint { slot, key, position, is_continued };
            if let Some(journal) = &self.journal {
                // On a full disk the next daemon begins at the end.
                let _ = journal.put(&checkpoint);
            }
            checkpoint
        });
        self.states.insert(target.location.clone(), ExportState::at(checkpoint));
    }

    /// Nothing comes into this log any more: what is held is written, end or not.
    pub(super) fn end_exports(&mut self, target: &LogTarget, stream: Stream) -> Result<(), LogError> {
        let result = self.export(target, stream, true);
        if let (Some(state), Some(journal)) = (self.states.remove(&target.location), &mut self.journal) {
            journal.release(&state.checkpoint);
        }
        result
    }

    /// Whether something stands in the log that could not be written yet.
    pub(super) fn has_backlog(&self, target: &LogTarget) -> bool {
        !target.exports.is_empty() && self.states.get(&target.location).is_some_and(|state| state.has_backlog)
    }

    /// Writes the whole lines by which the log has grown; with `is_over` also a last one without its end. What cannot be
    /// written now stays in the log and is tried again with the next call.
    pub(super) fn export(&mut self, target: &LogTarget, stream: Stream, is_over: bool) -> Result<(), LogError> {
        if target.exports.is_empty() {
            return Ok(());
        }
        let Some(mut state) = self.states.remove(&target.location) else { return Ok(()) };
        let result = self.advance(ExportJob::of(target, stream), &mut state, is_over);
        state.has_backlog = result.is_err();
        if result.is_err() {
            state.rewind();
        }
        self.states.insert(target.location.clone(), state);
        result
    }

    fn advance(&mut self, job: ExportJob<'_>, state: &mut ExportState, is_over: bool) -> Result<(), LogError> {
        let unreadable = |cause| LogError::Write(job.log.clone(), cause);
        loop {
            let held = state.pending.len();
            let read = read_on(&self.open, job.log, &mut state.read_to, &mut state.pending, read::CHUNK_BYTES);
            let Some(mut times) = read.map_err(unreadable)? else { break };
            if held > 0 {
                times.begin_with(state.began, held);
            }
            let end = memchr::memrchr(b'\n', &state.pending[held..]).map(|at| held + at + 1);
            if let Some(end) = end {
                let rest = (state.pending.len() - end) as u64;
                let after = LogPosition { offset: state.read_to.offset - rest, ..state.read_to };
                let rest_began = times.of(end);
                self.write(job, state, (end, after, false), times)?;
                state.pending.drain(..end);
                state.began = rest_began;
            } else {
                state.began = times.of(0);
            }
            if state.pending.len() >= LINE_HELD_BYTES {
                self.write_piece(job, state)?;
            }
        }
        if is_over && !state.pending.is_empty() { self.write_piece(job, state) } else { Ok(()) }
    }

    /// Writes all that is held of a line, without its end.
    fn write_piece(&mut self, job: ExportJob<'_>, state: &mut ExportState) -> Result<(), LogError> {
        let (end, after) = (state.pending.len(), state.read_to);
        self.write(job, state, (end, after, true), Times::at(state.began))?;
        state.pending.clear();
        Ok(())
    }

    fn write(
        &mut self,
        job: ExportJob<'_>,
        state: &mut ExportState,
        (end, after, is_piece): (usize, LogPosition, bool),
        times: Times,
    ) -> Result<(), LogError> {
        let next = NextWrite { data: &state.pending[..end], times, from: state.checkpoint.position, after, is_piece };
        let mut files = Vec::with_capacity(job.exports.len());
        for export in job.exports {
            files.push(self.place(export, job.rotation, &state.checkpoint)?);
        }
        let due = DueWrite::new((job.instance, job.stream), job.log, &state.checkpoint, &next, files);
        let journal_error = |journal: &ExportJournal, cause| LogError::Write(journal.location(), cause);
        if let Some(journal) = &self.journal {
            journal.announce(&due).map_err(|cause| journal_error(journal, cause))?;
        }
        os::killpoint("export.announced");
        self.write_all(&due, &next)?;
        state.checkpoint = due.checkpoint_after();
        if let Some(journal) = &self.journal {
            // It stands in what was announced, too, and that stays if this does not work.
            let noted = journal.put(&state.checkpoint).and_then(|()| {
                os::killpoint("export.noted");
                journal.fulfilled()
            });
            noted.map_err(|cause| journal_error(journal, cause))?;
        }
        Ok(())
    }

    /// Where the next lines go in one of the files.
    fn place(&mut self, export: &ExportFile, rotation: Rotation, checkpoint: &Checkpoint) -> Result<DueFile, LogError> {
        let end = self.open.export_end(&export.location, rotation)?;
        // After a death of the daemon nobody knows who has left a line open; it is the one that was continued.
        let is_own = end.open_line.is_none_or(|key| key == checkpoint.key);
        let is_text = export.form.log_format == LogFormat::Raw;
        let joint = match (end.is_mid_line, checkpoint.is_continued) {
            (true, true) if is_own && is_text => Joint::Continues,
            (true, was_begun) => Joint::EndsAnother { was_begun },
            (false, true) => Joint::Begun,
            (false, false) => Joint::Fresh,
        };
        Ok(DueFile::new(export, end.identity, end.end, joint))
    }

    fn write_all(&mut self, due: &DueWrite, next: &NextWrite<'_>) -> Result<(), LogError> {
        let zone = TimeZone::system();
        for (at, file) in due.files.iter().enumerate() {
            let printed = LineOrigin { instance: &due.instance, stream: due.stream };
            let mut writer = LineWriter::new(&file.form, printed, &zone);
            let mut out = Vec::with_capacity(next.data.len() + next.data.len() / 3 + 256);
            render(next.data, &next.times, file.joint, &mut writer, &mut out);
            let open_line = (next.is_piece && writer.can_continue()).then_some(due.key);
            if let Err(error) = self.open.write_export(&file.location(), (file.at, &out), open_line) {
                // All or none: what was written into the others is written again with this one.
                for earlier in &due.files[..at] {
                    self.open.take_back(&earlier.location(), earlier.at);
                }
                return Err(error);
            }
            os::killpoint("export.written");
        }
        Ok(())
    }

    /// Does again what an earlier daemon was about to write when it died: the same bytes at the same place.
    fn finish(&mut self, due: &DueWrite) {
        let Ok(Some((data, times))) = self.range_of(due) else { return };
        let rotation = Rotation { size: Bytes(0), keep: 0 };
        let mut same = due.clone();
        // What was emptied or moved away since then is no place to write at.
        same.files.retain(|file| {
            let end = self.open.export_end(&file.location(), rotation);
            end.is_ok_and(|end| end.identity == file.identity && end.end >= file.at)
        });
        let (from, after, is_piece) = (due.from, due.after, due.is_piece);
        let next = NextWrite { data: &data, times, from, after, is_piece };
        if self.write_all(&same, &next).is_ok()
            && let Some(journal) = &self.journal
        {
            let checkpoint = due.checkpoint_after();
            let _ = journal.put(&checkpoint).and_then(|()| journal.fulfilled());
            self.earlier.insert(checkpoint.key, checkpoint);
        }
    }

    /// The bytes of the log that such a write is about, with their times; `None`: they are gone.
    fn range_of(&self, due: &DueWrite) -> io::Result<Option<(Vec<u8>, Times)>> {
        let log = due.log();
        let (mut data, mut from) = (Vec::new(), due.from);
        let mut times: Option<Times> = None;
        while data.len() < due.bytes {
            let held = data.len();
            let wanted = (due.bytes - held).min(read::CHUNK_BYTES);
            let Some(mut more) = read_on(&self.open, &log, &mut from, &mut data, wanted)? else { return Ok(None) };
            more.shift(held);
            match &mut times {
                Some(times) => times.append(more),
                None => times = Some(more),
            }
        }
        Ok(times.map(|times| (data, times)))
    }
}
