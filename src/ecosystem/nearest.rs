//! Suggestions: the known word that was probably meant.

/// Up to three known words that resemble `word`, the nearest first.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = fold(word);
    let mut close: Vec<(usize, &str)> = known
        .filter_map(|candidate| {
            let distance = distance(&folded, &fold(candidate));
            // A third of the letters may differ, so that short words are not all alike.
            let allowed = (word.chars().count().max(candidate.chars().count()) / 3).clamp(1, 4);
            (distance <= allowed).then_some((distance, candidate))
        })
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// "did you mean `x`?", if anything is near.
pub(super) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let close = nearest(word, known);
    let quoted: Vec<String> = close.iter().map(|candidate| format!("`{candidate}`")).collect();
    (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

/// `maxRestarts`, `max-restarts` and `max_restarts` are one word.
fn fold(word: &str) -> Vec<char> {
    let mut folded = Vec::new();
    for letter in word.chars().take(100) {
        match letter {
            '-' | ' ' => folded.push('_'),
            _ if letter.is_uppercase() => {
                if !matches!(folded.last(), None | Some('_')) && word.contains(char::is_lowercase) {
                    folded.push('_');
                }
                folded.extend(letter.to_lowercase());
            }
            _ => folded.push(letter),
        }
    }
    folded
}

/// Letters to add, remove, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood_and_other_words_are_not() {
        let known = ["instances", "interpreter", "max_restarts", "env", "user"];
        let meant = |word| nearest(word, known.into_iter());
        assert_eq!(meant("instnaces"), ["instances"]);
        assert_eq!(meant("maxRestarts"), ["max_restarts"]);
        assert_eq!(meant("max-restarts"), ["max_restarts"]);
        assert_eq!(meant("enb"), ["env"]);
        assert!(meant("colour").is_empty());
        assert!(meant("").is_empty());
    }
}
