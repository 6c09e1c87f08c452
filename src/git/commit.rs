//! Names of commits, and what one says of itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::WallTime;

/// How many digits are shown to people.
const SHORT: usize = 7;

/// The full name of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// Reads a full name; capital letters are made small.
    ///
    /// # Errors
    /// The text, if it is not 40 or 64 hexadecimal digits, or if all of them are 0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_name = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_name && text.bytes().any(|byte| byte != b'0') {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(text.to_owned())
        }
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 7 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> String {
        commit.0
    }
}

impl TryFrom<String> for CommitId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|text| format!("`{text}` is not the full name of a commit"))
    }
}

/// What a commit says of itself: whatever its author wrote, without control characters, each text at most 200 letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Its name.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// Name of the author.
    pub author: String,
    /// When it was committed, by the clock of whoever did.
    pub committed_at: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_names() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(CommitId::parse(full).unwrap().as_str(), full);
        assert_eq!(CommitId::parse(&full.to_uppercase()).unwrap().short(), "0123456");
        assert!(CommitId::parse(&"a".repeat(64)).is_ok(), "SHA-256");
        let zeros = "0".repeat(40);
        for wrong in ["", "main", "0123456", &full[1..], &full.replace('0', "g"), &zeros, &format!("-{}", &full[1..])] {
            assert!(CommitId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
