//! Users and groups, read from `/etc/passwd` and `/etc/group` directly: a static binary has no name service.

use std::io;
use std::path::{Path, PathBuf};

use super::files::read_limited;
use super::{may_set_ids, own_identity};
use crate::model::Identity;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Far more than any honest machine has.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User number, as in `passwd(5)`.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// A user that a process is to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name, home and shell.
    pub user: User,
    /// What the process has to become; `None` = we are that user already, and may not switch to any other.
    pub identity: Option<Identity>,
}

/// Why no process of this user can run as a user and group.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error("no user `{0}`")]
    NoUser(String),
    /// No such group.
    #[error("no group `{0}`")]
    NoGroup(String),
    /// A group alone.
    #[error("`group` needs `user`")]
    GroupAlone,
    /// We are neither that user nor root.
    #[error("only root can run it as user `{user}` and group `{gid}`; you are `{own}`")]
    NotPermitted {
        /// As asked.
        user: String,
        /// The number of the group.
        gid: u32,
        /// Who asks.
        own: String,
    },
    /// The kernel has a limit.
    #[error("user `{user}` is in {count} groups, more than the kernel allows ({GROUPS_MAX})")]
    TooManyGroups {
        /// As asked.
        user: String,
        /// Of how many.
        count: usize,
    },
    /// A file that cannot be read.
    #[error("cannot read the users and groups: {0}")]
    Unreadable(#[from] io::Error),
}

/// `NGROUPS_MAX` of Linux.
const GROUPS_MAX: usize = 65_536;

/// What a process has to become to run as this user (name or number) and group; `Ok(None)` if neither is given.
///
/// # Errors
/// There are no such user and group, or they may not be taken by this process.
pub fn account(user: Option<&str>, group: Option<&str>) -> Result<Option<Account>, AccountError> {
    let Some(name) = user else {
        return if group.is_some() { Err(AccountError::GroupAlone) } else { Ok(None) };
    };
    let user = user_named(name)?.ok_or_else(|| AccountError::NoUser(name.to_owned()))?;
    let gid = match group {
        Some(group) => group_id(group)?.ok_or_else(|| AccountError::NoGroup(group.to_owned()))?,
        None => user.gid,
    };
    let groups = supplementary_groups(&user.name, gid)?;
    if groups.len() > GROUPS_MAX {
        return Err(AccountError::TooManyGroups { user: name.to_owned(), count: groups.len() });
    }
    let wanted = Identity { uid: user.uid, gid, groups };
    let identity = if may_set_ids() { Some(wanted) } else { already_is(name, &wanted)? };
    Ok(Some(Account { user, identity }))
}

/// Nothing has to be switched: the supplementary groups stay as they are, since only root may change them.
fn already_is(user: &str, wanted: &Identity) -> Result<Option<Identity>, AccountError> {
    let own = own_identity()?;
    if (own.uid, own.gid) == (wanted.uid, wanted.gid) {
        return Ok(None);
    }
    Err(AccountError::NotPermitted { user: user.to_owned(), gid: wanted.gid, own: user_name(own.uid) })
}

/// The number of a user or group. Nothing but digits: no sign, no blank, no other base, no leading zero. Not −1
/// (4294967295): for `setresuid(2)` and its like that means "leave as it is", so who is to become it stays root.
fn parse_id(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|id| is_plain && *id != u32::MAX)
}

/// Whether a line of passwd or group has a name of its own. `+` and `-` begin entries that stand for other sources.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['+', '-', '#'])
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
    Ok(named.or_else(|| parse_id(name)))
}

/// All groups of a user: `gid` first, then those that list it as a member.
///
/// # Errors
/// The file cannot be read.
fn supplementary_groups(user: &str, gid: u32) -> io::Result<Vec<u32>> {
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
        let uid = parse_id(name)?;
        users().find(|user| user.uid == uid).or_else(|| {
            let (home, shell) = (PathBuf::from("/"), PathBuf::from("/bin/sh"));
            Some(User { name: name.to_owned(), uid, gid: uid, home, shell })
        })
    })
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, uid, gid, _comment, home, shell] = fields[..] else { return None };
    let (uid, gid) = (parse_id(uid)?, parse_id(gid)?);
    let or = |path: &str, default: &str| PathBuf::from(if path.is_empty() { default } else { path });
    let (home, shell) = (or(home, "/"), or(shell, "/bin/sh"));
    is_name(name).then(|| User { name: name.to_owned(), uid, gid, home, shell })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn parse_group(line: &str) -> Option<Group<'_>> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, gid, members] = fields[..] else { return None };
    let gid = parse_id(gid)?;
    is_name(name).then_some(Group { name, gid, members })
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
    fn what_is_not_plainly_a_number_is_no_user_and_no_group() {
        for text in [
            "4294967295",
            "-1",
            "+0",
            "-0",
            "00",
            "007",
            "0x0",
            "0o0",
            "0b0",
            "4294967296",
            "18446744073709551615",
            " 0",
            "0 ",
            "1_0",
            "1e3",
            "0.0",
            "\u{661}",
            "+",
            "-",
            "",
        ] {
            assert_eq!(parse_id(text), None, "{text:?}");
            assert_eq!(find_user(USERS, text), None, "{text:?}");
            let lines = [format!("evil:x:{text}:1:::"), format!("evil:x:1:{text}:::")];
            assert!(lines.iter().all(|line| find_user(line, "evil").is_none()), "{text:?}");
            assert!(parse_group(&format!("evil:x:{text}:api")).is_none(), "{text:?}");
        }
        for (text, id) in [("0", 0), ("1", 1), ("65535", 65_535), ("4294967294", u32::MAX - 1)] {
            assert_eq!(parse_id(text), Some(id));
        }
    }

    #[test]
    fn a_line_without_a_name_is_nobody() {
        for line in [":x:0:0::/:/bin/sh", "+:x:0:0::/:/bin/sh", "-root:x:0:0::/:/bin/sh", "#root:x:0:0::/:/bin/sh"] {
            let name = line.split(':').next().unwrap();
            assert_eq!(find_user(line, name), None, "{line}");
        }
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
