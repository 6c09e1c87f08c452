//! Control groups (version 2): limits of a whole tree, and a kill that nothing escapes.
//!
//! Every instance that needs one has a group of its own, `BASE/ROW`. The base lies where we may make groups: at the
//! root of the hierarchy for root, beside our own group for anybody else (a user's service manager delegates that).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::proc::proc_stat;
use super::{Leftover, PidFd};
use crate::model::{Bytes, Limits};
use crate::os::this_process::user_id;

/// A place for groups. Nothing is made before the first group is needed.
#[derive(Debug)]
pub struct Groups {
    base: PathBuf,
    /// The controllers that the kernel offers to groups in the base.
    offered: String,
    /// Held while the base or a group in it comes or goes: the one must not go while the other comes.
    change: Mutex<()>,
}

impl Groups {
    /// Finds the place; `name` keeps different homes apart. What a dead daemon left empty is removed, but for the groups
    /// of rows that are `in_use`: how their processes ended is still to be read there.
    ///
    /// # Errors
    /// Why there is none, as half a sentence.
    pub fn find(name: &str, in_use: impl Fn(u32) -> bool) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let root = mount_point(&mounts).ok_or("this machine has no control groups (version 2)")?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let parent = if user_id() == 0 { root } else { root.join(Path::new(own).parent().unwrap_or(Path::new(""))) };
        let mut found =
            Self { base: parent.join(format!("pm-{name}")), offered: String::new(), change: Mutex::new(()) };
        found.prepare().map_err(|error| format!("cannot create a control group in {}: {error}", parent.display()))?;
        found.offered = fs::read_to_string(found.base.join("cgroup.subtree_control")).unwrap_or_default();
        found.clear(in_use);
        Ok(found)
    }

    /// Which of these limits cannot be had, as half a sentence.
    pub fn missing(&self, limits: &Limits) -> Option<String> {
        let is_offered = |word: &str| self.offered.split_ascii_whitespace().any(|found| found == word);
        let wanted = [("memory", limits.memory.is_some()), ("cpu", limits.cpu.is_some())];
        let missing: Vec<&str> =
            wanted.iter().filter(|(word, is_wanted)| *is_wanted && !is_offered(word)).map(|(word, _)| *word).collect();
        let why = "the kernel does not offer this controller to control groups (version 2)";
        (!missing.is_empty()).then(|| format!("`limits.{}`: {why}", missing.join("`, `limits.")))
    }

    /// Makes the group of a row with what can be had of these limits; returns the file through which a process
    /// enters it.
    ///
    /// # Errors
    /// The kernel refuses the group or one of the values.
    pub fn create(&self, row: u32, limits: &Limits) -> io::Result<CString> {
        let group = self.group(row);
        {
            let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
            self.prepare()?;
            make(&group)?;
        }
        // A group of an earlier process may still be there: what is not limited any more is set as well.
        let memory = limits.memory.map_or_else(|| "max".to_owned(), |Bytes(bytes)| bytes.to_string());
        set(&group.join("memory.max"), &memory)?;
        let cpu = limits.cpu.map_or_else(|| "max".to_owned(), |percent| (u64::from(percent) * 1000).to_string());
        set(&group.join("cpu.max"), &format!("{cpu} 100000"))?;
        CString::new(group.join("cgroup.procs").as_os_str().as_bytes()).map_err(io::Error::from)
    }

    /// Kills everything in the group of a row at once; false where the kernel cannot (before Linux 5.14).
    pub fn kill(&self, row: u32) -> bool {
        fs::write(self.group(row).join("cgroup.kill"), "1").is_ok()
    }

    /// What lives in the group of a row, opened first and looked at afterwards.
    pub fn members(&self, row: u32) -> Vec<Leftover> {
        let text = fs::read_to_string(self.group(row).join("cgroup.procs")).unwrap_or_default();
        let member = |word: &str| {
            let pid = word.parse().ok()?;
            let process = PidFd::open(pid).ok()?;
            let stat = proc_stat(pid).ok().filter(|stat| !stat.is_zombie)?;
            Some(Leftover { row, group: stat.pgrp, process })
        };
        text.split_ascii_whitespace().filter_map(member).collect()
    }

    /// How many processes of the group of a row were ended because its memory ran out.
    pub fn oom_kills(&self, row: u32) -> u64 {
        let text = fs::read_to_string(self.group(row).join("memory.events")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
    }

    /// Removes the group of a row, and the base with the last of them. A group with processes in it stays.
    pub fn remove(&self, row: u32) {
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_dir(self.group(row));
        let _ = fs::remove_dir(&self.base);
    }

    fn group(&self, row: u32) -> PathBuf {
        self.base.join(row.to_string())
    }

    /// The base, with every controller that can be had switched on for its groups.
    fn prepare(&self) -> io::Result<()> {
        make(&self.base)?;
        for folder in self.base.parent().into_iter().filter(|parent| can_share(parent)).chain([self.base.as_path()]) {
            for controller in ["+memory", "+cpu"] {
                // What cannot be had is found by reading, and said.
                let _ = fs::write(folder.join("cgroup.subtree_control"), controller);
            }
        }
        Ok(())
    }

    /// Groups without processes that nobody uses, and then the base, are gone afterwards.
    fn clear(&self, in_use: impl Fn(u32) -> bool) {
        for entry in fs::read_dir(&self.base).into_iter().flatten().flatten() {
            let row = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if !row.is_some_and(&in_use) {
                let _ = fs::remove_dir(entry.path());
            }
        }
        let _ = fs::remove_dir(&self.base);
    }
}

/// Where the second version of control groups is mounted.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// Whether a group may share controllers out to the groups in it: the real root always, any other only without processes
/// of its own. Such a one would share out the processor and not the memory, and no process could enter what is in it.
fn can_share(group: &Path) -> bool {
    let is_real_root = !group.join("cgroup.type").exists();
    is_real_root || fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| text.is_empty())
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Sets a value whose controller is there; one that is not was reported by [`Groups::missing`].
fn set(file: &Path, value: &str) -> io::Result<()> {
    if file.exists() { fs::write(file, value) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_among_all_mounts() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"), None);
    }

    #[test]
    fn a_group_is_made_killed_and_removed_where_groups_can_be_had() {
        let Ok(groups) = Groups::find(&format!("test-{}", std::process::id()), |_| false) else { return };
        let file = groups.create(7, &Limits::default()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(file.to_str().unwrap(), child.id().to_string()).unwrap();
        assert_eq!(groups.members(7).iter().map(|member| member.process.pid()).collect::<Vec<_>>(), [child.id()]);
        assert!(groups.kill(7));
        child.wait().unwrap();
        assert!(groups.members(7).is_empty());
        groups.remove(7);
        assert!(!groups.base.exists());
    }
}
