//! Where staging memory may be mapped, because a store into it cannot need space: `docs/design.md`, "The ring".

use std::fs::File;

use crate::config::NotMapped;

/// File systems that write a block where it is and share none: ext2 to ext4, tmpfs, ramfs.
#[cfg(target_os = "linux")]
const NEVER_SHARE: [u32; 3] = [0xEF53, 0x0102_1994, 0x8584_58F6];

/// File systems that write every block to a new place: Btrfs, ZFS, bcachefs, NILFS2.
#[cfg(target_os = "linux")]
const COPY_ON_WRITE: [u32; 4] = [0x9123_683E, 0x2FC1_2FC1, 0xCA45_1A4E, 0x3434];

/// File systems in layers, as containers have them. They do not tell what lies below.
#[cfg(target_os = "linux")]
const LAYERS: u32 = 0x794C_7630;

/// Why a store into a mapping of the file could need space; `None` if it cannot. The file may be empty.
pub(crate) fn why_not(file: &File) -> Option<NotMapped> {
    #[cfg(target_os = "linux")]
    {
        // Where the type is not told, the second question decides.
        let kind = rustix::fs::fstatfs(file).map_or(0, |fs| fs.f_type as u32);
        if NEVER_SHARE.contains(&kind) {
            return None;
        }
        if COPY_ON_WRITE.contains(&kind) {
            return Some(NotMapped::CopiesOnWrite);
        }
        if can_share(file) {
            return Some(NotMapped::SharesBlocks);
        }
        let is_unknown = kind == LAYERS && !moves_blocks(file);
        is_unknown.then_some(NotMapped::UnknownLayers)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
    }
}

/// Whether another file can come to share the blocks of this one. The file system is asked by having the file share its
/// blocks with itself, which changes nothing: a file system that cannot share says so before it looks at what is asked,
/// and one in layers, as containers have, passes the question on.
#[cfg(target_os = "linux")]
fn can_share(file: &File) -> bool {
    use rustix::io::Errno;
    !matches!(
        rustix::fs::ioctl_ficlone(file, file),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS)
    )
}

/// Whether the file system can take blocks out of the middle of a file, which it is asked with a range after the end,
/// so that nothing is done. Of those that cannot share blocks, the ones that write extents where they are can (ext4,
/// F2FS), and those that write every block to a new place cannot (ZFS as long as it does not clone, NILFS2).
#[cfg(target_os = "linux")]
fn moves_blocks(file: &File) -> bool {
    use rustix::{fs::FallocateFlags, io::Errno};
    const AFTER_ANY_END: u64 = 64 << 30;
    let asked = rustix::fs::fallocate(file, FallocateFlags::COLLAPSE_RANGE, AFTER_ANY_END, 1 << 20);
    asked == Err(Errno::INVAL)
}
