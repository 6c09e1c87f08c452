//! What git prints on standard error → the kind of trouble.

use super::GitTrouble;

/// Longest line that is shown, in letters.
const LINE_MAX: usize = 300;

/// Parts of messages of git, ssh and curl in the language `C`, small letters. The first that is found counts: what a
/// failed write or a missing key leads to is printed after it.
const SIGNS: &[(&str, GitTrouble)] = &[
    ("no space left on device", GitTrouble::DiskFull),
    ("disk quota exceeded", GitTrouble::DiskFull),
    ("file too large", GitTrouble::DiskFull),
    ("fsck error", GitTrouble::Malformed),
    ("detected dubious ownership", GitTrouble::ForeignOwner),
    ("host key verification failed", GitTrouble::UnknownHostKey),
    ("no matching host key", GitTrouble::UnknownHostKey),
    ("permission denied (", GitTrouble::AuthenticationNeeded),
    ("authentication failed", GitTrouble::AuthenticationNeeded),
    ("could not read username", GitTrouble::AuthenticationNeeded),
    ("could not read password", GitTrouble::AuthenticationNeeded),
    ("terminal prompts disabled", GitTrouble::AuthenticationNeeded),
    ("unable to get password", GitTrouble::AuthenticationNeeded),
    ("returned error: 401", GitTrouble::AuthenticationNeeded),
    ("returned error: 403", GitTrouble::AuthenticationNeeded),
    ("couldn't find remote ref", GitTrouble::NoSuchRef),
    ("unadvertised object", GitTrouble::CommitGone),
    ("not our ref", GitTrouble::CommitGone),
    ("could not resolve host", GitTrouble::Unreachable),
    ("name or service not known", GitTrouble::Unreachable),
    ("temporary failure in name resolution", GitTrouble::Unreachable),
    ("connection refused", GitTrouble::Unreachable),
    ("connection timed out", GitTrouble::Unreachable),
    ("connection reset", GitTrouble::Unreachable),
    ("connection closed by", GitTrouble::Unreachable),
    ("couldn't connect to server", GitTrouble::Unreachable),
    ("could not connect to server", GitTrouble::Unreachable),
    ("failed to connect", GitTrouble::Unreachable),
    ("network is unreachable", GitTrouble::Unreachable),
    ("no route to host", GitTrouble::Unreachable),
    ("unable to connect", GitTrouble::Unreachable),
    ("operation too slow", GitTrouble::TimedOut),
    ("operation timed out", GitTrouble::TimedOut),
    ("certificate", GitTrouble::Unreachable),
    ("returned error: 5", GitTrouble::Unreachable),
    ("does not appear to be a git repository", GitTrouble::NoRepository),
    ("repository not found", GitTrouble::NoRepository),
    ("returned error: 404", GitTrouble::NoRepository),
    ("repository '", GitTrouble::NoRepository),
    ("no such file or directory", GitTrouble::NoRepository),
    ("transport '", GitTrouble::UrlRefused),
    ("protocol error", GitTrouble::Garbage),
    ("not valid: is this a git repository", GitTrouble::Garbage),
    ("invalid server response", GitTrouble::Garbage),
    ("bad line length", GitTrouble::Garbage),
    ("unexpected", GitTrouble::Garbage),
    ("early eof", GitTrouble::Garbage),
    ("transfer closed with", GitTrouble::Garbage),
    ("the remote end hung up", GitTrouble::Garbage),
    ("empty reply from server", GitTrouble::Garbage),
    ("received http/0.9", GitTrouble::Garbage),
    ("unsupported protocol", GitTrouble::Garbage),
    ("index-pack failed", GitTrouble::Garbage),
    ("bad object", GitTrouble::Garbage),
    ("unpack-objects failed", GitTrouble::Garbage),
    ("corrupt", GitTrouble::Garbage),
];

/// The kind of trouble, and the line that says most: the last `fatal:` or `error:`, otherwise the last one. Control
/// characters are taken out, and `secret` is hidden.
pub(super) fn read_complaint(complaint: &str, secret: Option<&str>) -> (GitTrouble, String) {
    let small = complaint.to_lowercase();
    let trouble =
        SIGNS.iter().find(|(sign, _)| small.contains(sign)).map_or(GitTrouble::Failed, |(_, trouble)| *trouble);
    let lines = || complaint.lines().map(str::trim).filter(|line| !line.is_empty() && !is_advice(line));
    let begins = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    let of_object = || lines().find(|line| line.starts_with("error: object ") || line.starts_with("fatal: object "));
    let line = if trouble == GitTrouble::Malformed { of_object() } else { None };
    let line = line.or_else(|| lines().rfind(begins)).or_else(|| lines().next_back()).unwrap_or_default();
    let line = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
    let mut text = plain(line, LINE_MAX);
    if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    (trouble, text)
}

/// What git adds below every failure of ssh, and of a local repository.
fn is_advice(line: &str) -> bool {
    [
        "fatal: Could not read from remote repository",
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "hint:",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// Text of strangers for people: control characters are taken out, and it has an end.
pub(super) fn plain(text: &str, letters_max: usize) -> String {
    let is_harmless = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_harmless).take(letters_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_has_its_kind_and_its_line() {
        use GitTrouble as T;
        for (complaint, trouble, line) in [
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
                T::AuthenticationNeeded,
                "git@h: Permission denied (publickey).",
            ),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled\n",
                T::AuthenticationNeeded,
                "could not read Username for 'https://h': terminal prompts disabled",
            ),
            ("fatal: unable to get password from user\n", T::AuthenticationNeeded, "unable to get password from user"),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h\n",
                T::Unreachable,
                "unable to access 'https://h/': Could not resolve host: h",
            ),
            (
                "fatal: '/no' does not appear to be a git repository\nfatal: Could not read from remote repository.\n",
                T::NoRepository,
                "'/no' does not appear to be a git repository",
            ),
            ("error: one\nfatal: index-pack failed\n", T::Garbage, "index-pack failed"),
            (
                "fatal: write error: No space left on device\nfatal: index-pack failed\n",
                T::DiskFull,
                "index-pack failed",
            ),
            ("remote: \u{1b}[31mred\u{202e}\n", T::Failed, "remote: [31mred"),
            (
                "fatal: Authentication failed for 'https://h/?t=s3cret'",
                T::AuthenticationNeeded,
                "Authentication failed for 'https://h/?t=***'",
            ),
            ("", T::Failed, ""),
        ] {
            assert_eq!(read_complaint(complaint, Some("s3cret")), (trouble, line.to_owned()), "{complaint}");
        }
        assert_eq!(read_complaint(&"x".repeat(5000), None).1.len(), LINE_MAX);
    }
}
