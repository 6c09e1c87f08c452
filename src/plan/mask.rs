//! What must not be shown: passwords, tokens, keys.

/// Stands where a secret value would.
pub const HIDDEN: &str = "(sensitive)";

/// Parts of a name that announce a secret.
const SECRET_WORDS: [&str; 4] = ["PASS", "TOKEN", "SECRET", "KEY"];

/// Whether the variable `name` with this `value` must not be shown.
pub fn is_secret(name: &str, value: &str) -> bool {
    is_secret_name(name) || has_password(value)
}

/// Whether a name announces a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether an argument such as `--db-pass=…` carries a secret.
pub(super) fn is_secret_word(word: &str) -> bool {
    has_password(word) || word.split_once('=').is_some_and(|(name, _)| is_secret_name(name))
}

/// Whether a text holds a URL with a password: `postgres://me:secret@host/`.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .and_then(|(login, _)| login.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_name_or_by_a_password_in_a_url() {
        for (name, value) in [
            ("DB_PASS", "x"),
            ("github_token", "x"),
            ("SECRET", ""),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("DATABASE_URL", "postgres://me:hunter2@db/shop"),
            ("URLS", "http://a/ redis://:hunter2@cache:6379"),
        ] {
            assert!(is_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("LOG_LEVEL", "debug"),
            ("DATABASE_URL", "postgres://db:5432/shop"),
            ("DATABASE_URL", "postgres://me@db:5432/shop"),
            ("URL", "http://host/path:x@y"),
            ("MAIL", "me:you@example.org"),
        ] {
            assert!(!is_secret(name, value), "{name}={value}");
        }
        assert!(is_secret_word("--db-pass=hunter2"));
        assert!(!is_secret_word("--verbose=yes"));
    }
}
