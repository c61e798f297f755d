//! The file of a key ring: sectors that are encrypted each by itself, added at its end and written anew as a whole.
//!
//! A sector is on the disk as it was written, or it is zero, or the file ends before it; of those that were flushed none is.
//! So a crash is told from damage: see `docs/format.md`, "Key rings".

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    cipher::{Cipher, Secret, Sha, random},
    error::SealError,
    vault::{MasterId, Vault, VaultError},
};
use crate::{
    format::{
        SECTOR, is_zero,
        keyring::{
            self, BODY, Entries, FIXED, KeyFault, KeyHeader, NONCE, Sector, TAG, Tomb, sector_context,
        },
    },
    process::Process,
    storage::fs::{Access, Dir, File, FileSystem, read_at, write_at},
    sync::Arc,
};

const SECTOR_LEN: usize = SECTOR as usize;
const LOCK: &str = "lock";

/// The directory of a ring, which is locked.
pub(super) struct Place {
    pub(super) dir: Arc<dyn Dir>,
    pub(super) path: PathBuf,
    lock: Arc<dyn File>,
    pub(super) process: Process,
}

impl Place {
    pub(super) fn lock(fs: &dyn FileSystem, path: &Path) -> Result<Place, SealError> {
        let failed = |context| failed(path, context);
        let dir = fs.open_dir(path).map_err(failed("opening its directory"))?;
        let lock = dir
            .open(OsStr::new(LOCK), Access::Create)
            .map_err(failed("locking it"))?;
        if !lock.try_lock().map_err(failed("locking it"))? {
            return Err(SealError::Locked {
                path: path.to_owned(),
            });
        }
        Ok(Place {
            dir,
            path: path.to_owned(),
            lock,
            process: Process::this(),
        })
    }

    pub(super) fn check_process(&self) -> Result<(), SealError> {
        match self.process.is_this() {
            true => Ok(()),
            false => Err(SealError::Forked {
                path: self.path.clone(),
            }),
        }
    }

    /// The numbers of the key files that are there, and the names of files that were never completed.
    pub(super) fn files(&self) -> Result<(Vec<u64>, Vec<OsString>), SealError> {
        let listed = self.dir.list().map_err(self.failed("listing its files"))?;
        let (mut numbers, mut begun) = (Vec::new(), Vec::new());
        for name in listed {
            let text = name.to_str().unwrap_or_default();
            if let Some(number) = keyring::number(text) {
                numbers.push(number);
            } else if text
                .strip_suffix(NEW)
                .is_some_and(|of| keyring::number(of).is_some())
            {
                begun.push(name);
            }
        }
        numbers.sort_unstable();
        Ok((numbers, begun))
    }

    pub(super) fn remove(&self, name: &OsStr) -> Result<(), SealError> {
        match self.dir.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(self.failed("removing an earlier key file")),
        }
    }

    pub(super) fn sync(&self) -> Result<(), SealError> {
        self.dir.sync().map_err(self.failed("flushing its directory"))
    }

    pub(super) fn failed(&self, context: &'static str) -> impl FnOnce(io::Error) -> SealError + use<> {
        failed(&self.path, context)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(keyring::file_name(number))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.process.is_this() {
            // If this fails, closing the file unlocks it.
            let _ = self.lock.unlock();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

pub(super) fn failed(path: &Path, context: &'static str) -> impl FnOnce(io::Error) -> SealError + use<> {
    let path = path.to_owned();
    move |source| SealError::Io {
        context,
        path,
        source,
    }
}

const NEW: &str = ".new";

/// A key file that is open.
pub(super) struct KeyFile {
    file: Arc<dyn File>,
    pub(super) header: KeyHeader,
    cipher: Cipher,
    /// Where the next sector goes.
    end: u32,
}

/// What a key file holds.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) lookup: Option<Secret>,
    pub(super) keys: Vec<LoadedKey>,
    pub(super) tombs: Vec<Tomb>,
    pub(super) intents: Vec<Intent>,
    pub(super) is_done: bool,
    /// The last batch is not whole: the process died before it was flushed, so nothing depends on it.
    pub(super) is_torn: bool,
}

pub(super) struct LoadedKey {
    pub(super) id: [u8; 8],
    pub(super) subject: [u8; 32],
    pub(super) secret: Secret,
}

/// What was begun and not finished.
pub(super) struct Intent {
    pub(super) master: MasterId,
    pub(super) key: Option<[u8; 8]>,
    pub(super) time_us: u64,
}

/// The master that wraps the key of a file that is written, and what is to be destroyed after.
pub(super) struct Under {
    pub(super) master: MasterId,
    pub(super) key: Secret,
    pub(super) wrapped: Vec<u8>,
    pub(super) retired: Vec<MasterId>,
}

impl Under {
    /// A new key, wrapped by a master.
    pub(super) fn new(
        vault: &dyn Vault,
        master: MasterId,
        retired: Vec<MasterId>,
    ) -> Result<Under, SealError> {
        let max = keyring::MAX_MASTER as u64;
        let len = master.as_str().len() as u64;
        if !(1..=max).contains(&len) {
            return Err(SealError::TooLong {
                what: "the name of a master key",
                len,
                max,
            });
        }
        let key = Secret::random()?;
        let wrapped = vault.wrap(&master, &key).map_err(|source| SealError::Vault {
            what: "wrap the key of the key file",
            source,
        })?;
        if wrapped.len() > MAX_WRAPPED {
            return Err(SealError::TooLong {
                what: "a key that the vault has wrapped",
                len: wrapped.len() as u64,
                max: MAX_WRAPPED as u64,
            });
        }
        // Nothing else can open the file, and the master from before is destroyed once it is there.
        let refused = |source| SealError::Vault {
            what: "unwrap the key that it has just wrapped",
            source,
        };
        let again = vault.unwrap(&master, &wrapped).map_err(refused)?;
        if again.as_bytes() != key.as_bytes() {
            return Err(refused(VaultError::not_wrapped(&master)));
        }
        Ok(Under {
            master,
            key,
            wrapped,
            retired,
        })
    }
}

impl KeyFile {
    /// Opens the file of that number, which may have been written by a process that died: what is whole of it is made durable
    /// and what is not is cut off first, so that it can be added to. A file of another scope stays as it is.
    pub(super) fn load(
        place: &Place,
        number: u64,
        scope: &str,
        vault: &dyn Vault,
    ) -> Result<(KeyFile, Contents), SealError> {
        let path = place.path_of(number);
        let name = OsString::from(keyring::file_name(number));
        let file = place.dir.open(&name, Access::Write);
        let file = file.map_err(failed(&path, "reading it"))?;
        let mut file = KeyFile::of(file, &path, number, vault)?;
        if file.header.scope != scope {
            return Err(SealError::OtherScope {
                path: place.path.clone(),
                stored: file.header.scope,
                given: scope.to_owned(),
            });
        }
        let (contents, last) = file.contents(&path, file.end)?;
        file.make_durable(last, contents.is_torn)
            .map_err(failed(&path, "flushing it"))?;
        Ok((file, contents))
    }

    /// Reads the header.
    fn of(file: Arc<dyn File>, path: &Path, number: u64, vault: &dyn Vault) -> Result<KeyFile, SealError> {
        let reading = || failed(path, "reading it");
        let fault = |fault| of_fault(path, fault);
        if file.len().map_err(reading())? > MAX_LEN {
            return Err(damage(path, MAX_LEN, "it is longer than a key file can be"));
        }
        let start = read(&*file, 0, FIXED).map_err(reading())?;
        let start = start.first_chunk().ok_or_else(|| fault(TOO_SHORT))?;
        let sectors = KeyHeader::sectors(start).map_err(fault)?;
        let bytes = read(&*file, 0, sectors as usize * SECTOR_LEN).map_err(reading())?;
        let (header, used) = KeyHeader::decode(&bytes).map_err(fault)?;
        if header.generation != number || bytes.len() != sectors as usize * SECTOR_LEN {
            return Err(damage(
                path,
                24,
                "it has the name of another key file, or ends here",
            ));
        }
        let master = MasterId::new(header.master.clone());
        let key = vault.unwrap(&master, &header.wrapped);
        let cipher = Cipher::new(&key.map_err(|source| SealError::Vault {
            what: "unwrap the key of the key file",
            source,
        })?);
        let (nonce, tag) = KeyHeader::seal_of(&bytes, used);
        if cipher.open(&bytes[..used], &nonce, &mut [], &tag).is_err() {
            return Err(damage(
                path,
                used as u64,
                "the header is not the one that was written",
            ));
        }
        Ok(KeyFile {
            file,
            header,
            cipher,
            end: sectors,
        })
    }

    /// Reads all sectors after the header; also says where the last batch begins that was added to the file.
    fn contents(&mut self, path: &Path, header_sectors: u32) -> Result<(Contents, Option<u32>), SealError> {
        let mut contents = Contents::default();
        let written_end = header_sectors.saturating_add(self.header.written_sectors);
        let mut walk = Walk {
            written_end,
            batch: header_sectors,
            gap: None,
        };
        let mut at = header_sectors;
        loop {
            let bytes =
                read(&*self.file, u64::from(at) * SECTOR, PIECE).map_err(failed(path, "reading it"))?;
            let (sectors, rest) = bytes.as_chunks::<SECTOR_LEN>();
            for sector in sectors {
                self.sector(sector, at, &mut walk, &mut contents)
                    .map_err(|what| damage(path, u64::from(at) * SECTOR, what))?;
                at = at
                    .checked_add(1)
                    .ok_or_else(|| damage(path, u64::MAX, "it is too long"))?;
            }
            contents.is_torn |= !rest.is_empty();
            if bytes.len() < PIECE {
                break;
            }
        }
        if at < written_end {
            return Err(damage(path, u64::from(at) * SECTOR, "it ends here"));
        }
        contents.is_torn |= walk.gap.is_some();
        self.end = walk.gap.unwrap_or(at);
        if contents.lookup.is_none() {
            return Err(damage(
                path,
                u64::from(header_sectors) * SECTOR,
                "the key of look-ups",
            ));
        }
        self.fill_digests(path, written_end, &mut contents.tombs)?;
        let last = Some(walk.batch).filter(|batch| *batch >= written_end);
        Ok((contents, last))
    }

    /// What was read survives power loss when this returns. If the flush of the last batch has failed, the system may take it
    /// for flushed, and show it: so it is written again. Those before it were flushed, or it would not be there. A gap must not
    /// come before what is added next: that would be damage.
    fn make_durable(&self, last: Option<u32>, is_torn: bool) -> io::Result<()> {
        let mut at = u64::from(last.unwrap_or(self.end)) * SECTOR;
        let end = u64::from(self.end) * SECTOR;
        while at < end {
            let bytes = read(&*self.file, at, (end - at).min(PIECE as u64) as usize)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_at(&*self.file, at, &bytes)?;
            at += bytes.len() as u64;
        }
        if is_torn {
            self.file.set_len(end)?;
        }
        self.file.sync_all()
    }

    fn sector(
        &self,
        bytes: &[u8; SECTOR_LEN],
        at: u32,
        walk: &mut Walk,
        contents: &mut Contents,
    ) -> Result<(), &'static str> {
        if is_zero(bytes) {
            if at < walk.written_end {
                return Err("a sector that was flushed is zero");
            }
            walk.gap.get_or_insert(at);
            return Ok(());
        }
        let sector = Sector::parse(bytes);
        let mut body = Body(*sector.body);
        let context = sector_context(&self.header, at, sector.batch);
        let opened = self
            .cipher
            .open(&context, &sector.nonce, &mut body.0, &sector.tag);
        opened.map_err(|_| "a sector is not the one that was written")?;
        // Only the last batch may lack sectors: each was flushed before the next one was written.
        if sector.batch < walk.batch || sector.batch > at || walk.gap.is_some_and(|gap| gap < sector.batch) {
            return Err("a sector that was flushed is missing");
        }
        walk.batch = sector.batch;
        contents.add(&body.0).ok_or("a sector is nothing that is known")
    }

    /// The first file without a key could not hold its own digest.
    fn fill_digests(&self, path: &Path, written_end: u32, tombs: &mut [Tomb]) -> Result<(), SealError> {
        if tombs.iter().any(|tomb| is_zero(&tomb.after)) {
            let after = self.digest(u64::from(written_end) * SECTOR);
            let after = after.map_err(failed(path, "reading it"))?;
            let new = tombs.iter_mut().filter(|tomb| is_zero(&tomb.after));
            new.for_each(|tomb| tomb.after = after);
        }
        Ok(())
    }

    fn digest(&self, end: u64) -> io::Result<[u8; 32]> {
        let (mut sha, mut at) = (Sha::default(), 0);
        while at < end {
            let bytes = read(&*self.file, at, (end - at).min(PIECE as u64) as usize)?;
            if bytes.is_empty() {
                break;
            }
            sha.add(&bytes);
            at += bytes.len() as u64;
        }
        Ok(sha.finish())
    }

    /// The digest of all of it.
    pub(super) fn whole_digest(&self, place: &Place) -> Result<[u8; 32], SealError> {
        self.digest(u64::from(self.end) * SECTOR)
            .map_err(place.failed("reading its file"))
    }

    /// Adds entries, a sector for each; they survive power loss when this returns.
    pub(super) fn append(&mut self, place: &Place, entries: &[Entries<'_>]) -> Result<(), SealError> {
        let mut bytes = Vec::with_capacity(entries.len() * SECTOR_LEN);
        let end = self.add(entries, self.end, &mut bytes)?;
        write_at(&*self.file, u64::from(self.end) * SECTOR, &bytes)
            .map_err(place.failed("writing its file"))?;
        // The length with the content.
        self.file.sync_data().map_err(place.failed("flushing its file"))?;
        self.end = end;
        Ok(())
    }

    /// Encrypts a batch that begins at a sector; where it ends.
    fn add(&self, entries: &[Entries<'_>], batch: u32, out: &mut Vec<u8>) -> Result<u32, SealError> {
        let mut at = batch;
        for entry in entries {
            let mut body = Body([0; BODY]);
            entry.encode(&mut body.0);
            let nonce = random::<NONCE>()?;
            let tag = self
                .cipher
                .seal(&sector_context(&self.header, at, batch), &nonce, &mut body.0)?;
            let body = &body.0;
            Sector {
                batch,
                nonce,
                body,
                tag,
            }
            .encode(out);
            at = at.checked_add(1).ok_or(FULL)?;
        }
        Ok(at)
    }

    /// Makes the file of that number, whole. It survives power loss when this returns.
    pub(super) fn create(
        place: &Place,
        number: u64,
        (ring, scope): ([u8; 8], &str),
        under: Under,
        entries: &[Entries<'_>],
    ) -> Result<KeyFile, SealError> {
        let texts = under.retired.iter().map(|master| master.as_str().to_owned());
        let header = KeyHeader {
            ring,
            generation: number,
            written_sectors: u32::try_from(entries.len()).map_err(|_| FULL)?,
            scope: scope.to_owned(),
            master: under.master.as_str().to_owned(),
            wrapped: under.wrapped,
            retired: texts.collect(),
        };
        let cipher = Cipher::new(&under.key);
        let (mut bytes, used) = header.encode();
        let nonce = random::<NONCE>()?;
        let tag: [u8; TAG] = cipher.seal(&bytes[..used], &nonce, &mut [])?;
        KeyHeader::seal(&mut bytes, used, &nonce, &tag);
        // What is not read again must not take the place of what is.
        if KeyHeader::decode(&bytes).ok().as_ref() != Some(&(header.clone(), used)) {
            return Err(SealError::TooLong {
                what: "the header of a key file",
                len: bytes.len() as u64,
                max: u64::from(keyring::MAX_HEADER_SECTORS) * SECTOR,
            });
        }

        let name = OsString::from(keyring::file_name(number));
        let mut new = name.clone();
        new.push(NEW);
        place.remove(&new)?;
        let file = place
            .dir
            .open(&new, Access::New)
            .map_err(place.failed("making its file"))?;
        let start = (bytes.len() / SECTOR_LEN) as u32;
        let mut made = KeyFile {
            file,
            header,
            cipher,
            end: start,
        };
        made.end = made.add(entries, start, &mut bytes)?;
        write_at(&*made.file, 0, &bytes).map_err(place.failed("writing its file"))?;
        made.file.sync_all().map_err(place.failed("flushing its file"))?;
        place
            .dir
            .rename(&new, &name)
            .map_err(place.failed("naming its file"))?;
        place.sync()?;
        Ok(made)
    }

    pub(super) fn size_bytes(&self) -> u64 {
        u64::from(self.end) * SECTOR
    }
}

const FULL: SealError = SealError::TooLong {
    what: "a key file",
    len: 1 << 41,
    max: (1 << 41) - 1,
};

const TOO_SHORT: KeyFault = KeyFault::Damaged {
    offset: 0,
    what: "it ends here",
};

const PIECE: usize = 256 << 10;

/// So that the header has room for it, whatever else is there.
const MAX_WRAPPED: usize = 64 << 10;

/// Sectors have numbers of 32 bits.
const MAX_LEN: u64 = u32::MAX as u64 * SECTOR;

struct Walk {
    /// Up to here the file was flushed before it got its name.
    written_end: u32,
    batch: u32,
    /// The first sector that is zero.
    gap: Option<u32>,
}

/// What a sector holds, in clear text.
struct Body([u8; BODY]);

impl Drop for Body {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Contents {
    fn add(&mut self, body: &[u8; BODY]) -> Option<()> {
        match Entries::decode(body)? {
            Entries::Lookup(key) => self.lookup = Some(Secret::new(*key)),
            Entries::Keys(keys) => self.keys.extend(keys.into_iter().map(|key| LoadedKey {
                id: key.id,
                subject: key.subject,
                secret: Secret::new(*key.key),
            })),
            Entries::Shredded(tombs) => self.tombs.extend(tombs),
            Entries::Intent { master, key, time_us } => self.intents.push(Intent {
                master: MasterId::new(master),
                key,
                time_us,
            }),
            Entries::Done => self.is_done = true,
        }
        Some(())
    }
}

/// What is there of so many bytes.
fn read(file: &dyn File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let there = read_at(file, at, &mut bytes)?;
    bytes.truncate(there);
    Ok(bytes)
}

fn damage(path: &Path, offset: u64, what: &'static str) -> SealError {
    of_fault(path, KeyFault::Damaged { offset, what })
}

fn of_fault(path: &Path, fault: KeyFault) -> SealError {
    let path = path.to_owned();
    match fault {
        KeyFault::Damaged { offset, what } => SealError::Damaged { path, offset, what },
        KeyFault::Version { version, features } => SealError::NewerFormat {
            path,
            version,
            features,
        },
    }
}
