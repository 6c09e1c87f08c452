//! File systems whose other users' changes this kernel is not told of.

use std::path::Path;

use rustix::fs::statfs;

/// The numbers by which `statfs(2)` tells them apart, with their names: network file systems, shares of virtual machines,
/// file systems of clusters, and FUSE, behind which any of them may be. Sources: `linux/magic.h`, `statfs(2)`, and for
/// those outside of the kernel their own headers.
const REMOTE: [(u64, &str); 25] = [
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0x5346_414F, "openafs"),
    (0x6B41_4653, "kafs"),
    (0x00C3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x564C, "ncp"),
    (0x786F_4256, "vboxsf"),
    (0xBACB_ACBC, "vmhgfs"),
    (0x7C7C_6673, "prl_fs"),
    (0x0BD0_0BD0, "lustre"),
    (0x0116_1970, "gfs2"),
    (0x7461_636F, "ocfs2"),
    (0x4750_4653, "gpfs"),
    (0x2003_0528, "orangefs"),
    (0xAAD7_AAEA, "panfs"),
    (0x1983_0326, "beegfs"),
    (0x6163_6673, "acfs"),
    (0x0131_11A8, "ibrix"),
    (0xBEEF_DEAD, "snfs"),
    (0xA501_FCF5, "vxfs"),
];

/// The name of the file system, if others can change what is on it without this kernel being told.
fn remote_kind(magic: u64) -> Option<&'static str> {
    REMOTE.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// Whether a path lies on a file system that others can change without this kernel being told.
pub fn is_remote(path: &Path) -> bool {
    let Ok(found) = statfs(path) else { return false };
    #[expect(
        clippy::cast_sign_loss,
        reason = "a magic number: its type differs between architectures, its bits do not"
    )]
    let magic = found.f_type as u64 & 0xFFFF_FFFF;
    remote_kind(magic).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn file_systems_of_others_are_known_by_their_numbers() {
        // As `linux/magic.h` writes them, and `statfs(2)` where that does not.
        for (magic, expected) in [
            (0x6969, Some("nfs")),
            (0x517b, Some("smb")),
            (0xff53_4d42, Some("cifs")),
            (0xfe53_4d42, Some("smb2")),
            (0x0102_1997, Some("9p")),
            (0x6573_5546, Some("fuse")),
            (0x5346_414f, Some("openafs")),
            (0x6b41_4653, Some("kafs")),
            (0x00c3_6400, Some("ceph")),
            (0x7375_7245, Some("coda")),
            (0x564c, Some("ncp")),
            (0x786f_4256, Some("vboxsf")),
            (0x7461_636f, Some("ocfs2")),
            (0x0bd0_0bd0, Some("lustre")),
            (0x0116_1970, Some("gfs2")),
            (0x6163_6673, Some("acfs")),
            (0x0131_11a8, Some("ibrix")),
            (0xbeef_dead, Some("snfs")),
            (0xa501_fcf5, Some("vxfs")),
            // Of these the kernel tells every change.
            (0xef53, None),      // ext4
            (0x5846_5342, None), // xfs
            (0x9123_683e, None), // btrfs
            (0xf2f5_2010, None), // f2fs
            (0x2fc1_2fc1, None), // zfs
            (0x0102_1994, None), // tmpfs
            (0x794c_7630, None), // overlayfs
            (0x4d44, None),      // vfat
            (0x2011_bab0, None), // exfat
            (0x5346_544e, None), // ntfs
            (0x9fa0, None),      // proc
            (0x6573_5543, None), // fusectl: the control files, not a mount
            (0, None),
        ] {
            assert_eq!(remote_kind(magic), expected, "{magic:#x}");
        }
    }

    #[test]
    fn each_of_them_is_listed_once_and_fits_32_bits() {
        let numbers: BTreeSet<u64> = REMOTE.iter().map(|(number, _)| *number).collect();
        let names: BTreeSet<&str> = REMOTE.iter().map(|(_, name)| *name).collect();
        assert_eq!((numbers.len(), names.len()), (REMOTE.len(), REMOTE.len()));
        assert!(numbers.iter().all(|number| u32::try_from(*number).is_ok()));
    }
}
