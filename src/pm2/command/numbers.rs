//! The numbers by which PM2's users call processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which number each process has: given once, kept for as long as the process is declared, never given to another one
/// before the list has been empty.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProcessNumbers {
    next: u32,
    given: BTreeMap<String, u32>,
}

impl ProcessNumbers {
    /// The numbers of the processes that there are, in the order in which new ones are to be counted.
    #[must_use]
    pub fn renewed(&self, present: &[&str]) -> Self {
        if present.is_empty() {
            return Self::default();
        }
        let mut next = self.next;
        let mut given: BTreeMap<String, u32> = BTreeMap::new();
        for name in present.iter().filter(|name| self.given.contains_key(**name)) {
            given.insert((*name).to_owned(), self.given[*name]);
        }
        // A file that was edited by hand gives no number twice.
        next = next.max(given.values().max().map_or(0, |highest| highest.saturating_add(1)));
        for name in present {
            if !given.contains_key(*name) {
                given.insert((*name).to_owned(), next);
                next = next.saturating_add(1);
            }
        }
        Self { next, given }
    }

    /// The number of a process.
    pub fn of(&self, name: &str) -> Option<u32> {
        self.given.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_and_is_not_given_again_before_the_list_was_empty() {
        let first = ProcessNumbers::default().renewed(&["b", "a"]);
        assert_eq!((first.of("b"), first.of("a"), first.of("c")), (Some(0), Some(1), None));
        let second = first.renewed(&["a", "c"]);
        assert_eq!((second.of("b"), second.of("a"), second.of("c")), (None, Some(1), Some(2)));
        assert_eq!(second.renewed(&["a", "c"]), second);
        let third = second.renewed(&["b"]);
        assert_eq!(third.of("b"), Some(3));
        assert_eq!(third.renewed(&[]).renewed(&["b"]).of("b"), Some(0));
    }

    #[test]
    fn a_file_that_somebody_has_edited_gives_no_number_twice() {
        let edited = ProcessNumbers { next: 0, given: BTreeMap::from([("a".to_owned(), 7)]) };
        let numbers = edited.renewed(&["a", "b"]);
        assert_eq!((numbers.of("a"), numbers.of("b")), (Some(7), Some(8)));
    }
}
