//! What must not be shown: passwords, tokens, keys. The one masking for every text that users see.
//!
//! A secret is known by the name that it stands under (`DB_PASSWORD`, `--token`, `Authorization:`), by its place in a
//! URL or a command line, or by its own look (a JWT, a private key). What is known once is hidden wherever it turns up
//! again: [`Secrets`].

mod names;
mod shown;
mod text;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

pub use names::{is_secret, is_secret_header, is_secret_name};
pub use shown::{ShownApp, mask_field};
pub use text::secret_ranges;

/// Stands where a secret would.
pub const HIDDEN: &str = "(sensitive)";

/// Shorter secrets are not searched for in other texts: they would take ordinary words with them.
const SEARCHED_BYTES_MIN: usize = 6;

/// More are not searched for: the time it takes is bounded.
const SEARCHED_MAX: usize = 10_000;

/// A text of any kind (a message, a command line, a URL) without the secrets that can be recognised in it.
pub fn masked(text: &str) -> Cow<'_, str> {
    without(text, &secret_ranges(text))
}

/// The value of the variable, header or parameter `name`.
pub fn masked_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name, value) { Cow::Borrowed(HIDDEN) } else { masked(value) }
}

/// The words of a command line; `program` is what they are given to, if it is not the first of them.
pub fn masked_words<T: AsRef<str>>(program: Option<&str>, words: &[T]) -> Vec<String> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let ranges = text::ranges_of_words(program, &words);
    words.iter().zip(ranges).map(|(word, ranges)| without(word, &ranges).into_owned()).collect()
}

/// `text` with [`HIDDEN`] in the place of each range.
fn without<'a>(text: &'a str, ranges: &[Range<usize>]) -> Cow<'a, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        shown.push_str(&text[at..range.start]);
        shown.push_str(HIDDEN);
        at = range.end;
    }
    shown.push_str(&text[at..]);
    Cow::Owned(shown)
}

/// Secrets that are known, to be hidden in whatever text repeats them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    values: BTreeSet<String>,
}

impl Secrets {
    /// Takes in a secret and, since texts are shown line by line, each line of it.
    pub fn add(&mut self, value: &str) {
        for line in std::iter::once(value).chain(value.lines()).map(str::trim) {
            if line.len() >= SEARCHED_BYTES_MIN && self.values.len() < SEARCHED_MAX {
                self.values.insert(line.to_owned());
            }
        }
    }

    /// Takes in the value of `name`, as far as it is secret.
    pub fn add_value(&mut self, name: &str, value: &str) {
        if is_secret(name, value) {
            self.add(value);
        } else {
            for range in secret_ranges(value) {
                self.add(&value[range]);
            }
        }
    }

    /// Takes in what is secret among the words of a command line.
    pub fn add_words(&mut self, program: Option<&str>, words: &[&str]) {
        for (word, ranges) in words.iter().zip(text::ranges_of_words(program, words)) {
            for range in ranges {
                self.add(&word[range]);
            }
        }
    }

    /// Where in `text` secrets stand: those that are known, and those that can be recognised.
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        merged_ranges(self.known(text).chain(secret_ranges(text)).collect())
    }

    fn known<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let known = self.values.iter().flat_map(|value| text.match_indices(value.as_str()));
        known.map(|(at, value)| at..at + value.len())
    }

    /// A text without those that are known.
    pub fn hide_known<'a>(&self, text: &'a str) -> Cow<'a, str> {
        without(text, &merged_ranges(self.known(text).collect()))
    }

    /// A text without them.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        without(text, &self.ranges(text))
    }
}

/// In order, without empty ones, overlapping ones as one.
pub fn merged_ranges(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests;
