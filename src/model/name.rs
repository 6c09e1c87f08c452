//! Names, checked once and trusted afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {problem}")]
pub struct NameError {
    /// What the text was meant to be: `app name`, `instance`, …
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// The rule that it breaks.
    pub problem: &'static str,
}

/// Longest accepted name in bytes; file names are made of it.
const NAME_BYTES_MAX: usize = 100;

/// `others`: what may stand in it beside letters and digits.
fn check(what: &'static str, others: &[u8], text: &str) -> Result<(), NameError> {
    let problem = if text.is_empty() {
        "it is empty"
    } else if text.len() > NAME_BYTES_MAX {
        "it is longer than 100 bytes"
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b)) {
        "only letters, digits, `.`, `_` and `-` are allowed"
    } else if text.starts_with(['.', '-', '@']) || text.ends_with('@') {
        "it must not start with `.` or `-`"
    } else if text == "all" {
        "`all` is the selector for every app"
    } else {
        return Ok(());
    };
    Err(NameError { what, text: text.to_owned(), problem })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $others:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text` against the naming rules.
            ///
            /// # Errors
            /// The rule that is broken.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check($what, $others, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let visitor = Checked { what: $what, make: Self::new };
                deserializer.deserialize_str(visitor)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

/// Reads a name without a copy of its text.
struct Checked<T> {
    what: &'static str,
    make: fn(&str) -> Result<T, NameError>,
}

impl<T> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text: {}", self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.make)(text).map_err(E::custom)
    }
}

name!(
    /// Who owns apps: `project = "shop"`, or the folder's name.
    ///
    /// That of a linked git worktree may have the worktree's name behind it: `shop@feature-x`.
    ProjectName,
    "project name",
    b"._-@"
);
name!(
    /// An app inside its project.
    AppName,
    "app name",
    b"._-"
);

name!(
    /// A Git repository that the daemon follows: `pm source add NAME URL`.
    SourceName,
    "source name",
    b"._-"
);

impl ProjectName {
    /// The project of apps that were started by hand and belong to no file.
    pub fn nobody() -> Self {
        Self("_".into())
    }

    /// The name that a file may give, or a folder has: without a worktree.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn plain(text: &str) -> Result<Self, NameError> {
        check("project name", b"._-", text)?;
        Self::new(text)
    }

    /// The same project in a linked worktree of its repository, which has a name there. What names cannot hold is left out
    /// of it.
    #[must_use]
    pub fn in_worktree(&self, worktree: &str) -> Self {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' };
        let room = NAME_BYTES_MAX.saturating_sub(self.0.len() + 1);
        let worktree: String = worktree.chars().map(plain).take(room).collect();
        if worktree.is_empty() || self.is_nobody() { self.clone() } else { Self(format!("{self}@{worktree}").into()) }
    }

    /// Whether it is that of a linked worktree.
    pub fn is_of_worktree(&self) -> bool {
        self.0.contains('@')
    }

    /// Whether this is the project of apps started by hand.
    pub fn is_nobody(&self) -> bool {
        &*self.0 == "_"
    }
}

/// The key of an app: (project, name). Printed `shop:api`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId {
    /// The owner.
    pub project: ProjectName,
    /// The app.
    pub name: AppName,
}

impl AppId {
    /// Puts the two halves together.
    pub fn new(project: ProjectName, name: AppName) -> Self {
        Self { project, name }
    }

    /// The instance of this app in `slot`.
    pub fn instance(&self, slot: u32) -> InstanceId {
        InstanceId { app: self.clone(), slot, is_successor: false }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.project, self.name)
    }
}

impl FromStr for AppId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (project, name) = text.split_once(':').ok_or_else(|| NameError {
            what: "app",
            text: text.to_owned(),
            problem: "the format is `project:name`",
        })?;
        Ok(Self { project: ProjectName::new(project)?, name: AppName::new(name)? })
    }
}

impl TryFrom<String> for AppId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> String {
        id.to_string()
    }
}

/// One copy of an app: the app and its slot. Printed `shop:api/0`; while a rolling update has two processes for one
/// slot, the new one is `shop:api/0+` until it takes the slot over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The app.
    pub app: AppId,
    /// Its number among the copies, from 0; a slot never moves.
    pub slot: u32,
    /// It is about to take the slot over from the one that has it.
    pub is_successor: bool,
}

impl InstanceId {
    /// The one that is to take this slot over.
    #[must_use]
    pub fn successor(self) -> Self {
        Self { is_successor: true, ..self }
    }

    /// The slot itself, whoever has it.
    #[must_use]
    pub fn settled(self) -> Self {
        Self { is_successor: false, ..self }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.app, self.slot, if self.is_successor { "+" } else { "" })
    }
}

impl FromStr for InstanceId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |problem| NameError { what: "instance", text: text.to_owned(), problem };
        let (app, slot) = text.rsplit_once('/').ok_or_else(|| wrong("the format is `project:name/slot`"))?;
        let number = slot.strip_suffix('+').unwrap_or(slot);
        let slot_number = number.parse().map_err(|_| wrong("the slot is not a number"))?;
        Ok(Self { app: app.parse()?, slot: slot_number, is_successor: number != slot })
    }
}

impl TryFrom<String> for InstanceId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_to_the_published_alphabet() {
        for good in ["api", "a", "my.app_2-x", "0"] {
            assert!(AppName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/0", "a:b", "-x", ".x", "ü", "all", &"x".repeat(101)] {
            assert!(AppName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_worktree_stands_behind_the_name_of_its_project() {
        let shop = ProjectName::plain("shop").unwrap();
        for (worktree, expected) in [("feature-x", "shop@feature-x"), ("fix/a b", "shop@fix-a-b"), ("", "shop")] {
            let name = shop.in_worktree(worktree);
            assert_eq!((name.as_str(), ProjectName::new(name.as_str())), (expected, Ok(name.clone())));
            assert_eq!(name.is_of_worktree(), !worktree.is_empty());
        }
        let long = shop.in_worktree(&"w".repeat(200));
        assert_eq!((long.as_str().len(), ProjectName::new(long.as_str()).is_ok()), (100, true));
        let full = ProjectName::plain(&"p".repeat(100)).unwrap();
        assert_eq!(full.in_worktree("x"), full);
        assert!(ProjectName::plain("shop@x").is_err() && AppName::new("a@x").is_err());
        assert!(ProjectName::new("@x").is_err() && ProjectName::new("shop@").is_err());
        let id: InstanceId = "shop@x:api/0".parse().unwrap();
        assert_eq!(id.app.project, shop.in_worktree("x"));
    }

    #[test]
    fn an_instance_reads_back_as_it_prints() {
        let id: InstanceId = "shop:api/3".parse().unwrap();
        assert_eq!((id.slot, id.to_string().as_str()), (3, "shop:api/3"));
        let next = id.clone().successor();
        assert_eq!((next.to_string().as_str(), next.to_string().parse()), ("shop:api/3+", Ok(next.clone())));
        assert!(id < next && next < id.app.instance(4), "a successor stands right behind its slot");
        assert_eq!(next.settled(), id);
        assert!("shop:api".parse::<InstanceId>().is_err());
        assert!("api/0".parse::<InstanceId>().is_err());
    }
}
