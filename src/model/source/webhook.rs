//! Webhooks: where the server of a repository says that something was pushed, and what proves that it is that server.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::WallTime;

/// Where calls about one source are taken, and the secret that its server shares.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceWebhook {
    /// The address, as a user named it. Port 0: one that the kernel chooses.
    pub listen: SocketAddr,
    /// Signs the calls.
    pub secret: WebhookSecret,
}

/// A secret of 16 to 512 bytes, without control characters. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// Fewer bytes could be guessed.
    pub const BYTES_MIN: usize = 16;
    /// Longest secret, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Takes a text as a secret, without a line end behind it.
    ///
    /// # Errors
    /// It is too short, too long, or has a control character in it. The error does not contain it.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let is_good = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.to_owned())) } else { Err(SecretError) }
    }

    /// As the other side has it; never to be shown.
    pub fn as_secret_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = SecretError;

    fn try_from(text: String) -> Result<Self, SecretError> {
        Self::new(&text)
    }
}

impl From<WebhookSecret> for String {
    fn from(secret: WebhookSecret) -> Self {
        secret.0
    }
}

/// A text is no secret of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {} to {} bytes on one line", WebhookSecret::BYTES_MIN, WebhookSecret::BYTES_MAX)]
pub struct SecretError;

/// How the webhook of a source fares; since the daemon began.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WebhookStatus {
    /// Where the daemon listens; `None`: it does not (yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listens_at: Option<SocketAddr>,
    /// Why it cannot listen, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Calls that were proved to come from its server.
    pub calls: u64,
    /// Calls that were not.
    pub refused: u64,
    /// When the last proved call came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<WallTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_one_line_and_never_printed() {
        let secret = WebhookSecret::new("0123456789abcdef\r\n").unwrap();
        assert_eq!(secret.as_secret_str(), "0123456789abcdef");
        let webhook = SourceWebhook { listen: ([127, 0, 0, 1], 9000).into(), secret };
        assert!(!format!("{webhook:?}").contains("0123456789"), "{webhook:?}");
        let kept = serde_json::to_string(&webhook).unwrap();
        assert_eq!(serde_json::from_str::<SourceWebhook>(&kept).unwrap(), webhook);
        for wrong in ["", "0123456789abcde", "0123456789abcdef\n0123", "0123456789\u{0}abcdef", &"x".repeat(513)] {
            assert_eq!(WebhookSecret::new(wrong), Err(SecretError), "{wrong:?}");
            let error = serde_json::from_value::<WebhookSecret>(wrong.into()).unwrap_err().to_string();
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
    }
}
