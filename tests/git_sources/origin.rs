//! A repository that a test fills, and the folder of a source that follows it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pm::git::{CommitId, GitError, Release, ReleaseOptions, Remote, RemoteUrl, Repository, TrackedRef};
use pm::model::Millis;
use tempfile::TempDir;

pub const PATIENCE: Millis = Millis::seconds(60);

/// A repository with a working tree, and a folder for a source.
pub struct Origin {
    pub home: TempDir,
}

impl Origin {
    /// An empty repository with the branch `main`.
    pub fn new() -> Self {
        let this = Self { home: tempfile::tempdir().unwrap() };
        fs::create_dir(this.path()).unwrap();
        this.git(&["init", "-q", "-b", "main"]);
        this
    }

    pub fn path(&self) -> PathBuf {
        self.home.path().join("origin")
    }

    pub fn source_folder(&self) -> PathBuf {
        self.home.path().join("source")
    }

    pub fn open(&self) -> Repository {
        Repository::open(&self.source_folder()).unwrap()
    }

    /// Runs git in the repository and returns what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        String::from_utf8(self.git_with(args, b"")).unwrap().trim().to_owned()
    }

    /// The same with standard input.
    pub fn git_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]);
        command.args(["-c", "protocol.file.allow=always", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"]);
        command.args(args).current_dir(self.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_DIR");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything that is there.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    /// Writes one file and commits.
    pub fn commit_file(&self, path: &str, text: &str) -> CommitId {
        self.write(path, text);
        self.commit(path)
    }

    pub fn head(&self) -> CommitId {
        CommitId::parse(&self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    /// Writes an object as it is, however wrong.
    pub fn raw_object(&self, kind: &str, bytes: &[u8]) -> String {
        let id = self.git_with(&["hash-object", "-t", kind, "-w", "--literally", "--stdin"], bytes);
        String::from_utf8(id).unwrap().trim().to_owned()
    }

    /// A tree of these (mode, name, object), as it is.
    pub fn raw_tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} ").as_bytes());
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        self.raw_object("tree", &bytes)
    }

    /// A commit of this tree, as the newest of `main`.
    pub fn commit_tree(&self, tree: &str) -> CommitId {
        let commit = self.git(&["commit-tree", "-m", "hostile", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        CommitId::parse(&commit).unwrap()
    }

    pub fn remote(&self) -> Remote {
        remote(self.path().to_str().unwrap())
    }

    /// Fetches and checks out, as a sync does.
    pub fn release(&self, commit: &CommitId) -> Result<Release, GitError> {
        let repository = self.open();
        repository.fetch(&self.remote(), commit, PATIENCE, &|| false)?;
        repository.release(commit, &ReleaseOptions::default(), &|| false)
    }

    /// The names in the folder of releases, sorted.
    pub fn releases(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.source_folder().join("releases")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Read-only folders cannot be emptied by anybody but root.
        let _best_effort = Command::new("chmod").arg("-R").arg("u+w").arg(self.home.path()).output();
    }
}

pub fn remote(url: &str) -> Remote {
    let wanted = TrackedRef::Branch("main".into());
    Remote { url: RemoteUrl::parse(url).unwrap(), wanted, ssh_key: None, known_hosts: None }
}

/// Every file, link and folder below, with its mode and its text.
pub fn tree_of(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let inside = path.strip_prefix(folder).unwrap().display().to_string();
        if found.is_symlink() {
            lines.push(format!("{inside} -> {}", fs::read_link(&path).unwrap().display()));
        } else if found.is_dir() {
            lines.push(format!("{inside}/ {:o}", found.permissions().mode() & 0o7777));
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            lines.push(format!("{inside} {:o} {text:?}", found.permissions().mode() & 0o7777));
        }
    }
    lines.sort();
    lines
}

/// Waits until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(1), "waited in vain until {what}");
        std::thread::yield_now();
    }
}
