//! Requests a URL over HTTP/1.1, with or without TLS, and evaluates the answer. Redirects are answers like any other.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::pin;

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use regex_lite::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::address::{self, Listeners, words};
use super::probe::ProbeSubject;
use crate::model::HttpProbe;
use crate::rules::ProbeUrl;

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// What is read of a body.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Headers of an answer. Room for all of them is made for each probe, so there is not room for as many as a head could hold.
const HEADERS_MAX: usize = 512;

/// Asks once.
pub(super) async fn ask(listeners: &Listeners, subject: &ProbeSubject, probe: &HttpProbe) -> Result<(), String> {
    let text = subject.fill(&probe.url);
    let url = ProbeUrl::parse(&text).map_err(|error| format!("`{text}`: {error}"))?;
    let headers = probe.headers.iter().map(|(name, value)| (name.as_str(), subject.fill(value)));
    let request = request(&url, headers)?;
    let (stream, peer) = address::connect(listeners, subject, url.host, url.port).await?;
    if !url.is_https {
        return exchange(stream, request, probe).await;
    }
    #[cfg(feature = "tls")]
    return exchange(super::tls::shake_hands(stream, peer, url.host).await?, request, probe).await;
    #[cfg(not(feature = "tls"))]
    return Err(format!("this pm was built without TLS ({peer:?})"));
}

/// Our own headers, unless the file has them, and those of the file.
fn request<'a>(url: &ProbeUrl<'_>, given: impl Iterator<Item = (&'a str, String)>) -> Result<Request<String>, String> {
    let own = [("host", url.authority), ("user-agent", "pm-probe"), ("accept", "*/*"), ("connection", "close")];
    let own = own.into_iter().chain(url.authorization.as_deref().map(|value| ("authorization", value)));
    let mut headers = HeaderMap::new();
    for (name, value) in own.map(|(name, value)| (name, value.to_owned())).chain(given) {
        // A line end in a value would be another header.
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("`{name}`: {error}"))?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
    }
    let mut request = Request::get(&url.target).body(String::new()).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Asks over an open connection.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<String>,
    probe: &HttpProbe,
) -> Result<(), String> {
    let mut client = http1::Builder::new();
    client.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX).title_case_headers(true);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(|error| why(&error))?;
    let mut answer =
        pin!(async { evaluate(sender.send_request(request).await.map_err(|error| why(&error))?, probe).await });
    tokio::select! {
        biased;
        judged = &mut answer => return judged,
        // All that it has read is passed on by then, and so is its error.
        _ = connection => {}
    }
    answer.await
}

async fn evaluate(answer: hyper::Response<Incoming>, probe: &HttpProbe) -> Result<(), String> {
    let status = answer.status().as_u16();
    if !if probe.status.is_empty() { (200..400).contains(&status) } else { probe.status.contains(&status) } {
        return Err(format!("HTTP {status}"));
    }
    let Some(pattern) = &probe.body else { return Ok(()) };
    let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
    if regex.is_match(&String::from_utf8_lossy(&beginning(answer.into_body()).await)) {
        Ok(())
    } else {
        Err(format!("HTTP {status}, but the body does not match `{pattern}`"))
    }
}

/// The first bytes of a body. A server that ends without the whole of it has said what it has said.
async fn beginning(body: Incoming) -> Vec<u8> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while bytes.len() < BODY_BYTES_MAX {
        let Some(Ok(frame)) = poll_fn(|context| body.as_mut().poll_frame(context)).await else { break };
        bytes.extend_from_slice(frame.data_ref().map_or(&[], AsRef::as_ref));
    }
    bytes.truncate(BODY_BYTES_MAX);
    bytes
}

/// What went wrong, as a user would say it.
fn why(error: &hyper::Error) -> String {
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return words(error);
    }
    if error.is_parse_too_large() {
        return format!("the answer has more than {} KiB of headers, or more than {HEADERS_MAX}", HEAD_BYTES_MAX >> 10);
    }
    if error.is_parse() {
        return format!("the answer is not HTTP: {error}");
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return words(&io::ErrorKind::UnexpectedEof.into());
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn headers_of_the_file_replace_ours_and_cannot_add_lines() {
        let url = ProbeUrl::parse("http://u:p@a:1/x?y=%20").unwrap();
        let of_file = [("host", "b\r\nevil: 1".to_owned()), ("X-Key", "é".to_owned())];
        let asked = request(&url, of_file.into_iter()).unwrap();
        assert_eq!(asked.uri(), "/x?y=%20");
        let value = |name: &str| asked.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        assert_eq!(asked.headers().len(), 6);
        assert_eq!(value("Host").as_deref(), Some("bevil: 1"));
        assert_eq!(value("X-Key").as_deref(), Some("é"));
        assert_eq!(value("Authorization").as_deref(), Some("Basic dTpw"));
        let own = request(&url, [("authorization", "Bearer t".to_owned())].into_iter()).unwrap();
        assert_eq!(own.headers()["Authorization"], "Bearer t");
        assert_eq!(own.headers()["Host"], "a:1");
        assert!(request(&url, [("a b", String::new())].into_iter()).is_err());
    }

    /// What a probe makes of an answer that comes in these pieces, after which the server hangs up.
    async fn judged(pieces: &[&str], probe: &HttpProbe) -> Result<(), String> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let server = async {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                if theirs.read_buf(&mut asked).await.unwrap() == 0 {
                    return;
                }
            }
            for piece in pieces {
                let _ = theirs.write_all(piece.as_bytes()).await;
                tokio::task::yield_now().await;
            }
            drop(theirs);
        };
        let url = ProbeUrl::parse("http://a/").unwrap();
        let request = request(&url, std::iter::empty()).unwrap();
        tokio::join!(exchange(ours, request, probe), server).0
    }

    #[tokio::test]
    async fn answers_are_read_as_the_standard_has_them() {
        let many = (0..300).map(|number| format!("X-{number}: {number}\r\n")).collect::<Vec<_>>().concat();
        let many = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 5\r\n\r\nready");
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\nready", "x".repeat(40 << 10));
        let whole = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
            "HTTP/1.1 200 OK\r\n\r\nready",
            "HTTP/1.0 200 OK\r\n\r\nready",
            "HTTP/1.1 200\r\ncontent-length:5\r\n\r\nready",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\nready",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nre\r\n3\r\nady\r\n0\r\nTrailer: 1\r\n\r\n",
            // The rest never comes: what was said was said.
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nready",
            &many,
            &long,
        ];
        let url = crate::model::Template::literal("http://a/");
        let probe = HttpProbe {
            url,
            status: vec![200],
            headers: std::collections::BTreeMap::new(),
            body: Some("^ready$".into()),
        };
        for answer in whole {
            let letters: Vec<&str> = answer.split_inclusive(|_| true).collect();
            assert_eq!(judged(&[answer], &probe).await, Ok(()), "{answer:.300}");
            assert_eq!(judged(&letters, &probe).await, Ok(()), "letter by letter: {answer:.300}");
        }
        for (answer, why) in [
            ("HTTP/1.1 503 No\r\n\r\n", "HTTP 503"),
            ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\nready", "HTTP 503"),
            ("HTTP/1.1 200 OK\r\n\r\nstarting", "HTTP 200, but the body does not match `^ready$`"),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", "connection closed without an answer"),
            ("HTTP/1.1 200 OK\r\nX: 1", "connection closed without an answer"),
            ("", "connection closed without an answer"),
        ] {
            assert_eq!(judged(&[answer], &probe).await, Err(why.to_owned()), "{answer}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX + 1));
        let too_many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(HEADERS_MAX + 1));
        for answer in [endless, too_many] {
            let error = judged(&[&answer], &probe).await.unwrap_err();
            assert_eq!(error, "the answer has more than 64 KiB of headers, or more than 512");
        }
        for strange in ["SSH-2.0-OpenSSH\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
            let error = judged(&[strange], &probe).await.unwrap_err();
            assert!(error.starts_with("the answer is not HTTP"), "{strange:?}: {error}");
        }
    }
}
