//! What the kernel's killer did to trees of processes, and what of it is news.

use super::Processes;
use crate::model::Fact;
use crate::os::{self, PidFd};

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

impl Processes {
    /// What the killer did to the tree of a process that has ended: for certain where its group counts that; else a
    /// SIGKILL that nobody here sent (`is_strange`), while the killer was at work, was it.
    pub fn out_of_memory(&mut self, row: u32, is_strange: bool) -> Option<Fact> {
        let told = self.hosted.get(&row)?.oom_kills.told;
        if self.groups_of(row).is_some_and(|groups| groups.oom_kills(row) > told) {
            return Some(Fact::OutOfMemory { is_certain: true, is_child: !is_strange });
        }
        if !is_strange {
            return None;
        }
        let before = std::mem::replace(&mut self.oom_kills, os::oom_kills());
        (self.oom_kills > before).then_some(Fact::OutOfMemory { is_certain: false, is_child: false })
    }

    /// What memory has cost the tree of a row so far is no news.
    pub fn know_memory(&mut self, row: u32) {
        let Some(count) = self.groups_of(row).map(|groups| groups.oom_kills(row)) else { return };
        if let Some(hosted) = self.hosted.get_mut(&row) {
            hosted.oom_kills = OomKills::known(count);
        }
    }

    /// Trees whose first process lives on, and that memory has cost others since the last look.
    pub fn lost_children(&mut self) -> Vec<u32> {
        self.oom_kills = os::oom_kills();
        let is_up = |row: u32| self.main(row).is_some_and(|process| !PidFd::has_exited(process));
        let count = |row: &u32| Some((*row, self.groups_of(*row).filter(|_| is_up(*row))?.oom_kills(*row)));
        let counts: Vec<(u32, u64)> = self.hosted.keys().filter_map(count).collect();
        let is_news =
            |(row, count): &(u32, u64)| self.hosted.get_mut(row).is_some_and(|hosted| hosted.oom_kills.look(*count));
        counts.into_iter().filter(is_news).map(|(row, _)| row).collect()
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
