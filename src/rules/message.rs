//! A message for a process: JSON as typed → one line of its channel.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest message: the kernel takes so much in one piece or not at all.
pub const MESSAGE_BYTES_MAX: usize = 24 << 10;

/// Why a text is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// It is no JSON.
    #[error("the message is not JSON ({0}); a plain word needs quotes of its own: '\"reload\"'")]
    NotJson(String),
    /// It is too long.
    #[error("the message has {0} bytes; a message may have up to {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// Node would not pass it on to the app.
    #[error("Node keeps messages to itself whose `cmd` begins with `NODE_`; use another name")]
    Internal,
}

/// The line of a message.
///
/// # Errors
/// It is none.
pub fn message_line(text: &str) -> Result<String, NotAMessage> {
    #[derive(Deserialize)]
    struct Named {
        cmd: String,
    }
    let message = serde_json::from_str::<&RawValue>(text).map_err(|error| NotAMessage::NotJson(error.to_string()))?;
    // Between values JSON may have line breaks; inside of texts it has none.
    let line = message.get().replace(['\n', '\r'], " ") + "\n";
    if line.len() > MESSAGE_BYTES_MAX {
        return Err(NotAMessage::TooLong(line.len()));
    }
    match serde_json::from_str::<Named>(&line) {
        Ok(Named { cmd }) if cmd.starts_with("NODE_") => Err(NotAMessage::Internal),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_is_one_line_and_nothing_else_is_taken() {
        for (text, line) in [
            (" {\"a\":\n[1,\r\n2]} ", "{\"a\": [1,  2]}\n"),
            ("\"reload\"", "\"reload\"\n"),
            ("5", "5\n"),
            ("{\"cmd\":\"NODE\"}", "{\"cmd\":\"NODE\"}\n"),
            ("{\"cmd\":7}", "{\"cmd\":7}\n"),
            ("\"\\ud800\"", "\"\\ud800\"\n"),
        ] {
            assert_eq!(message_line(text).as_deref(), Ok(line));
        }
        assert!(matches!(message_line("reload"), Err(NotAMessage::NotJson(_))));
        assert!(matches!(message_line("1 2"), Err(NotAMessage::NotJson(_))));
        assert_eq!(message_line("{\"cmd\":\"NODE_CLUSTER\"}"), Err(NotAMessage::Internal));
        let long = format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(message_line(&long), Err(NotAMessage::TooLong(long.len() + 1)));
    }
}
