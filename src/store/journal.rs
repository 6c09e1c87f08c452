//! The file as bytes: a header, then lines of checksum (CRC-32 as in zip) and JSON, in batches that end with a commit.

use crc32fast::hash as crc32;

use crate::model::{Change, Desired};

use super::StoreError;
use super::record::{Contents, HistoryRecord, Record, SourceChange, histories, snapshot as records_of};

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

const MAGIC: &str = "pm-desired ";
/// Eight digits and a space.
const CHECKSUM_BYTES: usize = 9;

/// What a file says. The default is what is known when there is none.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub desired: Desired,
    pub contents: Contents,
    /// Number of the last batch.
    pub seq: u64,
    /// Length of the header and all complete batches.
    pub good_bytes: u64,
    /// Length of the header and the first batch.
    pub first_batch_bytes: u64,
    /// What stands behind the good bytes.
    pub rest: Rest,
}

/// What stands behind the last batch that could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// The file ends with a whole batch.
    #[default]
    Nothing,
    /// A batch that was never completed.
    Torn { bytes: u64 },
    /// Complete batches behind a line that cannot be read.
    Damaged,
}

/// Why a file says nothing at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A newer version wrote it.
    Newer { found: u32 },
    /// Its header or its first batch is broken.
    Broken,
}

/// Appends one line.
pub(super) fn append(bytes: &mut Vec<u8>, record: &Record) -> Result<(), StoreError> {
    let begin = bytes.len();
    bytes.extend_from_slice(&[b' '; CHECKSUM_BYTES]);
    if let Err(source) = serde_json::to_writer(&mut *bytes, record) {
        bytes.truncate(begin);
        return Err(StoreError::Encode { source });
    }
    let (checksum, json) = bytes[begin..].split_at_mut(CHECKSUM_BYTES);
    checksum[..CHECKSUM_BYTES - 1].copy_from_slice(format!("{:08x}", crc32(json)).as_bytes());
    bytes.push(b'\n');
    Ok(())
}

/// A whole file that says just this state.
pub(super) fn snapshot(desired: &Desired, contents: &Contents, seq: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = format!("{MAGIC}{FORMAT}\n").into_bytes();
    for record in records_of(desired, contents) {
        append(&mut bytes, &record)?;
    }
    let (history, sources) = (histories(desired), SourceChange::all(desired));
    append(&mut bytes, &Record::Commit { seq, history, sources })?;
    Ok(bytes)
}

/// Reads a file as far as it can be trusted. Every file that was ever written has at least one batch.
pub(super) fn replay(bytes: &[u8]) -> Result<Replay, Unreadable> {
    let header_bytes = read_header(bytes)?;
    let mut replay = Replay::default();
    let mut at = header_bytes;
    let mut batch = Vec::new();
    while let Some(line) = next_line(&bytes[at..]) {
        let Some(record) = decode(line) else { break };
        at += line.len() + 1;
        let Record::Commit { seq, history, sources } = record else {
            batch.push(record);
            continue;
        };
        let is_next = replay.seq == 0 || seq == replay.seq + 1;
        if !is_next || replay.accept(std::mem::take(&mut batch), history, sources).is_none() {
            break;
        }
        replay.seq = seq;
        replay.good_bytes = at as u64;
        if replay.first_batch_bytes == 0 {
            replay.first_batch_bytes = at as u64;
        }
    }
    if replay.seq == 0 {
        return Err(Unreadable::Broken);
    }
    let good = usize::try_from(replay.good_bytes).unwrap_or(bytes.len());
    replay.rest = rest_of(&bytes[good..]);
    Ok(replay)
}

impl Replay {
    /// Takes a batch in, as a whole or (`None`) not at all: an app must not name what was never written.
    fn accept(&mut self, batch: Vec<Record>, history: Vec<HistoryRecord>, sources: Vec<SourceChange>) -> Option<()> {
        let mut fresh = Contents::default();
        let mut changes = Vec::new();
        for record in batch {
            changes.push(match record {
                Record::Spec { digest, app } => {
                    fresh.specs.insert(digest, app);
                    continue;
                }
                Record::Base { digest, base } => {
                    fresh.bases.insert(digest, base);
                    continue;
                }
                Record::Commit { .. } => continue,
                Record::Project { name, origin, generation } => Change::Project { name, origin, generation },
                Record::ProjectRemoved { name } => Change::ProjectRemoved { name },
                Record::App { project, name, declared } => {
                    Change::App { project, name, declared: self.contents.complete(&fresh, &declared)? }
                }
                Record::AppRemoved { project, name } => Change::AppRemoved { project, name },
                Record::Rollout { project, name, rollout: None } => Change::Rollout { project, name, rollout: None },
                Record::Rollout { project, name, rollout: Some(rollout) } => {
                    Change::Rollout { project, name, rollout: Some(self.contents.complete_rollout(&fresh, rollout)?) }
                }
                Record::ShutDown { is_shut_down } => Change::ShutDown { is_shut_down },
            });
        }
        let remarks = history.into_iter().map(HistoryRecord::into_change);
        let remarks = remarks.chain(sources.into_iter().map(SourceChange::into_change));
        for change in changes.into_iter().chain(remarks) {
            self.desired.accept(change);
        }
        self.contents.take(fresh);
        Some(())
    }
}

fn read_header(bytes: &[u8]) -> Result<usize, Unreadable> {
    let line = next_line(bytes).ok_or(Unreadable::Broken)?;
    let text = std::str::from_utf8(line).map_err(|_| Unreadable::Broken)?;
    let number = text.strip_prefix(MAGIC).ok_or(Unreadable::Broken)?;
    match number.parse().map_err(|_| Unreadable::Broken)? {
        FORMAT => Ok(line.len() + 1),
        found if found > FORMAT => Err(Unreadable::Newer { found }),
        _ => Err(Unreadable::Broken),
    }
}

/// The next line without its line feed; `None` if there is no whole one.
fn next_line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|byte| *byte == b'\n').map(|end| &bytes[..end])
}

fn decode(line: &[u8]) -> Option<Record> {
    let (checksum, json) = line.split_at_checked(CHECKSUM_BYTES)?;
    let checksum = std::str::from_utf8(checksum).ok()?.strip_suffix(' ')?;
    let is_whole = u32::from_str_radix(checksum, 16).ok()? == crc32(json);
    if is_whole { serde_json::from_slice(json).ok() } else { None }
}

/// A commit that can be read behind what cannot be: something was lost in the middle.
fn rest_of(rest: &[u8]) -> Rest {
    let is_commit = |line: &[u8]| matches!(decode(line), Some(Record::Commit { .. }));
    if rest.is_empty() {
        Rest::Nothing
    } else if rest.split(|byte| *byte == b'\n').any(is_commit) {
        Rest::Damaged
    } else {
        Rest::Torn { bytes: rest.len() as u64 }
    }
}
