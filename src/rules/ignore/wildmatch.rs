//! How git matches a pattern of `.gitignore` with a path: its `wildmatch` with `WM_PATHNAME`.

/// Steps for one path: a pattern of many `**` cannot take longer.
const STEPS_MAX: u32 = 100_000;

/// Whether the whole path matches. `*` and `?` match no slash; `**` between slashes matches folders.
pub(super) fn wildmatch(pattern: &[u8], path: &[u8]) -> bool {
    let mut steps = STEPS_MAX;
    Matcher { pattern, path, steps: &mut steps }.from(0, 0) == Outcome::Match
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Match,
    NoMatch,
    /// No place further on in the path can match, either.
    AbortAll,
    /// The same up to the next `**`.
    AbortToStarstar,
}

struct Matcher<'a> {
    pattern: &'a [u8],
    path: &'a [u8],
    steps: &'a mut u32,
}

impl Matcher<'_> {
    fn at(&self, at: usize) -> Option<u8> {
        self.pattern.get(at).copied()
    }

    fn from(&mut self, mut at: usize, mut place: usize) -> Outcome {
        while let Some(letter) = self.at(at) {
            *self.steps = self.steps.saturating_sub(1);
            if *self.steps == 0 {
                return Outcome::AbortAll;
            }
            let found = self.path.get(place).copied();
            if found.is_none() && letter != b'*' {
                return Outcome::AbortAll;
            }
            match letter {
                b'\\' => {
                    at += 1;
                    if self.at(at) != found {
                        return Outcome::NoMatch;
                    }
                }
                b'?' if found == Some(b'/') => return Outcome::NoMatch,
                b'?' => {}
                b'*' => match self.star(at, place) {
                    Star::Outcome(outcome) => return outcome,
                    // The slash was found: it is taken by the next turn.
                    Star::GoOn(next, slash) => {
                        (at, place) = (next, slash);
                        continue;
                    }
                },
                b'[' => match self.set(at, found.unwrap_or_default()) {
                    Some((true, end)) if found != Some(b'/') => at = end,
                    Some(_) => return Outcome::NoMatch,
                    None => return Outcome::AbortAll,
                },
                _ if Some(letter) != found => return Outcome::NoMatch,
                _ => {}
            }
            at += 1;
            place += 1;
        }
        if place < self.path.len() { Outcome::NoMatch } else { Outcome::Match }
    }

    /// What stands behind one or more stars, tried at every place that they may reach.
    fn star(&mut self, star: usize, place: usize) -> Star {
        let mut at = star + 1;
        let mut takes_slashes = false;
        if self.at(at) == Some(b'*') {
            while self.at(at) == Some(b'*') {
                at += 1;
            }
            let begins = star == 0 || self.at(star - 1) == Some(b'/');
            let ends = matches!(self.at(at), None | Some(b'/')) || self.pattern[at..].starts_with(b"\\/");
            if begins && ends {
                // `**/` may stand for no folder at all.
                if self.at(at) == Some(b'/') && self.from(at + 1, place) == Outcome::Match {
                    return Star::Outcome(Outcome::Match);
                }
                takes_slashes = true;
            }
        }
        let next_slash = self.path[place..].iter().position(|byte| *byte == b'/').map(|slash| place + slash);
        match self.at(at) {
            None if takes_slashes || next_slash.is_none() => return Star::Outcome(Outcome::Match),
            None => return Star::Outcome(Outcome::AbortToStarstar),
            Some(b'/') if !takes_slashes => {
                return next_slash.map_or(Star::Outcome(Outcome::NoMatch), |slash| Star::GoOn(at, slash));
            }
            Some(_) => {}
        }
        for place in place..self.path.len() {
            let outcome = self.from(at, place);
            let is_final = outcome != Outcome::NoMatch && (!takes_slashes || outcome != Outcome::AbortToStarstar);
            if is_final {
                return Star::Outcome(outcome);
            }
            if outcome == Outcome::NoMatch && !takes_slashes && self.path[place] == b'/' {
                return Star::Outcome(Outcome::AbortToStarstar);
            }
        }
        Star::Outcome(Outcome::AbortAll)
    }

    /// Whether the letter is in the set that begins at `at`, and where that ends. `None`: it has no end, or no meaning.
    fn set(&self, at: usize, letter: u8) -> Option<(bool, usize)> {
        let mut at = at + 1;
        let is_negated = matches!(self.at(at), Some(b'!' | b'^'));
        at += usize::from(is_negated);
        let (mut is_in, mut before) = (false, None);
        let mut one = self.at(at)?;
        loop {
            let mut last = Some(one);
            match (one, before, self.at(at + 1)) {
                (b'\\', ..) => {
                    at += 1;
                    let escaped = self.at(at)?;
                    is_in |= letter == escaped;
                    last = Some(escaped);
                }
                (b'-', Some(first), Some(end)) if end != b']' => {
                    at += 1;
                    let mut end = end;
                    if end == b'\\' {
                        at += 1;
                        end = self.at(at)?;
                    }
                    is_in |= (first..=end).contains(&letter);
                    last = None;
                }
                (b'[', _, Some(b':')) => {
                    let begin = at + 2;
                    let end = begin + self.pattern.get(begin..)?.iter().position(|byte| *byte == b']')?;
                    match self.pattern[begin..end].strip_suffix(b":") {
                        Some(class) => {
                            is_in |= is_of_class(class, letter)?;
                            (at, last) = (end, None);
                        }
                        None => is_in |= letter == b'[',
                    }
                }
                _ => is_in |= letter == one,
            }
            before = last;
            at += 1;
            one = self.at(at)?;
            if one == b']' {
                return Some((is_in != is_negated, at));
            }
        }
    }
}

enum Star {
    Outcome(Outcome),
    GoOn(usize, usize),
}

fn is_of_class(class: &[u8], letter: u8) -> Option<bool> {
    Some(match class {
        b"alnum" => letter.is_ascii_alphanumeric(),
        b"alpha" => letter.is_ascii_alphabetic(),
        b"blank" => matches!(letter, b' ' | b'\t'),
        b"cntrl" => letter.is_ascii_control(),
        b"digit" => letter.is_ascii_digit(),
        b"graph" => letter.is_ascii_graphic(),
        b"lower" => letter.is_ascii_lowercase(),
        b"print" => letter.is_ascii_graphic() || letter == b' ',
        b"punct" => letter.is_ascii_punctuation(),
        b"space" => letter.is_ascii_whitespace() || letter == 0x0b,
        b"upper" => letter.is_ascii_uppercase(),
        b"xdigit" => letter.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_stars_end() {
        let pattern = "**/a*".repeat(40);
        let path = "a/".repeat(2_000);
        assert!(!wildmatch(format!("{pattern}!").as_bytes(), path.as_bytes()));
    }

    #[test]
    fn stars_between_slashes_are_folders_and_others_end_at_a_slash() {
        for (pattern, path, is_match) in [
            ("**", "a/b/c", true),
            ("**/c", "c", true),
            ("**/c", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**", "a", false),
            ("a*/c", "ab/c", true),
            ("a*c", "a/c", false),
            ("a**c", "a/c", false),
            ("a?c", "a/c", false),
            ("a[/]c", "a/c", false),
            ("", "", true),
        ] {
            assert_eq!(wildmatch(pattern.as_bytes(), path.as_bytes()), is_match, "{pattern} {path}");
        }
    }
}
