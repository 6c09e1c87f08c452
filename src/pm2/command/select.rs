//! Which processes a word means.

use regex_lite::Regex;

use super::options::Misuse;

/// One process, as far as a word can name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownProcess {
    /// PM2's number.
    pub number: u32,
    /// The app's name.
    pub name: String,
    /// The app's namespace.
    pub namespace: String,
    /// The absolute path of its script.
    pub script: String,
}

/// What a word means, in the order in which PM2 tries it.
#[derive(Clone, Debug)]
pub enum Selector {
    /// Every process.
    All,
    /// Every process whose name matches.
    Pattern(Regex),
    /// A script's path, a name, a namespace, or a number, whichever there is first.
    Word {
        /// As typed.
        word: String,
        /// The word as the path of a script.
        path: String,
    },
}

impl Selector {
    /// Reads a word; `path` is what it would be as the path of a file.
    ///
    /// # Errors
    /// The pattern between the slashes is none.
    pub fn read(word: &str, path: String) -> Result<Self, Misuse> {
        if word == "all" {
            return Ok(Self::All);
        }
        let inner = word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty());
        match inner {
            Some(pattern) if !pattern.contains('/') => {
                let wrong = |error| Misuse(format!("`{word}` is not a regular expression: {error}"));
                Regex::new(pattern).map(Self::Pattern).map_err(wrong)
            }
            _ => Ok(Self::Word { word: word.to_owned(), path }),
        }
    }
}

/// The places of the processes that are meant; none if there are none.
pub fn choose(selector: &Selector, known: &[KnownProcess]) -> Vec<usize> {
    let those = |is_it: &dyn Fn(&KnownProcess) -> bool| -> Vec<usize> {
        (0..known.len()).filter(|at| is_it(&known[*at])).collect()
    };
    match selector {
        Selector::All => those(&|_| true),
        Selector::Pattern(pattern) => those(&|process| pattern.is_match(&process.name)),
        Selector::Word { word, path } => {
            let number = word.parse::<u32>().ok();
            let ways: [&dyn Fn(&KnownProcess) -> bool; 3] = [
                &|process| process.name == *word || process.script == *path,
                &|process| process.namespace == *word,
                &|process| Some(process.number) == number,
            ];
            ways.into_iter().map(those).find(|found| !found.is_empty()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_before_a_namespace_and_a_number_last() {
        let process = |number, name: &str, namespace: &str| KnownProcess {
            number,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            script: format!("/srv/{name}.js"),
        };
        let known =
            [process(0, "api", "web"), process(1, "api", "web"), process(4, "mail", "0"), process(5, "1", "api")];
        for (word, numbers) in [
            ("api", vec![0, 1]),
            ("web", vec![0, 1]),
            ("all", vec![0, 1, 4, 5]),
            ("/^a/", vec![0, 1]),
            ("/ma|1/", vec![4, 5]),
            ("4", vec![4]),
            ("1", vec![5]),
            ("0", vec![4]),
            ("mail.js", vec![4]),
            ("nope", vec![]),
            ("9", vec![]),
        ] {
            let selector = Selector::read(word, format!("/srv/{word}")).unwrap();
            let found: Vec<u32> = choose(&selector, &known).into_iter().map(|at| known[at].number).collect();
            assert_eq!(found, numbers, "{word}");
        }
        assert!(Selector::read("/(/", String::new()).is_err());
        assert!(matches!(Selector::read("/srv/app/", String::new()), Ok(Selector::Word { .. })));
    }
}
