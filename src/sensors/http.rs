//! Asks a URL over HTTP/1.1, with TLS or without, and judges the answer. Redirects are an answer like any other.

use std::io;

use regex_lite::Regex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::address::{self, Listeners, words};
use super::probe::Subject;
use crate::model::HttpProbe;

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// What is read of a body.
const BODY_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// Asks once.
pub(super) async fn ask(listeners: &Listeners, subject: &Subject, probe: &HttpProbe) -> Result<(), String> {
    let url = subject.fill(&probe.url);
    let url = Url::parse(&url)?;
    let headers = probe.headers.iter().map(|(name, value)| (name.as_str(), subject.fill(value)));
    let request = request(&url, headers);
    let (stream, peer) = address::connect(listeners, subject, url.host, url.port).await?;
    if !url.is_https {
        return exchange(stream, &request, probe).await;
    }
    #[cfg(feature = "tls")]
    return exchange(super::tls::shake_hands(stream, peer, url.host).await?, &request, probe).await;
    #[cfg(not(feature = "tls"))]
    return Err(format!("this pm was built without TLS ({peer:?})"));
}

/// Asks over an open connection.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    probe: &HttpProbe,
) -> Result<(), String> {
    stream.write_all(request.as_bytes()).await.map_err(|error| words(&error))?;
    stream.flush().await.map_err(|error| words(&error))?; // TLS keeps records back
    let mut answer = Vec::with_capacity(1024);
    let head = loop {
        let read = stream.read_buf(&mut answer).await.map_err(|error| words(&error))?;
        if let Some(head) = Head::parse(&answer)? {
            break head;
        }
        if read == 0 {
            return Err(words(&io::ErrorKind::UnexpectedEof.into()));
        }
        if answer.len() > HEAD_BYTES_MAX {
            return Err("an answer whose head does not end".into());
        }
    };
    let is_good =
        if probe.status.is_empty() { (200..400).contains(&head.status) } else { probe.status.contains(&head.status) };
    if !is_good {
        return Err(format!("HTTP {}", head.status));
    }
    let Some(pattern) = &probe.body else { return Ok(()) };
    let mut body = answer.split_off(head.bytes);
    let wanted = head.length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    while body.len() < wanted {
        // A server that ends without the whole of it has said what it has said.
        match stream.read_buf(&mut body).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let body = if head.is_chunked { unchunked(&body) } else { body };
    let text = String::from_utf8_lossy(&body[..body.len().min(BODY_BYTES_MAX)]);
    let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
    if regex.is_match(&text) {
        Ok(())
    } else {
        Err(format!("HTTP {}, but the body does not match `{pattern}`", head.status))
    }
}

/// The parts of a URL that a request needs.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    is_https: bool,
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: String,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let plain = text.strip_prefix("http://").map(|rest| (false, rest));
        let found = plain.or_else(|| text.strip_prefix("https://").map(|rest| (true, rest)));
        let (is_https, rest) = found.ok_or_else(|| format!("`{text}` is no http or https URL"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, address::port(port)?),
            _ => (authority, if is_https { 443 } else { 80 }),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { is_https, authority, host, port, path })
    }
}

fn request<'a>(url: &Url<'_>, headers: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut own = vec![("Host", url.authority.to_owned()), ("User-Agent", "pm-probe".to_owned())];
    own.extend([("Accept", "*/*".to_owned()), ("Connection", "close".to_owned())]);
    let given: Vec<(&str, String)> = headers.collect();
    own.retain(|(name, _)| !given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    let mut text = format!("GET {} HTTP/1.1\r\n", url.path);
    for (name, value) in own.into_iter().chain(given) {
        // A line end in a value would be another header.
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        text.extend([name, ": ", &value, "\r\n"]);
    }
    text.push_str("\r\n");
    text
}

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Its own length.
    bytes: usize,
    /// That of the body, if it is said.
    length: Option<usize>,
    is_chunked: bool,
}

impl Head {
    /// `None` as long as it is not whole.
    fn parse(answer: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(answer).map_err(|error| format!("the answer is not HTTP: {error}"))?;
        let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
        let find = |name: &str| {
            let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok().map(str::trim)
        };
        Ok(Some(Self {
            status: response.code.unwrap_or(0),
            bytes,
            length: find("content-length").and_then(|value| value.parse().ok()),
            is_chunked: find("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked")),
        }))
    }
}

/// The contents of the chunks, as far as they are there.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut contents = Vec::new();
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(body) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let rest = &body[start..];
        contents.extend_from_slice(&rest[..length.min(rest.len())]);
        if length == 0 || length.saturating_add(2) > rest.len() {
            break;
        }
        body = &rest[length + 2..];
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        for (text, host, port, path) in [
            ("http://127.0.0.1:8080/health", "127.0.0.1", 8080, "/health"),
            ("http://localhost", "localhost", 80, "/"),
            ("http://api?x=1#top", "api", 80, "/?x=1"),
            ("http://user:secret@[::1]:81/a?b", "[::1]", 81, "/a?b"),
            ("http://[::1]/", "[::1]", 80, "/"),
            ("https://api/", "api", 443, "/"),
            ("https://[::1]:8443", "[::1]", 8443, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host, url.port, url.path.as_str()), (host, port, path), "{text}");
            assert_eq!(url.is_https, text.starts_with("https"), "{text}");
        }
        assert!(Url::parse("http://a:99999/").is_err() && Url::parse("ftp://a/").is_err());
    }

    #[test]
    fn headers_of_the_file_replace_ours_and_cannot_add_lines() {
        let url = Url::parse("http://a:1/x").unwrap();
        let text = request(&url, [("host", "b\r\nevil: 1".to_owned()), ("X-Key", "1".to_owned())].into_iter());
        assert!(text.starts_with("GET /x HTTP/1.1\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(
            text.contains("host: bevil: 1\r\n") && !text.contains("Host: a") && text.contains("X-Key: 1"),
            "{text}"
        );
    }

    #[test]
    fn heads_and_chunks_are_read_as_they_come() {
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        let head = Head::parse(b"HTTP/1.1 503 No\r\ntransfer-encoding: gzip, Chunked\r\n\r\nabc").unwrap().unwrap();
        assert_eq!(head, Head { status: 503, bytes: 53, length: None, is_chunked: true });
        assert!(Head::parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert_eq!(unchunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), b"abcde");
        assert_eq!(unchunked(b"5\r\nab"), b"ab");
    }
}
