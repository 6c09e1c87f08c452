//! How the daemon's descriptors are shared: observers take none that the apps or the socket need.

/// What a daemon without apps has open, with some to spare.
const OWN: u64 = 48;
/// What is open for a moment only: reading logs, writing the state, the journal.
const PASSING: usize = 8;

/// Connections at least for commands that follow nothing.
const QUICK: usize = 4;

/// Who may have how many files and connections open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShares {
    /// Logs that are kept open for writing, each with its index.
    pub log_files: usize,
    /// Connections of commands at a time.
    pub connections: usize,
    /// Of these, commands that follow logs or events.
    pub observers: usize,
    /// Of these, commands that follow a change until it is done.
    pub changes: usize,
    /// Log files that all observers together keep open.
    pub followed_files: usize,
    /// The highest numbers, which no app gets: whatever runs, the socket can be answered and the logs be written.
    pub kept_free: usize,
}

impl DescriptorShares {
    /// Under a limit of open files.
    pub fn of(limit: u64) -> Self {
        let room = usize::try_from(limit.saturating_sub(OWN)).unwrap_or(usize::MAX);
        let (observers, changes) = ((room / 16).clamp(2, 64), (room / 32).clamp(2, 64));
        let connections = (room / 8).clamp(observers + changes + QUICK, 256);
        Self {
            log_files: (room / 16).clamp(1, 256),
            connections,
            observers,
            changes,
            followed_files: (room / 4).clamp(2, 1 << 20),
            kept_free: connections + PASSING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_leaves_room_for_apps_and_a_way_in_for_commands() {
        for limit in [0, 20, 64, 100, 128, 256, 1024, 4096, 65_536, 1 << 20, u64::MAX] {
            let shares = DescriptorShares::of(limit);
            assert!(shares.observers + shares.changes < shares.connections, "{limit}: {shares:?}");
            assert!(shares.observers >= 1 && shares.log_files >= 1 && shares.followed_files >= 2);
            let others = 2 * shares.log_files + shares.followed_files + shares.kept_free;
            if limit >= 128 {
                assert!(others as u64 <= (limit - OWN) / 3 * 2, "{limit}: {shares:?}");
            }
        }
        let large = DescriptorShares::of(1 << 20);
        assert_eq!((large.log_files, large.connections, large.observers), (256, 256, 64));
    }
}
