//! Addresses of repositories: which are used, and how they are shown.

use std::fmt;

use thiserror::Error;

/// Longest address that is taken, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Schemes that are used. `ext::` and other helpers would run programs.
const SCHEMES: [&str; 6] = ["https", "http", "ssh", "git+ssh", "git", "file"];
/// What stands in the place of credentials.
const HIDDEN: &str = "***";

/// Why an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RemoteUrlError {
    /// Nothing, or too much.
    #[error("an address has between 1 and 2048 letters")]
    Length,
    /// Would be taken for an option.
    #[error("an address may not begin with `-`, nor may its host")]
    Dash,
    /// Spaces at the ends are fine to git; line feeds are not.
    #[error("an address has no control characters")]
    Control,
    /// `ext::sh -c …`, `ftp://…`.
    #[error("only https, http, ssh, git and file addresses, `user@host:path` and absolute paths are used")]
    Scheme,
    /// `./shop`.
    #[error("a path has to be absolute")]
    Relative,
    /// `ssh://user:password@host/…`: ssh would take it for a part of the name.
    #[error("an ssh address has no password; use a key")]
    Password,
    /// `https:///shop.git`.
    #[error("there is no host in it")]
    NoHost,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// https, http.
    Http,
    /// ssh, also in the form `user@host:path`.
    Ssh,
    /// Unauthenticated `git://`.
    Git,
    /// A folder of this machine.
    Local,
}

/// A checked address. Shown (`Display`, `Debug`) without user name and password of https addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    transport: Transport,
}

impl RemoteUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// It is not one that is used.
    pub fn parse(text: &str) -> Result<Self, RemoteUrlError> {
        if text.is_empty() || text.len() > URL_BYTES_MAX {
            return Err(RemoteUrlError::Length);
        }
        if text.starts_with('-') {
            return Err(RemoteUrlError::Dash);
        }
        if text.chars().any(char::is_control) {
            return Err(RemoteUrlError::Control);
        }
        Ok(Self { text: text.to_owned(), transport: transport_of(text)? })
    }

    /// The address as it was given, credentials included: for git only, never for people.
    pub fn as_secret_str(&self) -> &str {
        &self.text
    }

    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    /// The address without credentials, and those, decoded: user and password.
    pub(super) fn split(&self) -> (String, Option<(String, String)>) {
        let plain = || (self.text.clone(), None);
        if self.transport != Transport::Http {
            return plain();
        }
        let Some((scheme, rest)) = self.text.split_once("://") else { return plain() };
        let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some(at) = rest[..authority].rfind('@') else { return plain() };
        let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
        (format!("{scheme}://{}", &rest[at + 1..]), Some((decoded(user), decoded(password))))
    }
}

fn transport_of(text: &str) -> Result<Transport, RemoteUrlError> {
    if text.starts_with('/') {
        return Ok(Transport::Local);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        if !SCHEMES.contains(&scheme) {
            return Err(RemoteUrlError::Scheme);
        }
        if scheme == "file" {
            return if rest.starts_with('/') { Ok(Transport::Local) } else { Err(RemoteUrlError::Relative) };
        }
        let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        return match scheme {
            "ssh" | "git+ssh" | "git" if user.contains(':') => Err(RemoteUrlError::Password),
            _ if host.is_empty() || host.starts_with(':') => Err(RemoteUrlError::NoHost),
            _ if host.starts_with('-') => Err(RemoteUrlError::Dash),
            "https" | "http" => Ok(Transport::Http),
            "git" => Ok(Transport::Git),
            _ => Ok(Transport::Ssh),
        };
    }
    if text.contains("::") && !text.contains('[') {
        return Err(RemoteUrlError::Scheme);
    }
    // `host:path`, as scp writes it; a slash before the colon makes it a path.
    match text.split_once(':') {
        Some((host, path)) if !host.contains('/') => {
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            match host {
                _ if host.is_empty() || path.is_empty() => Err(RemoteUrlError::NoHost),
                _ if host.starts_with('-') => Err(RemoteUrlError::Dash),
                _ => Ok(Transport::Ssh),
            }
        }
        _ => Err(RemoteUrlError::Relative),
    }
}

/// `%40` and the like as what they stand for; what is no such code stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plain, credentials) = self.split();
        match (credentials, plain.split_once("://")) {
            (Some(_), Some((scheme, rest))) => f.pad(&format!("{scheme}://{HIDDEN}@{}", without_query(rest))),
            _ if self.transport == Transport::Http => f.pad(&without_query(&plain)),
            _ => f.pad(&plain),
        }
    }
}

/// What follows a `?` may be a token.
fn without_query(text: &str) -> String {
    text.split_once('?').map_or_else(|| text.to_owned(), |(before, _)| format!("{before}?{HIDDEN}"))
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_may_be_given() {
        use Transport::{Git, Http, Local, Ssh};
        for (text, transport) in [
            ("https://example.com/shop.git", Http),
            ("http://user:pass@[::1]:8080/shop.git", Http),
            ("ssh://git@example.com:2222/shop.git", Ssh),
            ("git@example.com:team/shop.git", Ssh),
            ("example.com:shop", Ssh),
            ("[::1]:shop", Ssh),
            ("git://example.com/shop", Git),
            ("file:///srv/shop.git", Local),
            ("/srv/a folder/shop:1", Local),
        ] {
            assert_eq!(RemoteUrl::parse(text).map(|url| url.transport()), Ok(transport), "{text}");
        }
    }

    #[test]
    fn addresses_that_git_is_never_given() {
        for (text, error) in [
            ("", RemoteUrlError::Length),
            ("--upload-pack=touch /tmp/x", RemoteUrlError::Dash),
            ("ssh://-oProxyCommand=x/y", RemoteUrlError::Dash),
            ("-oProxyCommand=x:y", RemoteUrlError::Dash),
            ("git@-oProxyCommand=x:y", RemoteUrlError::Dash),
            ("ext::sh -c touch% /tmp/x", RemoteUrlError::Scheme),
            ("fd::17", RemoteUrlError::Scheme),
            ("ftp://example.com/x", RemoteUrlError::Scheme),
            ("HTTPS://example.com/x", RemoteUrlError::Scheme),
            ("https://exa\nmple.com/x", RemoteUrlError::Control),
            ("./shop", RemoteUrlError::Relative),
            ("shop", RemoteUrlError::Relative),
            ("./a:b", RemoteUrlError::Relative),
            ("file://shop", RemoteUrlError::Relative),
            ("https:///shop", RemoteUrlError::NoHost),
            ("ssh://git:secret@example.com/x", RemoteUrlError::Password),
            ("https://user@/shop", RemoteUrlError::NoHost),
            (":shop", RemoteUrlError::NoHost),
        ] {
            assert_eq!(RemoteUrl::parse(text), Err(error), "{text}");
        }
        assert_eq!(RemoteUrl::parse(&format!("/{}", "x".repeat(3000))), Err(RemoteUrlError::Length));
    }

    #[test]
    fn credentials_are_taken_out_and_never_shown() {
        let url = RemoteUrl::parse("https://me%40home:to%3Aken%zz@example.com/a@b?private_token=secret").unwrap();
        assert_eq!(url.to_string(), "https://***@example.com/a@b?***");
        assert_eq!(format!("{url:?}"), "RemoteUrl(https://***@example.com/a@b?***)");
        let (plain, credentials) = url.split();
        assert_eq!(plain, "https://example.com/a@b?private_token=secret");
        assert_eq!(credentials, Some(("me@home".into(), "to:ken%zz".into())));
        let token = RemoteUrl::parse("https://ghp_token@example.com/x").unwrap();
        assert_eq!(token.split().1, Some(("ghp_token".into(), String::new())));
        assert_eq!(token.to_string(), "https://***@example.com/x");
        let ssh = RemoteUrl::parse("git@example.com:x").unwrap();
        assert_eq!((ssh.to_string().as_str(), ssh.split().1), ("git@example.com:x", None));
    }
}
