//! Time zones: the machine's files where there are some, else those that are built in.

use jiff::tz::TimeZone;

/// A zone by its name: `Europe/Berlin`, `UTC`.
pub fn zone_named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The zone of this machine (`TZ`, else `/etc/localtime`), UTC where nothing is said.
pub fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_their_names_only() {
        assert!(zone_named("Europe/Berlin").is_some() && zone_named("UTC").is_some());
        for wrong in ["Europe/Berln", "", "/etc/passwd", "../x"] {
            assert!(zone_named(wrong).is_none(), "{wrong}");
        }
    }
}
