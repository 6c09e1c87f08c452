//! URLs of HTTP probes → what a request needs. Shared by `pm check` and the probe itself.

use std::net::Ipv6Addr;

/// Letters of the Base64 alphabet (RFC 4648).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The parts of a URL that a request needs.
#[derive(Debug, PartialEq, Eq)]
pub struct ProbeUrl<'a> {
    /// Whether it is asked over TLS.
    pub is_https: bool,
    /// Value of the header `Host`: host and port as written, without a name or password.
    pub authority: &'a str,
    /// An IPv6 address has its brackets.
    pub host: &'a str,
    /// As written, or the scheme's own.
    pub port: u16,
    /// Path and query: the target of the request line.
    pub target: String,
    /// Value of the header `Authorization` if there is a name or a password before an `@` (RFC 7617).
    pub authorization: Option<String>,
}

/// Why a text is not a URL that can be asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or no host.
    #[error("is not an http or https URL")]
    NotHttp,
    /// The port, or what stands in its place.
    #[error("`{0}` is not a port: 1 to 65535")]
    Port(String),
    /// RFC 3986 does not let it stand in a URL.
    #[error("{0:?} is not allowed in a URL")]
    Letter(char),
    /// A `%` without two hexadecimal digits behind it.
    #[error("a `%` without two hexadecimal digits after it")]
    Percent,
    /// A host that is neither a name nor an address.
    #[error("`{0}` is not a host")]
    Host(String),
}

impl<'a> ProbeUrl<'a> {
    /// Takes a URL apart that has no variables left.
    ///
    /// # Errors
    /// It could not be asked.
    pub fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NotHttp)?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::NotHttp);
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, self::port(port)?),
            _ => (authority, if is_https { 443 } else { 80 }),
        };
        check_host(host)?;
        check_letters(path)?;
        check_letters(user.unwrap_or_default())?;
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { is_https, authority, host, port, target, authorization: user.map(basic) })
    }
}

fn port(text: &str) -> Result<u16, UrlError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    port.ok_or_else(|| UrlError::Port(text.to_owned()))
}

/// Underscores are in no standard, and in the names of containers.
fn check_host(host: &str) -> Result<(), UrlError> {
    if host.is_empty() {
        return Err(UrlError::NotHttp);
    }
    if let Some(letter) = host.chars().find(|letter| !letter.is_ascii_graphic()) {
        return Err(UrlError::Letter(letter));
    }
    let is_name = host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter));
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if is_name || inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    Err(UrlError::Host(host.to_owned()))
}

/// RFC 3986, appendix A: what may stand in a path, a query or the part before an `@`; square brackets too, which
/// many servers take in queries (`?filter[name]=x`).
fn check_letters(part: &str) -> Result<(), UrlError> {
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%[]".contains(letter);
    if let Some(letter) = part.chars().find(|letter| !is_known(*letter)) {
        return Err(UrlError::Letter(letter));
    }
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if part.split('%').skip(1).all(is_escape) { Ok(()) } else { Err(UrlError::Percent) }
}

/// `user:password`, percent-decoded, as a header has it.
fn basic(user: &str) -> String {
    let mut plain = Vec::with_capacity(user.len());
    let mut parts = user.split('%');
    plain.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (byte, rest) = part.split_at_checked(2).unwrap_or(("", part));
        plain.extend(u8::from_str_radix(byte, 16).ok());
        plain.extend_from_slice(rest.as_bytes());
    }
    if !user.contains(':') {
        plain.push(b':');
    }
    format!("Basic {}", base64(&plain))
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = padded.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = char::from(BASE64[bits >> (18 - 6 * place) & 63]);
            text.push(if place > group.len() { '=' } else { letter });
        }
    }
    text
}

/// Whether a text can be the name of a header (a token of RFC 9110).
pub fn is_header_name(name: &str) -> bool {
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    !name.is_empty() && name.chars().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        for (text, host, port, target) in [
            ("http://127.0.0.1:8080/health", "127.0.0.1", 8080, "/health"),
            ("http://localhost", "localhost", 80, "/"),
            ("http://api?x=1#top part", "api", 80, "/?x=1"),
            ("http://user:secret@[::1]:81/a?b", "[::1]", 81, "/a?b"),
            ("http://[::1]/", "[::1]", 80, "/"),
            ("HTTPS://my_api.local/a%20b?c[d]=%C3%A9&e=f/g?h@i", "my_api.local", 443, "/a%20b?c[d]=%C3%A9&e=f/g?h@i"),
            ("https://[::1]:8443", "[::1]", 8443, "/"),
        ] {
            let url = ProbeUrl::parse(text).unwrap();
            assert_eq!((url.host, url.port, url.target.as_str()), (host, port, target), "{text}");
            assert_eq!(url.is_https, text.to_lowercase().starts_with("https"), "{text}");
            assert!(!url.authority.contains('@'), "{text}");
        }
    }

    #[test]
    fn what_could_not_be_asked_is_refused() {
        use UrlError::*;
        for (text, why) in [
            ("ftp://a/", NotHttp),
            ("localhost:80/", NotHttp),
            ("http://", NotHttp),
            ("http://:80/", NotHttp),
            ("http:///a", NotHttp),
            ("http://a:99999/", Port("99999".into())),
            ("http://a:+80/", Port("+80".into())),
            ("http://a:0/", Port("0".into())),
            ("http://a:/", Port(String::new())),
            ("http://a/b c", Letter(' ')),
            ("http://a/é", Letter('é')),
            ("http://a/?q=é", Letter('é')),
            ("http://é/", Letter('é')),
            ("http://a b/", Letter(' ')),
            ("http://a/\r\nX: 1", Letter('\r')),
            ("http://a/\u{0}", Letter('\u{0}')),
            ("http://a/{id}|\"x\"", Letter('{')),
            ("http://a/\\b", Letter('\\')),
            ("http://ü:p@a/", Letter('ü')),
            ("http://a/100%", Percent),
            ("http://a/%4", Percent),
            ("http://a/%zz", Percent),
            ("http://a/%+1", Percent),
            ("http://::1/", Host(":".into())),
            ("http://[::g]/", Host("[::g]".into())),
            ("http://a,b/", Host("a,b".into())),
        ] {
            assert_eq!(ProbeUrl::parse(text).map(|url| url.target), Err(why), "{text}");
        }
    }

    #[test]
    fn name_and_password_become_a_header() {
        for (text, value) in [
            ("http://Aladdin:open%20sesame@a/", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), // RFC 7617's own
            ("http://test:123%C2%A3@a/", "Basic dGVzdDoxMjPCow=="),
            ("http://token@a/", "Basic dG9rZW46"),
            ("http://:p@a/", "Basic OnA="),
            ("http://u:a:b%40@a/", "Basic dTphOmJA"),
        ] {
            assert_eq!(ProbeUrl::parse(text).unwrap().authorization.as_deref(), Some(value), "{text}");
        }
        assert_eq!(ProbeUrl::parse("http://a/@b").unwrap().authorization, None);
    }

    #[test]
    fn a_header_has_the_name_of_one() {
        for (name, is_good) in
            [("X-Key", true), ("x_1", true), ("", false), ("a b", false), ("a:", false), ("é", false)]
        {
            assert_eq!(is_header_name(name), is_good, "{name:?}");
        }
    }
}
