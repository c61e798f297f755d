//! Disks whose power can be cut.
//!
//! A disk is a file on an XFS of our own, the host, which is a file in memory. The file system that is tested lives on
//! the disk, and the log on that. There are two ways to cut the power:
//!
//! - [`Disk::image`] is a disk with an honest cache that loses nothing: all that the file system has sent it, and
//!   nothing that is in the page cache only. XFS clones a file under the lock that every write takes, so an image is the
//!   disk at one moment, whatever runs meanwhile; and it costs a few milliseconds.
//! - [`Host::power_off`] is a disk with a volatile cache that loses all of it: the host is shut down, so of the disk
//!   only that is left which the file system has flushed. Or it loses some of it, in no order:
//!   [`Disk::write_back_some`].

use std::{
    cell::{Cell, RefCell},
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::tools::{Tool, lacks_mounts, run, succeeds};

/// What making and using a host takes.
pub(crate) const TOOLS: [Tool; 4] = [
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
];

/// The file systems that are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs];

/// Tests that need all the file systems are left out together.
pub(crate) fn lacks_all() -> bool {
    lacks_mounts(&KINDS.map(Kind::name), &TOOLS)
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }

    /// Little, but enough to be made and used without tricks. What is not written takes no memory.
    const fn mebibytes(self) -> u64 {
        match self {
            Kind::Ext4 => 48,
            Kind::Xfs => 300,
            Kind::Btrfs => 300,
        }
    }

    fn make(self, image: &Path) {
        File::create_new(image)
            .unwrap()
            .set_len(self.mebibytes() << 20)
            .unwrap();
        self.make_in(image);
    }

    fn make_in(self, image: &Path) {
        run(&format!("mkfs.{}", self.name()), [Path::new("-q"), image]);
    }
}

/// The computer that the disks are in. There is one at a time, for all processes that run these tests.
pub(crate) struct Host {
    store: RefCell<Option<Mount>>,
    _memory: Mount,
    root: TempDir,
    _alone: File,
    names: Cell<u32>,
}

const PREFIX: &str = "wal-kernels-";

impl Host {
    pub(crate) fn new() -> Host {
        let temp = std::env::temp_dir();
        let alone = File::create(temp.join("wal-kernels.lock")).unwrap();
        // There are few loop devices. And whatever is there while we are alone was left behind.
        alone.lock().unwrap();
        tidy(&temp);
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        let memory = Mount::new(
            &["-t", "tmpfs", "-o", "size=4g", "tmpfs"],
            &root.path().join("memory"),
        );
        let host = Host {
            store: RefCell::default(),
            _memory: memory,
            root,
            _alone: alone,
            names: Cell::default(),
        };
        File::create_new(host.file()).unwrap().set_len(2 << 30).unwrap();
        run("mkfs.xfs", ["-q".as_ref(), host.file().as_os_str()]);
        host.power_on();
        host
    }

    /// A new disk with an empty file system.
    pub(crate) fn disk(&self, kind: Kind) -> Disk<'_> {
        let disk = self.slot(kind);
        kind.make(&disk.file);
        disk
    }

    /// As [`disk`](Self::disk), with every block on the host: what is written back later needs nothing else there.
    pub(crate) fn disk_with_blocks(&self, kind: Kind) -> Disk<'_> {
        let disk = self.slot(kind);
        let zeros = vec![0; 1 << 20];
        let mut file = File::create_new(&disk.file).unwrap();
        (0..kind.mebibytes()).for_each(|_| file.write_all(&zeros).unwrap());
        file.sync_all().unwrap();
        kind.make_in(&disk.file);
        disk
    }

    /// A file system in memory.
    pub(crate) fn memory(&self, mebibytes: u64) -> Mount {
        let options = format!("size={mebibytes}m");
        Mount::new(&["-t", "tmpfs", "-o", &options, "tmpfs"], &self.name("mount"))
    }

    /// A file system in layers, as containers have, whose upper one lies on another.
    pub(crate) fn layers(&self, below: &Mount) -> Mount {
        let dir = |name: &str| {
            let dir = below.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir.display().to_string()
        };
        let (lower, upper, work) = (dir("lower"), dir("upper"), dir("work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Mount::new(&["-t", "overlay", "overlay", "-o", &options], &self.name("mount"))
    }

    /// A disk of so many bytes.
    pub(crate) fn small_disk(&self, kind: Kind, bytes: u64) -> Disk<'_> {
        let disk = self.slot(kind);
        File::create_new(&disk.file).unwrap().set_len(bytes).unwrap();
        kind.make_in(&disk.file);
        disk
    }

    /// The power goes: from now on every disk keeps what was flushed, and nothing that it is sent.
    pub(crate) fn power_off(&self) {
        run(
            "xfs_io",
            [
                "-x".as_ref(),
                "-c".as_ref(),
                "shutdown".as_ref(),
                self.store().as_os_str(),
            ],
        );
    }

    /// The power comes back. `mount` is what was mounted when it went.
    pub(crate) fn restart(&self, mount: Mount) {
        mount.unmount();
        self.store.take().unwrap().unmount();
        self.power_on();
    }

    fn power_on(&self) {
        let mount = Mount::new(&["-o", "loop", self.file().to_str().unwrap()], &self.store());
        *self.store.borrow_mut() = Some(mount);
    }

    fn slot(&self, kind: Kind) -> Disk<'_> {
        let file = self.store().join(self.name("disk").file_name().unwrap());
        Disk {
            host: self,
            kind,
            file,
        }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("memory/host")
    }

    fn store(&self) -> PathBuf {
        self.root.path().join("store")
    }

    fn name(&self, what: &str) -> PathBuf {
        let number = self.names.replace(self.names.get() + 1);
        self.root.path().join(format!("{what}-{number}"))
    }
}

/// A disk with one file system.
pub(crate) struct Disk<'a> {
    host: &'a Host,
    kind: Kind,
    file: PathBuf,
}

impl Disk<'_> {
    /// Only one of a disk and its images can be mounted at a time: they have the same identity.
    pub(crate) fn mount(&self) -> Mount {
        self.mount_as("rw")
    }

    pub(crate) fn mount_read_only(&self) -> Mount {
        self.mount_as("ro")
    }

    fn mount_as(&self, access: &str) -> Mount {
        let (options, file) = (format!("loop,{access}"), self.file.to_str().unwrap());
        let args = ["-t", self.kind.name(), "-o", &options, file];
        Mount::new(&args, &self.host.name("mount"))
    }

    /// The disk as it is at one moment of this call.
    pub(crate) fn image(&self) -> Self {
        let image = self.host.slot(self.kind);
        let files = [self.file.as_os_str(), image.file.as_os_str()];
        run("cp", ["--reflink=always".as_ref()].into_iter().chain(files));
        image
    }

    /// The disk writes back half of what may be in its cache, chosen by `choose` for every so many bytes.
    pub(crate) fn write_back_some(&self, mut choose: impl FnMut() -> bool) {
        const BYTES: u64 = 64 << 10;
        let ranges = (0..self.kind.mebibytes() << 20).step_by(BYTES as usize);
        let commands = ranges
            .filter(|_| choose())
            .flat_map(|start| ["-c".to_owned(), format!("sync_range -w -b -a {start} {BYTES}")]);
        run("xfs_io", commands.chain([self.file.to_str().unwrap().to_owned()]));
    }

    /// It is not needed any more.
    pub(crate) fn discard(self) {
        fs::remove_file(&self.file).unwrap();
    }
}

/// Something mounted, until it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    fn new(args: &[&str], at: &Path) -> Mount {
        fs::create_dir_all(at).unwrap();
        let mount = Mount(at.to_owned());
        run("mount", args.iter().map(OsStr::new).chain([at.as_os_str()]));
        mount
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn unmount(self) {
        assert!(self.try_unmount(), "{} is busy", self.0.display());
        std::mem::forget(self);
    }

    /// A loop device lets go of its file a moment after it was unmounted.
    fn try_unmount(&self) -> bool {
        (0..100).any(|_| {
            let done = succeeds(Command::new("umount").arg(&self.0));
            if !done {
                std::thread::sleep(Duration::from_millis(20));
            }
            done
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.try_unmount() {
            succeeds(Command::new("umount").arg("--lazy").arg(&self.0));
        }
    }
}

/// Takes away what an earlier run left that was killed.
fn tidy(temp: &Path) {
    let ours = temp.join(PREFIX);
    let ours = ours.to_str().unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    // The last one first: it may lie on those before it.
    for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if mount.starts_with(ours) {
            run("umount", ["--lazy", mount]);
        }
    }
    for entry in fs::read_dir(temp).unwrap().map_while(Result::ok) {
        if entry.path().to_str().is_some_and(|path| path.starts_with(ours)) && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}
