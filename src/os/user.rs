//! Users and groups, read from `/etc/passwd` and `/etc/group` directly: a static binary has no name service.

use std::io;
use std::path::{Path, PathBuf};

use super::files::read_limited;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Far more than any honest machine has.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Finds a user by name, or by number if no name is the same. A number without a line is a user of that number in the
/// group of that number, at home in `/`.
///
/// # Errors
/// The file cannot be read.
pub fn user_named(name: &str) -> io::Result<Option<User>> {
    Ok(find_user(&lines(Path::new(PASSWD))?, name))
}

/// Finds a user by number.
///
/// # Errors
/// The file cannot be read.
pub fn user_by_id(uid: u32) -> io::Result<Option<User>> {
    Ok(lines(Path::new(PASSWD))?.lines().filter_map(parse_user).find(|user| user.uid == uid))
}

/// The login name of a user; its number if there is no line.
pub fn user_name(uid: u32) -> String {
    user_by_id(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// The number of a group, by name or number.
///
/// # Errors
/// The file cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let text = lines(Path::new(GROUP))?;
    let named = text.lines().filter_map(parse_group).find(|group| group.name == name).map(|group| group.gid);
    Ok(named.or_else(|| name.parse().ok()))
}

/// All groups of a user: `gid` first, then those that list it as a member.
///
/// # Errors
/// The file cannot be read.
pub fn supplementary_groups(user: &str, gid: u32) -> io::Result<Vec<u32>> {
    Ok(groups_of(&lines(Path::new(GROUP))?, user, gid))
}

/// The numbers of a user, in `group` or else the user's own, with all groups.
///
/// # Errors
/// `NotFound`: there is no such user or group. The files cannot be read.
#[cfg(target_os = "linux")]
pub fn identity_named(name: &str, group: Option<&str>) -> io::Result<super::Identity> {
    let missing = |what: &str| io::Error::new(io::ErrorKind::NotFound, format!("there is no {what}"));
    let user = user_named(name)?.ok_or_else(|| missing(&format!("user `{name}`")))?;
    let gid = match group {
        None => user.gid,
        Some(group) => group_id(group)?.ok_or_else(|| missing(&format!("group `{group}`")))?,
    };
    let groups = supplementary_groups(&user.name, gid)?;
    Ok(super::Identity { uid: user.uid, gid, groups })
}

fn lines(path: &Path) -> io::Result<String> {
    match read_limited(path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        // A minimal container: there are only numbers.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    let users = || passwd.lines().filter_map(parse_user);
    users().find(|user| user.name == name).or_else(|| {
        let uid: u32 = name.parse().ok()?;
        users().find(|user| user.uid == uid).or_else(|| {
            let (home, shell) = (PathBuf::from("/"), PathBuf::from("/bin/sh"));
            Some(User { name: name.to_owned(), uid, gid: uid, home, shell })
        })
    })
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, uid, gid, _comment, home, shell] = fields[..] else { return None };
    let or = |path: &str, default: &str| PathBuf::from(if path.is_empty() { default } else { path });
    let (home, shell) = (or(home, "/"), or(shell, "/bin/sh"));
    Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home, shell })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn parse_group(line: &str) -> Option<Group<'_>> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, gid, members] = fields[..] else { return None };
    Some(Group { name, gid: gid.parse().ok()?, members })
}

fn groups_of(group: &str, user: &str, gid: u32) -> Vec<u32> {
    let listed =
        group.lines().filter_map(parse_group).filter(|entry| entry.members.split(',').any(|name| name == user));
    let mut groups = vec![gid];
    for entry in listed {
        if !groups.contains(&entry.gid) {
            groups.push(entry.gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\n# broken line\napi:x:1001:1001:,,,:/srv/api:\n42:x:7:7::/:/bin/sh\n";

    #[test]
    fn users_are_found_by_name_before_number() {
        let uid = |name| find_user(USERS, name).map(|user| user.uid);
        assert_eq!(uid("api"), Some(1001));
        assert_eq!(uid("1001"), Some(1001));
        assert_eq!(uid("42"), Some(7), "a name of digits is a name");
        assert_eq!(uid("4711"), Some(4711), "a number needs no line");
        assert_eq!(uid("nobody-here"), None);
        assert_eq!(find_user(USERS, "api").unwrap().shell, PathBuf::from("/bin/sh"));
        assert_eq!(user_name(0), "root");
    }

    #[test]
    fn groups_are_the_own_one_and_those_that_list_the_user() {
        let text = "api:x:1001:\nlogs:x:50:root,api\nweb:x:51:apis\ndup:x:1001:api\n";
        assert_eq!(groups_of(text, "api", 1001), [1001, 50]);
    }
}
