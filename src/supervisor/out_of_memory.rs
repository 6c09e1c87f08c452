//! What the kernel's killer did to trees of processes, and what of it is news.

use super::member::Member;
use super::run::Loop;
use crate::lifecycle::State;
use crate::model::{Exit, Fact};
use crate::os::{self, PidFd};

const SIGKILL: i32 = 9;

/// How many processes of a tree the kernel has killed because memory ran out, by the count of its control group.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct OomKills {
    /// As far as that was told.
    told: u64,
    /// As the last look found it.
    seen: u64,
}

impl OomKills {
    /// So many, and nothing of it is news.
    pub fn known(count: u64) -> Self {
        Self { told: count, seen: count }
    }

    /// Takes in what a look has found; whether that is to be told. Only what the look before has seen already: the first
    /// process may be about to end of just that, and will be told as the one that was killed.
    fn look(&mut self, count: u64) -> bool {
        let is_news = count > self.told && count == self.seen;
        self.seen = count;
        if is_news {
            self.told = count;
        }
        is_news
    }
}

impl Loop {
    /// Tells what the killer did to the tree of a process that has ended: for certain where its group counts that; else a
    /// SIGKILL that nobody here sent, while the killer was at work, was it.
    pub(super) fn tell_if_out_of_memory(&mut self, row: u32, exit: Exit) {
        let Some(member) = self.roster.get(row) else { return };
        let is_ours = matches!(member.machine.state, State::Stopping { is_killed: true, .. });
        let is_strange = exit == Exit::Signal(SIGKILL) && !is_ours;
        if self.groups_of(row).is_some_and(|groups| groups.oom_kills(row) > member.oom_kills.told) {
            return self.emit(row, Fact::OutOfMemory { is_certain: true, is_child: !is_strange });
        }
        if is_strange {
            let before = std::mem::replace(&mut self.oom_kills, os::oom_kills());
            if self.oom_kills > before {
                self.emit(row, Fact::OutOfMemory { is_certain: false, is_child: false });
            }
        }
    }

    /// Tells what memory has cost trees whose first process lives on.
    pub(super) fn tell_lost_children(&mut self) {
        let is_up = |member: &Member| member.process.as_ref().is_some_and(|process| !PidFd::has_exited(process));
        let count = |(row, member)| {
            let groups = self.groups_of(row).filter(|_| is_up(member))?;
            Some((row, groups.oom_kills(row)))
        };
        let counts: Vec<(u32, u64)> = self.roster.iter().filter_map(count).collect();
        for (row, count) in counts {
            if self.roster.get_mut(row).is_some_and(|member| member.oom_kills.look(count)) {
                self.emit(row, Fact::OutOfMemory { is_certain: true, is_child: true });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once_and_at_the_second_look() {
        let mut kills = OomKills::known(2);
        let told: Vec<bool> = [2, 3, 3, 3, 5, 6, 6].map(|count| kills.look(count)).to_vec();
        assert_eq!(told, [false, false, true, false, false, false, true]);
    }
}
