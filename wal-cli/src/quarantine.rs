//! What a command changes is kept before, so that it can be taken back.
//!
//! A quarantine is a directory beside the files of a log: `quarantine-<UTC>` in it, or `LOG.quarantine-<UTC>` beside a log in one
//! file. It has the bytes that may change, a file for each part, and `receipt.json`, which says where they belong. It gets its
//! name when all of that is durable; only then is anything changed. `after.json` is written when the change is done.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use wal_db::recovery::Touched;

use crate::failure::{Failure, Result, at};

/// How much is copied at a time. A block of zeros becomes a hole.
const BLOCK: usize = 64 << 10;

/// What the manifest of a log is at most.
const MANIFEST_BYTES: u64 = 128 << 10;

/// What was kept, and how to put it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// `wal.receipt/1`.
    pub(crate) format: String,
    /// The log, as it was named.
    pub(crate) log: String,
    /// The command that made the change.
    pub(crate) why: String,
    /// When, in RFC 3339.
    pub(crate) made: String,
    /// The log's files that were there.
    pub(crate) files: BTreeSet<String>,
    /// The bytes that may have changed.
    pub(crate) parts: Vec<Part>,
    /// What got another name.
    pub(crate) renamed: Vec<Renamed>,
    /// The CRC-32 of the manifest as it was; `None` if it was not there.
    pub(crate) manifest_crc32: Option<u32>,
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The file's name.
    pub(crate) file: String,
    /// From where on.
    pub(crate) start: u64,
    /// How many.
    pub(crate) bytes: u64,
    /// How long the file was.
    pub(crate) file_bytes: u64,
    /// Their CRC-32.
    pub(crate) crc32: u32,
    /// The name of the file here that has them.
    pub(crate) kept: String,
}

/// A file that was given another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renamed {
    /// What it was.
    pub(crate) was: String,
    /// What it is now.
    pub(crate) is: String,
}

/// What the log is after the change.
#[derive(Debug, Serialize, Deserialize)]
struct After {
    /// The CRC-32 of its manifest.
    manifest_crc32: u32,
}

/// A quarantine that is complete.
#[derive(Debug)]
pub(crate) struct Quarantine {
    place: PathBuf,
    log: PathBuf,
    /// What it holds.
    pub(crate) receipt: Receipt,
}

impl Quarantine {
    /// Keeps what is about to change, durably.
    pub(crate) fn keep(
        log: &Path,
        why: &str,
        touched: &[Touched],
        renamed: &[(PathBuf, PathBuf)],
    ) -> Result<Quarantine> {
        if log.file_name().is_some_and(|name| name.to_str().is_none()) {
            return Err(Failure::Usage(format!(
                "the name of {} is not text, so a receipt cannot name its files; give it another one first",
                log.display()
            )));
        }
        let now = jiff::Timestamp::now();
        let stamp = now.strftime("%Y%m%dT%H%M%S%6fZ").to_string();
        let place = beside(log, &format!("quarantine-{stamp}"));
        let new = beside(log, &format!("quarantine-{stamp}.new"));
        fs::create_dir(&new).map_err(at("making a quarantine", &new))?;
        let receipt = Receipt {
            format: "wal.receipt/1".to_owned(),
            log: log.display().to_string(),
            why: why.to_owned(),
            made: now.to_string(),
            files: names(log)?,
            manifest_crc32: manifest_crc(log).ok(),
            parts: keep_parts(&new, touched)?,
            renamed: renamed
                .iter()
                .map(|(was, is)| Renamed {
                    was: name_of(was),
                    is: name_of(is),
                })
                .collect(),
        };
        write_json(&new.join("receipt.json"), &receipt)?;
        sync_dir(&new)?;
        fs::rename(&new, &place).map_err(at("naming the quarantine", &place))?;
        sync_dir(parent(&place))?;
        Ok(Quarantine {
            place,
            log: log.to_owned(),
            receipt,
        })
    }

    /// The quarantine at a path.
    pub(crate) fn open(place: &Path) -> Result<Quarantine> {
        let path = place.join("receipt.json");
        let bytes = fs::read(&path).map_err(at("reading a receipt", &path))?;
        let receipt: Receipt = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Usage(format!("{} is not a receipt: {error}", path.display())))?;
        Ok(Quarantine {
            log: log_of(place)?,
            place: place.to_owned(),
            receipt,
        })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// The log that it belongs to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The change is done.
    pub(crate) fn done(&self) -> Result<()> {
        let after = After {
            manifest_crc32: manifest_crc(&self.log)?,
        };
        write_json(&self.place.join("after.json"), &after)?;
        sync_dir(&self.place)
    }

    /// Nothing was changed after all.
    pub(crate) fn drop_it(self) {
        // What is left of it says what the log is now.
        let _ = fs::remove_dir_all(&self.place);
    }

    /// Whether the log may have been changed by something else since.
    pub(crate) fn is_outdated(&self) -> Result<bool> {
        let path = self.place.join("after.json");
        let Ok(bytes) = fs::read(&path) else {
            // The command did not come to its end, and nothing says whether the log was used since.
            return Ok(self.receipt.manifest_crc32 != manifest_crc(&self.log).ok());
        };
        let after: After = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Usage(format!("{} is damaged: {error}", path.display())))?;
        Ok(after.manifest_crc32 != manifest_crc(&self.log)?)
    }

    /// Looks whether all that is kept is as it was.
    pub(crate) fn check(&self) -> Result<()> {
        for part in &self.receipt.parts {
            let path = self.place.join(&part.kept);
            let file = File::open(&path).map_err(at("reading what is kept", &path))?;
            let mut crc = crc32fast::Hasher::new();
            let mut bytes = 0;
            blocks(file, |block| {
                crc.update(block);
                bytes += block.len() as u64;
                Ok(())
            })
            .map_err(at("reading what is kept", &path))?;
            if (bytes, crc.finalize()) != (part.bytes, part.crc32) {
                return Err(Failure::Damaged(format!(
                    "{} is not what was kept; nothing was changed",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Puts everything back. It can be done again if it was interrupted. The caller has the lock of the log.
    pub(crate) fn put_back(&self) -> Result<()> {
        for Renamed { was, is } in &self.receipt.renamed {
            let (was, is) = (beside_named(&self.log, was), beside_named(&self.log, is));
            if is.symlink_metadata().is_ok() {
                fs::rename(&is, &was).map_err(at("giving back a name", &was))?;
            }
        }
        for part in &self.receipt.parts {
            self.put_back_part(part)?;
        }
        for name in names(&self.log)?.difference(&self.receipt.files) {
            let path = beside_named(&self.log, name);
            fs::remove_file(&path).map_err(at("removing a file that was not there", &path))?;
        }
        sync_dir(parent(&beside_named(&self.log, "manifest")))
    }

    fn put_back_part(&self, part: &Part) -> Result<()> {
        let path = beside_named(&self.log, &part.file);
        let kept = self.place.join(&part.kept);
        let put = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            file.seek(SeekFrom::Start(part.start))?;
            blocks(File::open(&kept)?, |block| file.write_all(block))?;
            file.set_len(part.file_bytes)?;
            file.sync_all()
        };
        put().map_err(at("putting bytes back", &path))
    }
}

fn keep_parts(new: &Path, touched: &[Touched]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for touched in touched {
        let mut file = match File::open(&touched.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.map_err(at("keeping what will change", &touched.path))?,
        };
        let kept = format!("part-{}", parts.len());
        let mut part = Part {
            file: name_of(&touched.path),
            start: touched.start,
            bytes: 0,
            file_bytes: 0,
            crc32: 0,
            kept: kept.clone(),
        };
        let mut copy = || -> io::Result<()> {
            part.file_bytes = file.metadata()?.len();
            let end = touched.end.unwrap_or(u64::MAX).min(part.file_bytes);
            part.bytes = end.saturating_sub(touched.start);
            file.seek(SeekFrom::Start(touched.start))?;
            let mut to = File::create(new.join(&kept))?;
            let mut crc = crc32fast::Hasher::new();
            blocks((&mut file).take(part.bytes), |block| {
                crc.update(block);
                if block.iter().all(|byte| *byte == 0) {
                    to.seek(SeekFrom::Current(block.len() as i64)).map(drop)
                } else {
                    to.write_all(block)
                }
            })?;
            part.crc32 = crc.finalize();
            to.set_len(part.bytes)?;
            to.sync_all()
        };
        copy().map_err(at("keeping what will change", &touched.path))?;
        parts.push(part);
    }
    Ok(parts)
}

fn blocks(mut from: impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(len) => each(&block[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A name in the directory of a log, or a longer one beside its file.
fn beside(log: &Path, name: &str) -> PathBuf {
    if log.is_dir() {
        return log.join(name);
    }
    let mut longer = log.file_name().map_or_else(OsString::new, OsString::from);
    longer.push(".");
    longer.push(name);
    log.with_file_name(longer)
}

/// A file of a log by its name.
fn beside_named(log: &Path, name: &str) -> PathBuf {
    match log.is_dir() {
        true => log.join(name),
        false => log.with_file_name(name),
    }
}

/// The log that a quarantine is of.
fn log_of(place: &Path) -> Result<PathBuf> {
    let name = name_of(place);
    if name.starts_with("quarantine-") {
        let place = fs::canonicalize(place).map_err(at("looking at a quarantine", place))?;
        return Ok(parent(&place).to_owned());
    }
    match name.split_once(".quarantine-") {
        Some((log, _)) => Ok(place.with_file_name(log)),
        None => Err(Failure::Usage(format!(
            "{} has not the name of a quarantine",
            place.display()
        ))),
    }
}

/// The files that a log has or may have, by their names.
fn names(log: &Path) -> Result<BTreeSet<String>> {
    let is_dir = log.is_dir();
    let dir = if is_dir { log } else { parent(log) };
    let own = name_of(log);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(at("listing the log's files", dir))? {
        let entry = entry.map_err(at("listing the log's files", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = match is_dir {
            true => Some(name.as_str()),
            false if name == own => Some(""),
            false => name.strip_prefix(&own).and_then(|rest| rest.strip_prefix('.')),
        };
        let is_its = rest.is_some_and(if is_dir { is_of_a_directory } else { is_of_a_file });
        if is_its && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Whether a log in a directory makes files of such a name.
fn is_of_a_directory(name: &str) -> bool {
    let name = name.strip_suffix(".new").unwrap_or(name);
    let is_segment = name
        .strip_suffix(".seg")
        .is_some_and(|digits| digits.len() == 10 && digits.bytes().all(|digit| digit.is_ascii_digit()));
    is_segment || name == "manifest" || is_of_both(name)
}

/// Whether a log in one file makes files whose names are longer by this.
fn is_of_a_file(rest: &str) -> bool {
    matches!(rest, "" | "new") || is_of_both(rest)
}

fn is_of_both(name: &str) -> bool {
    let is_cut = name.strip_prefix("cut-").is_some_and(|place| {
        place.starts_with(|first: char| first.is_ascii_digit())
            && place.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    });
    is_cut || matches!(name, "staging" | "cuts-0" | "cuts-1")
}

fn manifest_crc(log: &Path) -> Result<u32> {
    let path = match log.is_dir() {
        true => log.join("manifest"),
        false => log.to_owned(),
    };
    let file = File::open(&path).map_err(at("reading the manifest", &path))?;
    let mut crc = crc32fast::Hasher::new();
    blocks(file.take(MANIFEST_BYTES), |block| {
        crc.update(block);
        Ok(())
    })
    .map_err(at("reading the manifest", &path))?;
    Ok(crc.finalize())
}

/// It is there, whole, or not at all.
fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(at("writing a receipt", path))
}

fn sync_dir(dir: &Path) -> Result<()> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(at("making names durable", dir))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
