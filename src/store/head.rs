//! The position of the journal, in a file of its own: a truncated or missing journal cannot show that itself.
//!
//! Written in place after every batch that is durable, and never waited for: after a power cut it may say less than the
//! journal, never more.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crc32fast::hash as crc32;

use super::{HEAD, disk};
use crate::os;

const MAGIC: &str = "pm-head 1 ";

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct HeadFile(Option<File>);

impl HeadFile {
    /// Opens it; makes it if there is none. Where it cannot be made, less is known after the next loss.
    pub(super) fn open(folder: &Path) -> Self {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        Self(os::open_own(&folder.join(HEAD), options).ok())
    }

    /// Notes the number of the last batch that is durable. Always the same length: a full disk does not matter.
    pub(super) fn note(&self, seq: u64) {
        if let Some(file) = &self.0 {
            // It would say less than it could, which is no error.
            let _ = file.write_all_at(&encoded(seq), 0);
        }
    }
}

/// The number of the last batch, as far as is known.
pub(super) fn read(folder: &Path) -> io::Result<Option<u64>> {
    Ok(disk::read(&folder.join(HEAD))?.and_then(|bytes| decoded(&bytes)))
}

fn encoded(seq: u64) -> Vec<u8> {
    let text = format!("{MAGIC}{seq:020}");
    format!("{text} {:08x}\n", crc32(text.as_bytes())).into_bytes()
}

fn decoded(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let seq = text.strip_prefix(MAGIC)?.get(..20)?.parse().ok()?;
    (encoded(seq) == bytes).then_some(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_a_number_or_nothing() {
        for seq in [0, 1, 77, u64::MAX] {
            let whole = encoded(seq);
            assert_eq!(decoded(&whole), Some(seq));
            for at in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[at] ^= 1;
                assert_eq!((decoded(&flipped), decoded(&whole[..at])), (None, None), "{at}");
            }
        }
    }
}
