//! Which machine: `ssh://user@box:22/path/to/home` → the words for `ssh`.

use std::fmt;
use std::path::PathBuf;

/// A machine that is reached through ssh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RemoteHost {
    /// As typed.
    text: String,
    user: Option<String>,
    name: String,
    port: Option<u16>,
    /// `PM_HOME` there; `None` = as its user's.
    pub home: Option<PathBuf>,
}

/// How long `ssh` waits for a connection, and then for a sign of life, in seconds. Without these a command would wait
/// for a machine that is gone for as long as TCP does.
const CONNECT_SECONDS: u32 = 30;
const ALIVE_SECONDS: u32 = 15;

/// What runs there: constant, so that nothing of a call is read by a shell. The shells of other machines have their PATH
/// without the folders of a user's own programs in commands like this.
const COMMAND: &str = "sh -c 'for p in pm \"$HOME/.local/bin/pm\" \"$HOME/.cargo/bin/pm\"; do \
                       if command -v \"$p\" >/dev/null 2>&1; then exec \"$p\" __remote; fi; done; exit 127'";

impl RemoteHost {
    /// Reads `ssh://[user@]host[:port][/home]`, or `[user@]host` as `ssh` itself takes it.
    ///
    /// # Errors
    /// It is none, in words. A password in it is not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (rest, is_url) = match text.split_once("://") {
            Some(("ssh", rest)) => (rest, true),
            Some((scheme, _)) if !scheme.contains('@') => {
                return Err(format!("`{scheme}://` is not supported: write `ssh://user@host`"));
            }
            _ => (text, false),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) if is_url => (&rest[..at], Some(&rest[at..])),
            _ => (rest, None),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a password does not belong into a host: let ssh use a key".to_owned());
        }
        let (name, port) = if is_url { name_and_port(place)? } else { (place, None) };
        let is_word = |word: &str, others: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && word.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
        };
        if !is_word(name, "._-:%") {
            return Err("the name of a host has letters, digits, `.`, `_` and `-`: write `ssh://user@host`".to_owned());
        }
        if user.is_some_and(|user| !is_word(user, "._-+@")) {
            return Err("the name of a user has letters, digits, `.`, `_`, `+` and `-`".to_owned());
        }
        let home = path.filter(|path| *path != "/").map(decoded).transpose()?.map(PathBuf::from);
        Ok(Self { text: text.to_owned(), user: user.map(str::to_owned), name: name.to_owned(), port, home })
    }

    /// The same under a name that a user gave it.
    pub(super) fn named(self, name: &str) -> Self {
        Self { text: name.to_owned(), ..self }
    }

    /// The arguments of `ssh`. The user's configuration says the rest.
    pub(super) fn ssh_args(&self) -> Vec<String> {
        let mut args = vec!["-T".to_owned()];
        for option in [
            format!("ConnectTimeout={CONNECT_SECONDS}"),
            format!("ServerAliveInterval={ALIVE_SECONDS}"),
            "ServerAliveCountMax=3".to_owned(),
            // Not what the user's configuration runs at each login there.
            "RemoteCommand=none".to_owned(),
        ] {
            args.extend(["-o".to_owned(), option]);
        }
        if let Some(port) = self.port {
            args.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            args.extend(["-l".to_owned(), user.clone()]);
        }
        args.extend(["--".to_owned(), self.name.clone(), COMMAND.to_owned()]);
        args
    }

    /// The command that only opens a connection, for a person to try.
    pub(super) fn ssh_line(&self) -> String {
        let port = self.port.map(|port| format!(" -p {port}")).unwrap_or_default();
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("ssh{port} {user}{}", self.name)
    }
}

impl fmt::Display for RemoteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// `box`, `box:22`, `[::1]:22`.
fn name_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (name, rest) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((name, rest)) => (name, rest),
        None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
    };
    if rest.is_empty() {
        return Ok((name, None));
    }
    let port = rest.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    port.map(|port| (name, Some(port))).ok_or_else(|| "the port of a host is a number from 1 to 65535".to_owned())
}

/// A path with `%20` in it as it is.
fn decoded(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(Ok(byte)) = digits.map(|digits| u8::from_str_radix(digits, 16)) {
            bytes.push(byte);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| "the path of a host is `PM_HOME` there, in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ssh` is told besides the options that are always the same.
    fn words(text: &str) -> Result<Vec<String>, String> {
        let host = RemoteHost::parse(text)?;
        let mut args = host.ssh_args();
        assert_eq!(args.pop().as_deref(), Some(COMMAND));
        args.drain(..9);
        args.extend(host.home.map(|home| home.display().to_string()));
        Ok(args)
    }

    #[test]
    fn a_host_is_read_as_ssh_reads_it() {
        for (text, expected) in [
            ("box", "-- box"),
            ("me@box", "-l me -- box"),
            ("ssh://box", "-- box"),
            ("ssh://box/", "-- box"),
            ("ssh://me@box:2222/srv/pm%20home", "-p 2222 -l me -- box /srv/pm home"),
            ("ssh://a@b@box", "-l a@b -- box"),
            ("ssh://[fe80::1%eth0]:22", "-p 22 -- fe80::1%eth0"),
            ("web-1.example.org", "-- web-1.example.org"),
        ] {
            assert_eq!(words(text).unwrap().join(" "), expected, "{text}");
        }
    }

    #[test]
    fn nothing_of_a_host_becomes_an_option_or_a_command() {
        for text in [
            "",
            "-oProxyCommand=touch x",
            "ssh://-oProxyCommand=touch",
            "ssh://-oProxyCommand=touch@box",
            "me@-box",
            "box;touch x",
            "$(touch x)",
            "`touch`@box",
            "ssh://box|x",
            "ssh://bo x",
            "ssh://box\n",
            "ssh://me'@box",
            "http://box",
            "ssh://box:0",
            "ssh://box:x",
            "ssh://box:99999",
            "ssh://[::1",
            "ssh:///home",
            "ssh://box/a%0ab",
            "ssh://box/%ff",
        ] {
            assert!(RemoteHost::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = RemoteHost::parse("ssh://me:hunter22@box").unwrap_err();
        assert!(!error.contains("hunter22"), "{error}");
    }
}
