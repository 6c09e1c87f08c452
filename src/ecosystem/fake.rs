//! A machine made of maps, for the tests of this room.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::ExecLimits;

use super::{Host, Look, NoAccount, ReadOptions, Reading, SourceFile, Unreadable, read};

/// Files with contents and whether they can be run; links; the shell.
pub(super) struct World {
    pub files: BTreeMap<PathBuf, (Vec<u8>, bool)>,
    pub links: BTreeMap<PathBuf, PathBuf>,
    pub variables: BTreeMap<String, String>,
}

impl World {
    /// `/srv/shop` with a few scripts, and the usual programs in `/bin`.
    pub fn usual() -> Self {
        let mut world = Self { files: BTreeMap::new(), links: BTreeMap::new(), variables: BTreeMap::new() };
        for program in ["node", "python3", "sh", "bash", "sleep", "ruby"] {
            world = world.file(&format!("/bin/{program}"), "", true);
        }
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("HOME", "/home/me"), ("LANG", "C"), ("SECRET", "s")] {
            world.variables.insert(name.to_owned(), value.to_owned());
        }
        world.file("/srv/shop/server.js", "", false).file("/srv/shop/worker.py", "", false).file(
            "/srv/shop/run.sh",
            "#!/bin/sh\n",
            true,
        )
    }

    pub fn file(mut self, path: &str, text: &str, is_executable: bool) -> Self {
        self.files.insert(path.into(), (text.as_bytes().to_vec(), is_executable));
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn follow(&self, path: &Path) -> PathBuf {
        let link = self.links.iter().find_map(|(from, to)| Some(to.join(path.strip_prefix(from).ok()?)));
        link.unwrap_or_else(|| path.to_path_buf())
    }
}

impl Host for World {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        let (text, _) = self.files.get(&self.follow(path)).ok_or(Unreadable::Missing)?;
        if text.len() as u64 > bytes_max { Err(Unreadable::TooLarge) } else { Ok(text.clone()) }
    }

    fn look(&self, path: &Path) -> Look {
        let path = self.follow(path);
        match self.files.get(&path) {
            Some((_, is_executable)) => Look::File { is_executable: *is_executable },
            None if self.files.keys().any(|file| file.starts_with(&path)) => Look::Folder,
            None => Look::Missing,
        }
    }

    fn first_line(&self, path: &Path) -> Option<Vec<u8>> {
        let (text, _) = self.files.get(&self.follow(path))?;
        text.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        Some(self.follow(path))
    }

    fn list(&self, folder: &Path) -> Vec<(String, bool)> {
        let mut names = BTreeMap::new();
        for file in self.files.keys() {
            let mut parts = file.strip_prefix(folder).into_iter().flat_map(Path::components);
            if let Some(name) = parts.next() {
                names.insert(name.as_os_str().to_string_lossy().into_owned(), parts.next().is_some());
            }
        }
        names.into_iter().collect()
    }

    fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    fn cpus(&self) -> u32 {
        4
    }

    fn account(&self, user: &str, group: Option<&str>) -> Result<(), NoAccount> {
        let is_known = |name: &str| matches!(name, "root" | "www" | "0");
        match user {
            "stranger" => Err(NoAccount::Refused("only root can run it as user `stranger`".to_owned())),
            user if !is_known(user) => Err(NoAccount::NoUser),
            _ if group.is_some_and(|group| !is_known(group)) => Err(NoAccount::NoGroup),
            _ => Ok(()),
        }
    }

    fn has_zone(&self, zone: &str) -> bool {
        matches!(zone, "UTC" | "Europe/Berlin")
    }

    fn exec_limits(&self) -> ExecLimits {
        ExecLimits { string_bytes: 128 << 10, total_bytes: 6 << 20 }
    }

    fn open_files_max(&self) -> Option<u64> {
        Some(1 << 20)
    }
}

/// One file at `/srv/shop/NAME`.
pub(super) fn source(name: &str, text: &str) -> SourceFile {
    SourceFile::new(Path::new("/srv/shop").join(name), text.as_bytes().to_vec())
}

/// Reads one TOML text in the usual world.
pub(super) fn read_toml(text: &str) -> Reading {
    read(&[source("pm.toml", text)], &ReadOptions::default(), &World::usual())
}
