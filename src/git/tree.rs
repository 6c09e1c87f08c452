//! The entries of a commit → whether its tree may be put on a disk. Pure: everything is judged before a file is written.

use std::collections::BTreeMap;

use super::GitTrouble;

/// Longest path, in bytes: what the kernel takes, less room for the folder that it is put into.
const PATH_BYTES_MAX: usize = 3000;
/// Deepest path.
const DEPTH_MAX: usize = 150;
/// Longest text of a link, in bytes.
pub(super) const LINK_BYTES_MAX: u64 = 3000;
/// Links on the way to where a link leads; the kernel has the same limit.
const LINKS_MAX: usize = 40;

/// What kind of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    File,
    Link,
    Submodule,
    /// A mode that git does not write.
    Unknown,
}

/// One entry of a commit, as `git ls-tree -r -t -l -z` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TreeEntry {
    pub kind: EntryKind,
    /// Six octal digits.
    pub mode: String,
    /// The name of its content.
    pub id: String,
    /// Of files and links.
    pub bytes: u64,
    pub path: Vec<u8>,
}

/// Reads the listing; `None`: it is not one.
pub(super) fn read_listing(listing: &[u8]) -> Option<Vec<TreeEntry>> {
    let entries = listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries.map(read_entry).collect()
}

fn read_entry(entry: &[u8]) -> Option<TreeEntry> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&entry[..tab]).ok()?.split_ascii_whitespace();
    let (mode, _, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match mode {
        "040000" => EntryKind::Folder,
        "100644" | "100755" | "100664" => EntryKind::File,
        "120000" => EntryKind::Link,
        "160000" => EntryKind::Submodule,
        _ => EntryKind::Unknown,
    };
    let bytes = size.parse().unwrap_or(0);
    Some(TreeEntry { kind, mode: mode.to_owned(), id: id.to_owned(), bytes, path: entry[tab + 1..].to_vec() })
}

/// Why a tree is not used: the kind, and the path or the number concerned.
pub(super) type Refused = (GitTrouble, String);

/// Judges names, kinds and sizes.
pub(super) fn check_entries(entries: &[TreeEntry], entries_max: usize, bytes_max: u64) -> Result<(), Refused> {
    if entries.len() > entries_max {
        return Err((GitTrouble::TooLarge, format!("{} files and folders, {entries_max} at most", entries.len())));
    }
    let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes));
    if bytes > bytes_max {
        return Err((GitTrouble::TooLarge, format!("{bytes} bytes in all files, {bytes_max} at most")));
    }
    let mut seen: BTreeMap<&[u8], EntryKind> = BTreeMap::new();
    for entry in entries {
        let refused = |why: &str| Err((GitTrouble::Hostile, format!("`{}` {why}", shown(&entry.path))));
        let mut parts = entry.path.split(|byte| *byte == b'/');
        if entry.kind == EntryKind::Unknown {
            return refused("is neither a file, a folder nor a link");
        }
        if entry.path.len() > PATH_BYTES_MAX
            || parts.clone().count() > DEPTH_MAX
            || parts.clone().any(|part| part.len() > 255)
        {
            return refused("is too long or too deep");
        }
        if parts.any(is_special) {
            return refused("has a name that leads elsewhere or that git keeps for itself");
        }
        if entry.kind == EntryKind::Link && entry.bytes > LINK_BYTES_MAX {
            return refused("is a link with a text that is too long");
        }
        let folder = entry.path.iter().rposition(|byte| *byte == b'/').map(|at| &entry.path[..at]);
        if folder.is_some_and(|folder| seen.get(folder) != Some(&EntryKind::Folder)) {
            return refused("is in something that is not a folder");
        }
        if seen.insert(&entry.path, entry.kind).is_some() {
            return refused("is there twice");
        }
    }
    Ok(())
}

/// Names that are none: empty, `.`, `..`, and everything that some file system takes for `.git`.
fn is_special(part: &[u8]) -> bool {
    if part.is_empty() || part == b"." || part == b".." {
        return true;
    }
    // HFS+ does not see these letters.
    let text = String::from_utf8_lossy(part);
    let seen: String = text
        .chars()
        .filter(|letter| !matches!(letter, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .collect();
    // NTFS does not see what follows a colon, nor dots and spaces at the end.
    let seen = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']).to_ascii_lowercase();
    seen == ".git" || seen == "git~1" || part.contains(&b'/')
}

/// Judges where links lead: to anywhere in the tree, or to nothing in it, but never out of it. `links` are their texts by
/// path.
pub(super) fn check_links(links: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Refused> {
    for (path, text) in links {
        let refused =
            |why: &str| Err((GitTrouble::Hostile, format!("the link `{}` {why} `{}`", shown(path), shown(text))));
        if text.first() == Some(&b'/') {
            return refused("leads out of the repository, to an absolute path:");
        }
        if text.is_empty() || text.contains(&0) {
            return refused("has no usable text:");
        }
        match resolve(path, links) {
            Some(_) => {}
            None => return refused("leads out of the repository, or in a circle:"),
        }
    }
    Ok(())
}

/// Where a link leads in the end, part by part as the kernel would; `None`: out of the tree, or nowhere.
fn resolve(path: &[u8], links: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Vec<u8>> {
    let mut reached: Vec<Vec<u8>> = Vec::new();
    let mut ahead: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        match part.as_slice() {
            b"" | b"." => {}
            b".." => {
                reached.pop()?;
            }
            _ => {
                reached.push(part);
                let here = reached.join(&b'/');
                if let Some(text) = links.get(&here) {
                    followed += 1;
                    if followed > LINKS_MAX || text.first() == Some(&b'/') {
                        return None;
                    }
                    reached.pop();
                    ahead.extend(parts(text).rev().map(<[u8]>::to_vec));
                }
            }
        }
    }
    Some(reached.join(&b'/'))
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// A path of strangers, for people.
pub(super) fn shown(path: &[u8]) -> String {
    super::complaint::plain(&String::from_utf8_lossy(path), 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, path: &[u8]) -> TreeEntry {
        let line = [format!("{mode} x 1234 10\t").as_bytes(), path].concat();
        read_entry(&line).unwrap()
    }

    fn checked(entries: &[TreeEntry]) -> Result<(), Refused> {
        check_entries(entries, 100, 1000)
    }

    #[test]
    fn strange_but_harmless_names_are_fine() {
        let names: [&[u8]; 9] =
            [b"a\nb", b"\xff\xfe", b" ", b"-rf", b".gitignore", b".github", b"git~2", b"...", "\u{202e}x".as_bytes()];
        let entries: Vec<TreeEntry> = names.iter().map(|name| entry("100644", name)).collect();
        assert_eq!(checked(&entries), Ok(()));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let names: [&[u8]; 17] = [
            b"..",
            b".",
            b"",
            b"/etc",
            b".git",
            b".GIT",
            b".Git",
            b".git.",
            b".git ",
            b".git . ",
            b"git~1",
            b"GIT~1",
            b".git:x",
            ".g\u{200c}it".as_bytes(),
            "\u{feff}.git".as_bytes(),
            b".git::$INDEX_ALLOCATION",
            &[b'x'; 256],
        ];
        for name in names {
            assert!(matches!(checked(&[entry("100644", name)]), Err((GitTrouble::Hostile, _))), "{}", shown(name));
            let inside = [b"a/", name].concat();
            let entries = [entry("040000", b"a"), entry("100644", &inside)];
            assert!(checked(&entries).is_err(), "{}", shown(&inside));
        }
        let deep = b"a/".repeat(200);
        assert!(checked(&[entry("100644", &deep[..deep.len() - 1])]).is_err());
    }

    #[test]
    fn kinds_doubles_and_sizes_are_judged() {
        let hostile = |entries: &[TreeEntry]| checked(entries).unwrap_err().0;
        assert_eq!(hostile(&[entry("060000", b"disk")]), GitTrouble::Hostile);
        assert_eq!(hostile(&[entry("100644", b"a"), entry("100644", b"a")]), GitTrouble::Hostile);
        assert_eq!(hostile(&[entry("120000", b"a"), entry("100644", b"a/b")]), GitTrouble::Hostile, "through a link");
        assert_eq!(check_entries(&[entry("100644", b"a")], 0, 10).unwrap_err().0, GitTrouble::TooLarge);
        assert_eq!(
            check_entries(&[entry("100644", b"a"), entry("100644", b"b")], 9, 19).unwrap_err().0,
            GitTrouble::TooLarge
        );
        assert_eq!(check_entries(&[entry("100644", b"a"), entry("100644", b"b")], 9, 20), Ok(()));
        let huge = TreeEntry { bytes: u64::MAX, ..entry("100644", b"a") };
        assert!(check_entries(&[huge.clone(), TreeEntry { path: b"b".to_vec(), ..huge }], 9, u64::MAX - 1).is_err());
    }

    fn links(pairs: &[(&str, &str)]) -> Result<(), Refused> {
        check_links(&pairs.iter().map(|(path, text)| (path.as_bytes().to_vec(), text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn links_stay_inside() {
        assert_eq!(links(&[("a", "b"), ("c/d", "../a"), ("e", "."), ("f/g", ".."), ("h", "none/at/all")]), Ok(()));
        assert_eq!(links(&[("a/b/c", "../../x/./y//z")]), Ok(()));
        for wrong in [
            vec![("a", "/etc/passwd")],
            vec![("a", "..")],
            vec![("a/b", "../..")],
            vec![("a/b", "../../etc/passwd")],
            vec![("a", "none/../..")],
            vec![("a", "a")],
            vec![("a", "b"), ("b", "a")],
            vec![("a", "")],
            // Inside by its text, outside by what it passes: `deep/er` is two levels down, the link at the root.
            vec![("x/y/up", "../../short/../../out"), ("short", "x")],
            vec![("deep", "."), ("out", "deep/..")],
        ] {
            assert!(matches!(links(&wrong), Err((GitTrouble::Hostile, _))), "{wrong:?}");
        }
    }

    #[test]
    fn a_listing_is_read_whole_or_not_at_all() {
        let listing = b"100755 blob 45b983be      12\ta\tb\nc\x00040000 tree 1234       -\td\x00";
        let entries = read_listing(listing).unwrap();
        assert_eq!((entries[0].bytes, entries[0].path.as_slice()), (12, b"a\tb\nc".as_slice()));
        assert_eq!(entries[1].kind, EntryKind::Folder);
        assert_eq!(read_listing(b"what\0"), None);
        assert_eq!(read_listing(b"").unwrap().len(), 0);
    }
}
