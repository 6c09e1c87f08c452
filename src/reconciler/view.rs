//! What a pass sees: what is declared, what lives, the time, and how much this machine starts at once.

use std::sync::LazyLock;

use crate::model::{Desired, Live};
use crate::os;
use crate::plan::View;

/// How many processes start by themselves at the same time on the smallest machine.
const UNASKED_STARTS_MIN: usize = 8;

/// Twice the processors: a start waits about as long as it computes.
static UNASKED_STARTS_MAX: LazyLock<u32> =
    LazyLock::new(|| u32::try_from(os::cpu_count().saturating_mul(2).max(UNASKED_STARTS_MIN)).unwrap_or(u32::MAX));

/// At this moment.
pub(super) fn view_of<'a>(desired: &'a Desired, live: &'a Live) -> View<'a> {
    View { desired, live, now: os::now(), unasked_starts_max: Some(*UNASKED_STARTS_MAX) }
}
