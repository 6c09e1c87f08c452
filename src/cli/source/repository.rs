//! The copy of a repository that a source follows, by the real `git`: what its branch names, fetched, checked, laid out.
//!
//! Nothing that the repository contains is run: no hook, no filter; and nothing asks for a password.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::cli::output::harmless;
use crate::model::{Millis, SourceSpec, short_commit, shown_url};
use crate::os::{self, ToolAnswer, ToolCall};

/// How long the other end may take to say what a branch names.
const LOOK_MAX: Millis = Millis::seconds(30);
/// How long it may take to send a commit.
const FETCH_MAX: Millis = Millis::seconds(15 * 60);
/// How long `git` may take on this machine.
const LOCAL_MAX: Millis = Millis::seconds(5 * 60);
/// Names of the files of a commit, in bytes.
const NAMES_BYTES_MAX: usize = 64 << 20;
/// Our name for the other end.
const REMOTE: &str = "source";

/// Settings that hold whatever this user's or this machine's configuration says.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.protectNTFS=true",
    "core.protectHFS=true",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "advice.detachedHead=false",
];

/// Why `git` did not do what it was to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RepositoryTrouble {
    /// In one sentence, with the last words of `git`; no secret.
    pub words: String,
    /// What to do.
    pub hint: Option<String>,
    /// It may be otherwise in a moment.
    pub is_passing: bool,
}

/// A file of a commit: its mode and the name of its content.
pub(super) type CommitFiles = BTreeMap<String, String>;

/// The repository of one source.
pub(super) struct SourceRepository<'a> {
    spec: &'a SourceSpec,
    /// `PM_HOME/sources/NAME`.
    folder: PathBuf,
}

impl<'a> SourceRepository<'a> {
    /// The copy in `folder`, made if it is missing.
    pub(super) fn open(folder: PathBuf, spec: &'a SourceSpec) -> Result<Self, RepositoryTrouble> {
        let this = Self { spec, folder };
        for folder in [&this.folder, &this.releases()] {
            os::create_private_folder(folder).map_err(|error| {
                let words = format!("cannot create `{}`: {error}", folder.display());
                RepositoryTrouble { words, hint: None, is_passing: os::is_disk_full(&error) }
            })?;
        }
        if !os::exists(&this.git_folder().join("HEAD")) {
            let folder = text(&this.git_folder());
            this.done(&["init", "--quiet", "--bare", "--template=", &folder], LOCAL_MAX, "create a repository")?;
        }
        Ok(this)
    }

    pub(super) fn releases(&self) -> PathBuf {
        self.folder.join("releases")
    }

    pub(super) fn release_folder(&self, commit: &str) -> PathBuf {
        self.releases().join(commit)
    }

    fn git_folder(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// The commit that the branch names at the other end.
    pub(super) fn head(&self) -> Result<String, RepositoryTrouble> {
        let reference = format!("refs/heads/{}", self.spec.branch);
        let answer = self.git(&["ls-remote", "--quiet", REMOTE, &reference], LOOK_MAX, &[])?;
        if answer.exit_code != Some(0) {
            return Err(self.trouble("ask", &answer));
        }
        let line = answer.output.lines().find_map(|line| line.strip_suffix(reference.as_str())).map(str::trim);
        let commit = line.filter(|commit| is_commit(commit)).map(str::to_owned);
        commit.ok_or_else(|| RepositoryTrouble {
            words: format!("{} has no branch `{}`", self.spec.shown_url(), self.spec.branch),
            hint: Some("name another one: `pm source add NAME URL --branch BRANCH`".to_owned()),
            is_passing: true,
        })
    }

    /// Brings a commit here, unless it is.
    pub(super) fn fetch(&self, commit: &str) -> Result<(), RepositoryTrouble> {
        if self.has(commit)? {
            return Ok(());
        }
        let what = format!("+refs/heads/{0}:refs/heads/{0}", self.spec.branch);
        self.done(&["fetch", "--quiet", "--no-tags", "--force", REMOTE, &what], FETCH_MAX, "fetch")?;
        if self.has(commit)? {
            return Ok(());
        }
        // The branch was moved in between.
        let words = format!("{} is no longer on branch `{}`", short_commit(commit), self.spec.branch);
        Err(RepositoryTrouble { words, hint: None, is_passing: true })
    }

    fn has(&self, commit: &str) -> Result<bool, RepositoryTrouble> {
        let object = format!("{commit}^{{tree}}");
        Ok(self.git(&["cat-file", "-e", &object], LOCAL_MAX, &[])?.exit_code == Some(0))
    }

    /// Whether a commit continues another one. One that is gone is continued by nothing.
    pub(super) fn continues(&self, commit: &str, earlier: &str) -> Result<bool, RepositoryTrouble> {
        let answer = self.git(&["merge-base", "--is-ancestor", earlier, commit], LOCAL_MAX, &[])?;
        Ok(answer.exit_code == Some(0))
    }

    /// The files of a commit, with their contents' names.
    pub(super) fn contents(&self, commit: &str) -> Result<CommitFiles, RepositoryTrouble> {
        let answer = self.done(&["ls-tree", "-r", "-z", "--full-tree", commit], LOCAL_MAX, "list the files")?;
        if answer.is_cut {
            let words = format!("{} has too many files", short_commit(commit));
            return Err(RepositoryTrouble { words, hint: None, is_passing: false });
        }
        let entry = |line: &str| {
            let (what, path) = line.split_once('\t')?;
            Some((path.to_owned(), what.to_owned()))
        };
        Ok(answer.output.split('\0').filter_map(entry).collect())
    }

    /// Lays a commit out in its folder, read-only. It is there as a whole or not at all.
    pub(super) fn release(&self, commit: &str) -> Result<PathBuf, RepositoryTrouble> {
        let folder = self.release_folder(commit);
        if os::exists(&folder) {
            return Ok(folder);
        }
        let contents = self.contents(commit)?;
        if let Some((path, _)) = contents.iter().find(|(_, what)| what.starts_with("160000")) {
            return Err(refused(commit, &format!("`{path}` is a submodule, and submodules are not supported")));
        }
        let new = self.releases().join(format!(".{commit}.new"));
        let index = self.folder.join("release.index");
        let cannot = |error: &std::io::Error| {
            let words = format!("cannot lay {} out in `{}`: {error}", short_commit(commit), folder.display());
            RepositoryTrouble { words, hint: None, is_passing: os::is_disk_full(error) }
        };
        os::remove_tree(&new).map_err(|error| cannot(&error))?;
        os::create_private_folder(&new).map_err(|error| cannot(&error))?;
        let variables = [
            ("GIT_INDEX_FILE".to_owned(), text(&index)),
            // Filters are settings of a user or a machine.
            ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ("GIT_WORK_TREE".to_owned(), text(&new)),
        ];
        let laid_out = [vec!["read-tree", commit], vec!["checkout-index", "--all", "--quiet", "--force"]];
        for words in laid_out {
            let answer = self.git(&words, LOCAL_MAX, &variables)?;
            if answer.exit_code != Some(0) {
                let trouble = self.trouble("lay out", &answer);
                let _ = os::remove_tree(&new);
                return Err(trouble);
            }
        }
        let links = os::links_below(&new).map_err(|error| cannot(&error))?;
        if let Some((link, target)) = links.iter().find(|(link, target)| leaves(&new, link, target)) {
            let link = link.strip_prefix(&new).unwrap_or(link).display().to_string();
            let words = format!("the link `{link}` leads out of the repository, to `{}`", target.display());
            let _ = os::remove_tree(&new);
            return Err(refused(commit, &words));
        }
        os::make_read_only(&new).map_err(|error| cannot(&error))?;
        os::killpoint(super::LAID_OUT);
        os::publish_folder(&new, &folder).map_err(|error| cannot(&error))?;
        Ok(folder)
    }

    /// Removes the releases that nothing needs. What cannot be removed is tried again with the next commit.
    pub(super) fn prune(&self, needed: &[PathBuf]) {
        for (name, _) in os::list_folder(&self.releases()) {
            let path = self.releases().join(name);
            if !needed.contains(&path) {
                let _ = os::remove_tree(&path);
            }
        }
    }

    /// Runs `git` to a good end.
    fn done(&self, words: &[&str], patience: Millis, what: &str) -> Result<ToolAnswer, RepositoryTrouble> {
        let answer = self.git(words, patience, &[])?;
        if answer.exit_code == Some(0) { Ok(answer) } else { Err(self.trouble(what, &answer)) }
    }

    fn git(
        &self,
        words: &[&str],
        patience: Millis,
        variables: &[(String, String)],
    ) -> Result<ToolAnswer, RepositoryTrouble> {
        let mut args = Vec::new();
        if words.first() != Some(&"init") {
            args.push(format!("--git-dir={}", text(&self.git_folder())));
        }
        args.extend(SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        args.extend(words.iter().map(|word| (*word).to_owned()));
        let fixed = [
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS_REQUIRE", "never"),
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=20"),
            ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            // The URL may hold a token, and arguments can be read by everybody.
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "remote.source.url"),
            ("GIT_CONFIG_VALUE_0", self.spec.url.as_str()),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables: Vec<_> = fixed.into_iter().chain(variables.iter().cloned()).collect();
        let call = ToolCall {
            program: "git",
            args: &args,
            variables: &variables,
            patience,
            output_bytes_max: NAMES_BYTES_MAX,
        };
        os::run_tool(&call).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => RepositoryTrouble {
                words: "`git` is not installed".to_owned(),
                hint: Some("install it; sources need it".to_owned()),
                is_passing: true,
            },
            std::io::ErrorKind::TimedOut => RepositoryTrouble {
                words: format!("{} did not answer within {patience}", self.spec.shown_url()),
                hint: None,
                is_passing: true,
            },
            _ => RepositoryTrouble { words: format!("cannot run `git`: {error}"), hint: None, is_passing: true },
        })
    }

    /// What `git` says last, without the secrets of the URL.
    fn trouble(&self, what: &str, answer: &ToolAnswer) -> RepositoryTrouble {
        let url = self.spec.shown_url();
        let complaint = answer.complaint.replace(&self.spec.url, &url);
        let complaint = hide_secret(&complaint, &self.spec.url);
        let mut said = complaint.lines().map(str::trim).filter(|line| !line.is_empty());
        let fatal = said.clone().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
        let last = fatal.or(said.next_back()).unwrap_or("it ended without a word");
        let hint = if complaint.contains("terminal prompts disabled") || complaint.contains("Authentication failed") {
            Some("the repository asks for a password: set a credential helper of git, or use an ssh key".to_owned())
        } else if complaint.contains("Host key verification failed") {
            Some("add the key of the host to `known_hosts` of the daemon's user: `ssh-keyscan HOST`".to_owned())
        } else if complaint.contains("Permission denied (publickey") {
            Some("the key of the daemon's user must be known to the repository's host".to_owned())
        } else {
            None
        };
        let last = harmless(last.trim_start_matches("fatal: ")).into_owned();
        RepositoryTrouble { words: format!("cannot {what} {url}: {last}"), hint, is_passing: true }
    }
}

fn refused(commit: &str, why: &str) -> RepositoryTrouble {
    RepositoryTrouble { words: format!("{} is refused: {why}", short_commit(commit)), hint: None, is_passing: false }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `git` may quote a part of the URL only.
fn hide_secret(text: &str, url: &str) -> String {
    let user =
        url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@')).map(|(user, _)| user);
    match user {
        Some(user) if shown_url(url) != url => {
            let secret = user.split_once(':').map_or(user, |(_, secret)| secret);
            if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") }
        }
        _ => text.to_owned(),
    }
}

/// Whether a link leads out of `root`, by its words: what it leads to may be another link, which is looked at for itself.
fn leaves(root: &Path, link: &Path, target: &Path) -> bool {
    let Some(folder) = link.parent().and_then(|folder| folder.strip_prefix(root).ok()) else { return true };
    let mut depth = folder.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_tree_are_known() {
        for (link, target, is_out) in [
            ("a", "b", false),
            ("d/a", "../b", false),
            ("d/a", "../../b", true),
            ("a", "../b", true),
            ("a", "/etc/passwd", true),
            ("d/e/a", "../.././x/../y", false),
            ("d/a", "..", false),
        ] {
            assert_eq!(
                leaves(Path::new("/r"), &Path::new("/r").join(link), Path::new(target)),
                is_out,
                "{link} {target}"
            );
        }
    }

    #[test]
    fn the_secret_of_a_url_is_hidden_in_what_git_says() {
        let url = "https://bob:geheim@example.org/shop.git";
        assert_eq!(hide_secret("fatal: bob:geheim was refused", url), "fatal: bob:*** was refused");
        assert_eq!(hide_secret("token tok1", "https://tok1@example.org/x"), "token ***");
        assert_eq!(hide_secret("git said", "ssh://git@example.org/x"), "git said");
    }
}
