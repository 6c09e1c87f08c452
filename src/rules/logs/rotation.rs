//! When a log is rotated, and which of its old segments stay.

use crate::model::Rotation;

/// Whether a log of `size` bytes is cut before the next byte is appended. A limit of 0 means never.
pub fn is_due(size: u64, rotation: Rotation) -> bool {
    rotation.size.0 > 0 && size >= rotation.size.0
}

/// The number that the current file gets: one above the highest, so that a number is never used twice
/// while its file may still be read. `existing` is sorted.
pub fn next_segment(existing: &[u64]) -> u64 {
    existing.last().map_or(1, |highest| highest.saturating_add(1))
}

/// The segments that are too many, oldest first. `existing` is sorted.
pub fn expired(existing: &[u64], keep: u32) -> &[u64] {
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    &existing[..existing.len().saturating_sub(keep)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;

    #[test]
    fn a_log_is_cut_when_it_has_reached_its_size() {
        for (size, limit, due) in [(9, 10, false), (10, 10, true), (11, 10, true), (u64::MAX, 0, false), (0, 1, false)]
        {
            assert_eq!(is_due(size, Rotation { size: Bytes(limit), keep: 5 }), due, "{size} of {limit}");
        }
    }

    #[test]
    fn segments_count_upwards_and_the_oldest_go() {
        assert_eq!(next_segment(&[]), 1);
        assert_eq!(next_segment(&[3, 9]), 10);
        assert_eq!(expired(&[1, 2, 3], 2), [1]);
        assert_eq!(expired(&[1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(expired(&[1, 2], 5), [0u64; 0]);
    }
}
