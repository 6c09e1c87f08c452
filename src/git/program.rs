//! Runs git: with settings of ours alone, without questions, hooks, filters or helpers of anybody else.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Millis;
use crate::os::{self, GroupAnswer, GroupCall};

use super::complaint::read_complaint;
use super::url::Transport;
use super::{GitError, GitTrouble, Remote};

/// For what needs no network.
pub(super) const LOCAL_PATIENCE: Millis = Millis::seconds(120);
/// Kept of an answer that should be short.
pub(super) const SHORT_ANSWER: usize = 64 << 10;

/// Variables of ours that git, ssh, gpg and curl need. Everything else is left out.
const PASSED_ON: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "LD_LIBRARY_PATH",
];

const VARIABLES: [(&str, &str); 14] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_PAGER", "cat"),
    ("GIT_ADVICE", "0"),
    ("GIT_SSH_VARIANT", "ssh"),
    ("GIT_DEFAULT_HASH", "sha1"),
];

/// Settings of every call. Faults that old versions of git wrote into honest repositories are accepted; whatever could do
/// harm is not.
const SETTINGS: [(&str, &str); 46] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.protectNTFS", "true"),
    ("core.protectHFS", "true"),
    ("core.symlinks", "true"),
    ("core.fileMode", "true"),
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.quotePath", "false"),
    ("core.fsync", "committed"),
    ("core.askPass", ""),
    ("core.gitProxy", ""),
    ("credential.helper", ""),
    ("credential.interactive", "false"),
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.git.allow", "always"),
    ("protocol.file.allow", "always"),
    ("transfer.fsckObjects", "true"),
    ("transfer.credentialsInUrl", "die"),
    ("transfer.bundleURI", "false"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.zeroPaddedDate", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.badDate", "ignore"),
    ("fetch.fsck.badDateOverflow", "ignore"),
    ("fetch.fsck.badName", "ignore"),
    ("fetch.fsck.badEmail", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.followRedirects", "initial"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.showSignature", "false"),
    ("checkout.workers", "1"),
];

/// Answers git's question for a user and a password from two variables, which only git and its children have.
const CREDENTIAL_HELPER: &str =
    "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$PM_GIT_USER\" \"$PM_GIT_PASSWORD\"; }; f";

/// The program, and the repository that it is asked about.
#[derive(Debug)]
pub(super) struct Git {
    program: PathBuf,
    variables: Vec<(String, String)>,
    repository: PathBuf,
}

/// One call of git.
#[derive(Clone, Copy)]
pub(super) struct GitCall<'a> {
    /// What is attempted, after "cannot".
    pub operation: &'static str,
    /// With what; no secret.
    pub thing: &'a str,
    /// The arguments.
    pub args: &'a [&'a str],
    /// Settings besides those of every call.
    pub settings: &'a [(String, String)],
    /// Variables besides those of every call.
    pub variables: &'a [(String, String)],
    /// What git reads.
    pub input: &'a [u8],
    /// How long it may take.
    pub patience: Millis,
    /// How much of the answer is kept.
    pub bytes_max: usize,
    /// See [`GroupCall`].
    pub is_superseded: &'a dyn Fn() -> bool,
}

impl<'a> GitCall<'a> {
    /// A call that needs no network and has a short answer.
    pub fn local(operation: &'static str, thing: &'a str, args: &'a [&'a str]) -> Self {
        Self {
            operation,
            thing,
            args,
            settings: &[],
            variables: &[],
            input: b"",
            patience: LOCAL_PATIENCE,
            bytes_max: SHORT_ANSWER,
            is_superseded: &|| false,
        }
    }

    pub fn error(&self, trouble: GitTrouble, detail: impl Into<String>) -> GitError {
        GitError::new(trouble, self.operation, self.thing, detail)
    }

    /// The error for an answer that is none.
    pub fn failed(&self, answer: &GroupAnswer) -> GitError {
        let secret = self.variables.iter().find(|(name, _)| name == "PM_GIT_PASSWORD").map(|(_, value)| value.as_str());
        let (trouble, line) = read_complaint(&answer.complaint, secret);
        let how = || answer.exit_code.map_or_else(|| "git was killed".into(), |code| format!("git ended with {code}"));
        self.error(trouble, if line.is_empty() { how() } else { line })
    }
}

impl Git {
    /// Finds git. `repository` need not be there.
    pub fn find(repository: &Path) -> Result<Self, GitError> {
        let missing = || GitError::new(GitTrouble::GitMissing, "run", "git", "");
        let path = os::variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let program = os::find_program(OsStr::new("git"), OsStr::new(&path)).ok_or_else(missing)?;
        let passed_on = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), os::variable(name)?)));
        let fixed = VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Self { program, variables: passed_on.chain(fixed).collect(), repository: repository.to_owned() })
    }

    /// Runs git; any exit code is an answer.
    pub fn ask(&self, call: &GitCall<'_>) -> Result<GroupAnswer, GitError> {
        let args: Vec<String> = call.args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut variables = self.variables.clone();
        let repository = self
            .repository
            .to_str()
            .ok_or_else(|| call.error(GitTrouble::Failed, "the path of the home is no text"))?;
        variables.push(("GIT_DIR".to_owned(), repository.to_owned()));
        variables.extend_from_slice(call.variables);
        let fixed = SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut count = 0;
        for (name, value) in fixed.chain(call.settings.iter().cloned()) {
            variables.push((format!("GIT_CONFIG_KEY_{count}"), name));
            variables.push((format!("GIT_CONFIG_VALUE_{count}"), value));
            count += 1;
        }
        variables.push(("GIT_CONFIG_COUNT".to_owned(), count.to_string()));
        let asked = os::run_in_group(&GroupCall {
            program: &self.program,
            args: &args,
            variables: &variables,
            folder: Path::new("/"),
            input: call.input,
            patience: call.patience,
            output_bytes_max: call.bytes_max,
            is_cancelled: call.is_superseded,
        });
        asked.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => call.error(GitTrouble::TimedOut, format!("ended after {}", call.patience)),
            io::ErrorKind::Interrupted => call.error(GitTrouble::Superseded, ""),
            io::ErrorKind::NotFound => call.error(GitTrouble::GitMissing, error.to_string()),
            _ => call.error(GitTrouble::Failed, error.to_string()),
        })
    }

    /// Runs git; any exit code but 0 is an error, as is an answer that is too long.
    pub fn run(&self, call: &GitCall<'_>) -> Result<Vec<u8>, GitError> {
        let answer = self.ask(call)?;
        match answer.exit_code {
            Some(0) if answer.is_cut => Err(call.error(GitTrouble::TooLarge, "git's answer is too long")),
            Some(0) => Ok(answer.output),
            _ => Err(call.failed(&answer)),
        }
    }
}

/// What a call needs to reach a remote: settings and variables. No credential is among the arguments of any process.
pub(super) struct Access {
    pub settings: Vec<(String, String)>,
    pub variables: Vec<(String, String)>,
}

/// The access to a remote, which is called `origin`.
///
/// # Errors
/// A path of a key cannot be written for ssh; the text says why.
pub(super) fn access(remote: &Remote) -> Result<Access, String> {
    let (url, credentials) = remote.url.split();
    let mut settings = vec![("remote.origin.url".to_owned(), url.clone())];
    let mut variables = Vec::new();
    if let Some((user, password)) = credentials {
        let host = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        settings.push((format!("credential.{host}.helper"), CREDENTIAL_HELPER.to_owned()));
        variables.push(("PM_GIT_USER".to_owned(), user));
        variables.push(("PM_GIT_PASSWORD".to_owned(), password));
    }
    if remote.url.transport() == Transport::Ssh {
        variables.push(("GIT_SSH_COMMAND".to_owned(), ssh_command(remote)?));
    }
    Ok(Access { settings, variables })
}

fn ssh_command(remote: &Remote) -> Result<String, String> {
    let mut words: Vec<String> = vec!["ssh".into()];
    let mut set = |option: String| words.extend(["-o".to_owned(), option]);
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "ControlMaster=no",
        "ControlPath=none",
        "PermitLocalCommand=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "UpdateHostKeys=no",
    ] {
        set(option.to_owned());
    }
    if let Some(file) = &remote.known_hosts {
        set(format!("UserKnownHostsFile={}", ssh_path(file)?));
    }
    if let Some(key) = &remote.ssh_key {
        set("IdentitiesOnly=yes".to_owned());
        set(format!("IdentityFile={}", ssh_path(key)?));
    }
    Ok(shell_words::join(words))
}

/// A path as ssh reads it in an option: quoted, and `%` begins a placeholder.
fn ssh_path(path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or("the path of a key file is no text")?;
    if text.contains(['"', '\\', '$']) || text.chars().any(char::is_control) {
        return Err(format!("ssh cannot be given the path {}", path.display()));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::super::{RemoteUrl, TrackedRef};
    use super::*;

    fn remote(url: &str) -> Remote {
        Remote { url: RemoteUrl::parse(url).unwrap(), wanted: TrackedRef::Default, ssh_key: None, known_hosts: None }
    }

    #[test]
    fn credentials_go_to_git_by_variables_only() {
        let access = access(&remote("https://me:tok%40en@example.com:8443/a/b.git")).unwrap();
        assert_eq!(access.settings[0].1, "https://example.com:8443/a/b.git");
        assert_eq!(access.settings[1].0, "credential.https://example.com:8443.helper");
        let variable = |name: &str| access.variables.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!((variable("PM_GIT_USER"), variable("PM_GIT_PASSWORD")), ("me".into(), "tok@en".into()));
        assert!(!access.settings.iter().any(|(_, value)| value.contains("tok")));
    }

    #[test]
    fn ssh_never_asks_and_takes_paths_as_they_are() {
        let mut remote = remote("git@example.com:a");
        remote.ssh_key = Some("/home/my keys/100%".into());
        let access = access(&remote).unwrap();
        let words = shell_words::split(&access.variables[0].1).unwrap();
        assert!(words.contains(&"BatchMode=yes".to_owned()) && words.contains(&"StrictHostKeyChecking=yes".to_owned()));
        assert_eq!(words.last().unwrap(), "IdentityFile=\"/home/my keys/100%%\"");
        for path in ["/a\"b", "/a$b", "/a\\b", "/a\nb"] {
            remote.ssh_key = Some(path.into());
            assert!(super::access(&remote).is_err(), "{path}");
        }
    }
}
