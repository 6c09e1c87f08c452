//! Keys about the times of an app.

use crate::model::{CronOverlap, CronPolicy};
use crate::rules::Cron;

use super::diagnostic::code;
use super::host::Host as _;
use super::values::Values;

/// Reads and checks them.
pub(super) fn schedule(values: &mut Values<'_>) -> CronPolicy {
    let policy = CronPolicy {
        cron_restart: values.text("cron_restart"),
        cron_timezone: values.text("cron_timezone"),
        cron_overlap: match values.text("cron_overlap").as_deref() {
            Some("queue") => CronOverlap::Queue,
            Some("replace") => CronOverlap::Replace,
            _ => CronOverlap::Skip,
        },
    };
    if let (Some(pattern), Some(item)) = (&policy.cron_restart, values.item("cron_restart"))
        && let Err(problem) = Cron::parse(pattern)
    {
        let span = item.node.span;
        values.error(code::CRON, span, format!("`cron_restart`: {problem}")).hint(problem.hint());
    }
    let world = values.world;
    if let (Some(zone), Some(item)) = (&policy.cron_timezone, values.item("cron_timezone"))
        && !world.has_zone(zone)
    {
        let span = item.node.span;
        values
            .error(code::CRON, span, format!("`cron_timezone`: no time zone `{zone}`"))
            .hint("examples of zones: \"Europe/Berlin\", \"America/New_York\", \"UTC\"");
    }
    policy
}
