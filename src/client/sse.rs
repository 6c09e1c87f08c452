//! Server-sent events, one JSON value each.

use std::io::{BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::ClientError;
use super::connection::{broken, understood};
use super::http::Body;

/// Longest message: the plan of thousands of apps.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Messages as they come.
#[derive(Debug)]
pub struct Messages<T> {
    lines: BufReader<Body<BufReader<UnixStream>>>,
    until: Option<Instant>,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Messages<T> {
    pub(super) fn new(body: Body<BufReader<UnixStream>>) -> Self {
        Self { lines: BufReader::new(body), until: None, of: PhantomData }
    }

    /// Waits no longer than until then.
    pub fn wait_until(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// Whether something waits to be read already.
    pub fn has_more(&self) -> bool {
        !self.lines.buffer().is_empty()
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// # Errors
    /// The connection broke, the time is over, or the message is not understood.
    pub fn read(&mut self) -> Result<Option<T>, ClientError> {
        let until = self.until;
        let cut_off = |error| match error {
            ClientError::Lost { source } => ClientError::CutOff { source },
            error => error,
        };
        match read_event(&mut self.lines, |lines| lines.get_ref().be_patient(until)).map_err(cut_off)? {
            Some(data) => understood(&data).map(Some),
            None => Ok(None),
        }
    }
}

/// Reads up to the empty line that ends an event; comments (the keep-alive) are skipped.
fn read_event<R: Read>(
    from: &mut BufReader<R>,
    before_waiting: impl Fn(&BufReader<R>) -> Result<(), ClientError>,
) -> Result<Option<Vec<u8>>, ClientError> {
    let mut data = Vec::new();
    let mut line = Vec::new();
    loop {
        before_waiting(from)?;
        line.clear();
        if from.take(MESSAGE_BYTES_MAX).read_until(b'\n', &mut line).map_err(broken)? == 0 {
            return Ok(None);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if let Some(value) = text.strip_prefix(b"data:") {
            data.extend(value.strip_prefix(b" ").unwrap_or(value));
        } else if text.is_empty() && !data.is_empty() {
            return Ok(Some(data));
        }
        if data.len() as u64 > MESSAGE_BYTES_MAX {
            return Err(ClientError::NotUnderstood { problem: "a message does not end".to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<String> {
        let mut from = BufReader::with_capacity(3, text.as_bytes());
        std::iter::from_fn(|| read_event(&mut from, |_| Ok(())).unwrap())
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    #[test]
    fn keep_alives_are_no_messages_and_a_cut_message_is_none() {
        assert_eq!(events("data: {\"a\":1}\n\n:\n\ndata:2\r\n\r\ndata: 3\n"), ["{\"a\":1}", "2"]);
        assert_eq!(events(": only comments\n\n:\n\n"), Vec::<String>::new());
    }
}
