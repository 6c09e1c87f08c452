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

/// Whether this group is this user's own: the user's main group, nobody else's, and without other members. Where that
/// cannot be told (users that are not in the file), it is not.
pub fn is_private_group(gid: u32, uid: u32) -> bool {
    let files = lines(Path::new(PASSWD)).and_then(|users| Ok((users, lines(Path::new(GROUP))?)));
    files.is_ok_and(|(users, groups)| is_private(&users, &groups, gid, uid))
}

fn is_private(passwd: &str, group: &str, gid: u32, uid: u32) -> bool {
    let in_it: Vec<User> = passwd.lines().filter_map(parse_user).filter(|user| user.gid == gid).collect();
    let mut members = group
        .lines()
        .filter_map(parse_group)
        .filter(|group| group.gid == gid)
        .flat_map(|group| group.members.split(',').map(str::trim).filter(|member| !member.is_empty()));
    let is_user = |name: &str| in_it.iter().any(|user| user.name == name);
    !in_it.is_empty() && in_it.iter().all(|user| user.uid == uid) && members.all(is_user)
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
    fn a_group_is_private_if_it_has_no_member_but_its_user() {
        let group = "api:x:1001:\nroot:x:0:api\nseven:x:7:42\n";
        for (gid, uid, expected) in
            [(1001, 1001, true), (1001, 0, false), (0, 0, false), (7, 7, true), (50, 1001, false)]
        {
            assert_eq!(is_private(USERS, group, gid, uid), expected, "group {gid} and user {uid}");
        }
        let shared = format!("{USERS}other:x:1002:1001::/:\n");
        assert!(!is_private(&shared, group, 1001, 1001), "the main group of two users");
        assert!(!is_private(USERS, "api:x:1001:www\n", 1001, 1001), "a member that is somebody else");
    }

    #[test]
    fn groups_are_the_own_one_and_those_that_list_the_user() {
        let text = "api:x:1001:\nlogs:x:50:root,api\nweb:x:51:apis\ndup:x:1001:api\n";
        assert_eq!(groups_of(text, "api", 1001), [1001, 50]);
    }
}
