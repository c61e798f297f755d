//! A snapshot: what is known of one, how its file is named, written and read, and why one cannot be used.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read},
};

use crate::{
    error::{Result, SnapshotError, WalError},
    event::{
        WalDecodeOwned,
        apart::{self, Apart},
        codec::{Codec, DefaultCodec},
        value::Value,
    },
    format::schema::SchemaRecord,
    format::snapshot::{
        MAGIC, MAX_SCHEMA_LEN, SnapshotBytes, SnapshotHeader, SnapshotReader, file_name, may_be_one,
        name_and_next,
    },
    log::Wal,
    lsn::Lsn,
    position::Position,
    storage::{Reading, SideFiles, side_error},
    sync::Arc,
};

/// A state in a file, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name that the state has: [`StoreConfig::with_snapshots`](super::StoreConfig::with_snapshots).
    pub name: String,
    /// The file, among the [side files](crate::store::SideFiles) of the log.
    pub file: String,
    /// Every event that is not in it has this LSN or a later one.
    pub next: Lsn,
    /// The LSN of the last event in it.
    pub last: Option<Lsn>,
    /// How many events it was made from.
    pub events: u64,
    /// The latest time that the metadata of an event in it gives, in microseconds since 1970-01-01 00:00 UTC.
    pub time_us: Option<i64>,
    /// What [`State::REVISION`](super::State::REVISION) was.
    pub revision: u32,
    /// How long the state is as bytes.
    pub state_bytes: u64,
}

impl Snapshot {
    /// The state in it, read without its type: by the shape that is in the file, as [`Record::to_value`](crate::Record::to_value)
    /// does with the schemas of a log. Of an enum it is the fields of the variant, and it is not said of which one.
    ///
    /// # Errors
    /// If it is damaged or not of what the log holds; [`State`](SnapshotError::State) if there is no shape in it, or if it is
    /// in a format of the application's own.
    pub fn to_value(&self, wal: &Wal) -> Result<Value, SnapshotError> {
        let files = Files::of(wal).map_err(|error| SnapshotError::Log(Box::new(error)))?;
        files.value(wal, &self.file)
    }
}

/// A snapshot that was not used, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct PassedOver {
    /// The file, among the [side files](crate::store::SideFiles) of the log.
    pub file: String,
    /// What is wrong with it.
    pub error: SnapshotError,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)?;
        crate::error::sources(&self.error).try_for_each(|source| write!(f, ": {source}"))
    }
}

impl SnapshotError {
    /// Whether the file is of no use to this log, now and later.
    fn is_final(&self) -> bool {
        match self {
            SnapshotError::Damaged { .. } => true,
            SnapshotError::Log(error) => matches!(**error, WalError::CutBack { .. }),
            _ => false,
        }
    }

    /// Whether the file tells that it is of another log.
    fn is_of_another_log(&self) -> bool {
        matches!(self, SnapshotError::Log(error) if matches!(**error, WalError::OtherLog { .. }))
    }

    /// Whether the file is one of this log, of which the beginning was dropped.
    fn is_dropped(&self) -> bool {
        matches!(self, SnapshotError::Log(error) if matches!(**error, WalError::Truncated { .. }))
    }
}

/// The name of a state and the LSN in the name of a file.
fn parts(file: &str) -> Option<(&str, Lsn)> {
    name_and_next(file).map(|(name, next)| (name, Lsn::new(next)))
}

/// How a state becomes bytes, known where its type is.
pub(super) struct Form<S> {
    encode: fn(&S) -> Result<Apart>,
    decode: fn(&[u8], Vec<u8>, Lsn) -> Result<S>,
}

impl<S: WalDecodeOwned> Form<S> {
    pub(super) fn of<C: Codec>() -> Self {
        Form {
            encode: apart::encode::<C, S>,
            decode: apart::decode::<C, S>,
        }
    }
}

impl<S> Clone for Form<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Form<S> {}

/// The snapshot files of a log, the newest of each state first.
pub(super) struct Files {
    files: Arc<dyn SideFiles>,
}

/// Whether one program reads both. Those of an enum are of as many types as that has variants.
fn are_of_one_type(one: &Opened, other: &Opened) -> bool {
    let [one, other] = [one, other].map(|opened| SchemaRecord::parse(&opened.schema));
    match (one, other) {
        (Some(one), Some(other)) if (one.type_id, one.version) == (other.type_id, other.version) => {
            one.shape == other.shape
        }
        _ => true,
    }
}

impl Snapshot {
    /// From where on a program needs the log that begins with it. The last record that was read stays: what was before it is
    /// known by that.
    pub(super) fn needed_from(&self) -> Lsn {
        Lsn::new(self.next.get().saturating_sub(1))
    }
}

/// Asked now and then whether to go on.
pub(super) type GoOn<'c> = &'c dyn Fn() -> io::Result<()>;

/// A snapshot that was read, but for its state.
struct Opened {
    snapshot: Snapshot,
    schema: Vec<u8>,
}

impl Files {
    /// Those beside a log, if its store can have some.
    pub(super) fn of(wal: &Wal) -> Result<Files> {
        let Some(files) = wal.side_files()? else {
            return Err(WalError::Config {
                what:
                    "the store of this log has no place for snapshots; give it some with WalStore::side_files"
                        .to_owned(),
            });
        };
        Ok(Files { files })
    }

    fn error(&self, context: &'static str, file: Option<&str>) -> impl FnOnce(io::Error) -> WalError + use<> {
        side_error(&*self.files, context, file)
    }

    /// The files of one state, the newest first.
    pub(super) fn list(&self, name: &str) -> Result<Vec<String>> {
        let all = self.list_all()?;
        Ok(all
            .into_iter()
            .filter(|file| parts(file).is_some_and(|(own, _)| own == name))
            .collect())
    }

    fn list_all(&self) -> Result<Vec<String>> {
        let listed = self.files.list().map_err(self.error("listing snapshots", None))?;
        let mut files: Vec<String> = listed.into_iter().filter(|file| parts(file).is_some()).collect();
        files.sort_unstable_by(|a, b| parts(b).cmp(&parts(a)));
        Ok(files)
    }

    /// The names of all states that have a file.
    pub(super) fn names(&self) -> Result<BTreeSet<String>> {
        let files = self.list_all()?;
        let names = files
            .iter()
            .filter_map(|file| parts(file).map(|(name, _)| name.to_owned()));
        Ok(names.collect())
    }

    /// Whether a file holds events before this LSN alone, by its name.
    pub(super) fn is_before(file: &str, lsn: Lsn) -> bool {
        parts(file).is_some_and(|(_, next)| next <= lsn)
    }

    /// Writes a snapshot, instead of one of the same name, which cannot be used: otherwise there was nothing to write.
    pub(super) fn write<S>(
        &self,
        form: Form<S>,
        state: &S,
        mut snapshot: Snapshot,
        position: Position,
        go_on: GoOn<'_>,
    ) -> Result<Snapshot> {
        let Apart { payload, schema } = (form.encode)(state)?;
        if schema.len() > MAX_SCHEMA_LEN {
            return Err(WalError::Config {
                what: format!(
                    "the shape of the state `{}` is too long for a snapshot",
                    snapshot.name
                ),
            });
        }
        snapshot.file = file_name(&snapshot.name, snapshot.next.get());
        snapshot.state_bytes = payload.len() as u64;
        let header = SnapshotHeader {
            revision: snapshot.revision,
            position: position.to_bytes(),
            next: snapshot.next.get(),
            last: snapshot.last.map(Lsn::get),
            events: snapshot.events,
            time_us: snapshot.time_us,
            len: snapshot.state_bytes,
            name: snapshot.name.clone(),
            schema,
        };
        let mut bytes = SnapshotBytes::new(header, &payload, go_on);
        let written = self.files.create(&snapshot.file, &mut bytes);
        written.map_err(self.error("writing a snapshot", Some(&snapshot.file)))?;
        Ok(snapshot)
    }

    /// Reads and checks a snapshot of this log and its state.
    pub(super) fn load<S>(
        &self,
        wal: &Wal,
        file: &str,
        form: Form<S>,
        revision: u32,
        go_on: GoOn<'_>,
    ) -> Result<(Snapshot, S), SnapshotError> {
        let mut bytes = Vec::new();
        let Opened { snapshot, schema } = self.read(wal, file, Some(revision), |chunk| {
            go_on()?;
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        let state = (form.decode)(&bytes, schema, snapshot.next);
        let state = state.map_err(|error| SnapshotError::State(Box::new(error)))?;
        Ok((snapshot, state))
    }

    /// Reads and checks a snapshot of this log, and its state without knowing its type.
    fn value(&self, wal: &Wal, file: &str) -> Result<Value, SnapshotError> {
        let mut bytes = Vec::new();
        let Opened { schema, .. } = self.read(wal, file, None, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        apart::read::<DefaultCodec>(&bytes, &schema).map_err(|error| SnapshotError::State(Box::new(error)))
    }

    /// Reads and checks a snapshot of this log, but does not decode its state.
    fn verify(&self, wal: &Wal, file: &str) -> Result<Snapshot, SnapshotError> {
        Ok(self.read(wal, file, None, |_| Ok(()))?.snapshot)
    }

    fn read(
        &self,
        wal: &Wal,
        file: &str,
        revision: Option<u32>,
        each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Opened, SnapshotError> {
        let content = self.files.open(file).map_err(SnapshotError::Io)?;
        let mut content = Reading::of(&*content);
        let (header, reader) = SnapshotReader::new(&mut content)?;
        let position = Position::from_bytes(&header.position).map_err(|_| SnapshotError::Damaged {
            offset: 0,
            what: "its position was changed",
        })?;
        let next = Lsn::new(header.next);
        if parts(file) != Some((&header.name, next)) {
            return Err(SnapshotError::OtherName {
                file: file_name(&header.name, header.next),
            });
        }
        if let Some(program) = revision.filter(|program| *program != header.revision) {
            return Err(SnapshotError::OtherRevision {
                stored: header.revision,
                program,
            });
        }
        wal.seek(position)
            .map_err(|error| SnapshotError::Log(Box::new(error)))?;
        reader.payload(&header, each)?;
        let snapshot = Snapshot {
            name: header.name,
            file: file.to_owned(),
            next,
            last: header.last.map(Lsn::new),
            events: header.events,
            time_us: header.time_us,
            revision: header.revision,
            state_bytes: header.len,
        };
        Ok(Opened {
            snapshot,
            schema: header.schema,
        })
    }

    /// From where on a state needs the log that no store keeps: from the last record before the older one of its newest two
    /// snapshots, if a program that can read one can read both. All of it otherwise. `None` if all of its snapshots are of
    /// another log.
    pub(super) fn needed_from(&self, wal: &Wal, name: &str) -> Result<Option<Lsn>> {
        let mut is_of_this = false;
        let mut two = Vec::new();
        for file in self.list(name)? {
            match self.read(wal, &file, None, |_| Ok(())) {
                Ok(opened) => two.push(opened),
                Err(error) => is_of_this |= !error.is_of_another_log(),
            }
            if let [newer, older] = &two[..] {
                let is_one =
                    newer.snapshot.revision == older.snapshot.revision && are_of_one_type(newer, older);
                return Ok(Some(if is_one {
                    older.snapshot.needed_from()
                } else {
                    Lsn::ZERO
                }));
            }
        }
        Ok((is_of_this || !two.is_empty()).then_some(Lsn::ZERO))
    }

    /// After a snapshot was made: removes what is of no use any more. That is what is older than the one that it began with,
    /// which could be read a moment ago; unfinished files that a crash has left; and what is damaged or cut off. What is of
    /// another log stays.
    pub(super) fn prune(
        &self,
        wal: &Wal,
        base: Option<&Snapshot>,
        new: &Snapshot,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        self.remove_unfinished(&new.name)?;
        for file in self.list(&new.name)? {
            let is_older = base.is_some_and(|base| parts(&file) < parts(&base.file));
            let is_kept = file == new.file || base.is_some_and(|base| file == base.file);
            if is_kept || go_on().is_err() {
                continue;
            }
            let mut fits = false;
            let read = self.read(wal, &file, None, |_| {
                fits = true;
                // What is older and fits this log is not read any further.
                match is_older {
                    true => Err(io::Error::other("needless")),
                    false => go_on(),
                }
            });
            let is_needless = match read {
                Ok(_) => is_older,
                Err(_) if fits && is_older => true,
                Err(error) => error.is_final() || is_older && error.is_dropped(),
            };
            if is_needless {
                self.remove(&file)?;
            }
        }
        Ok(())
    }

    /// Removes unfinished files that a crash has left.
    fn remove_unfinished(&self, name: &str) -> Result<()> {
        let listed = self.files.list().map_err(self.error("listing snapshots", None))?;
        for file in listed {
            let is_own = |file: &str| parts(file).is_some_and(|(own, _)| own == name);
            if file.strip_suffix(".new").is_some_and(is_own) && self.begins_as_one(&file) {
                self.remove(&file)?;
            }
        }
        Ok(())
    }

    fn begins_as_one(&self, file: &str) -> bool {
        let mut start = Vec::new();
        let opened = self.files.open(file);
        let read = opened.and_then(|file| {
            let mut file = Reading::of(&*file).take(MAGIC.len() as u64);
            file.read_to_end(&mut start)
        });
        read.is_ok() && may_be_one(&start)
    }

    /// Returns once all that are there survive power loss.
    pub(super) fn sync(&self) -> Result<()> {
        self.files
            .sync()
            .map_err(self.error("making snapshots durable", None))
    }

    pub(super) fn remove(&self, file: &str) -> Result<()> {
        self.files
            .remove(file)
            .map_err(self.error("removing a snapshot", Some(file)))
    }
}

/// The snapshots beside a log, of all states, the newest of each first; and those that cannot be used. Their states are
/// not decoded.
///
/// # Errors
/// [`WalError::Config`] if the store of the log keeps none; [`WalError::Io`].
pub fn snapshots(wal: &Wal) -> Result<(Vec<Snapshot>, Vec<PassedOver>)> {
    let files = Files::of(wal)?;
    let (mut whole, mut passed_over) = (Vec::new(), Vec::new());
    for file in files.list_all()? {
        match files.verify(wal, &file) {
            Ok(snapshot) => whole.push(snapshot),
            Err(error) => passed_over.push(PassedOver { file, error }),
        }
    }
    Ok((whole, passed_over))
}

/// Removes all snapshots of a state that is not kept any more, so that [`Store::compact`](super::Store::compact) does not
/// count it. Of a log whose beginning was dropped that state cannot be made again. Snapshots of another log stay: they may be
/// all that one has.
///
/// # Errors
/// [`StoreExists`](WalError::StoreExists) if a store of the log keeps it, [`ReadOnly`](WalError::ReadOnly),
/// [`Config`](WalError::Config) if the store of the log has no place for snapshots, [`Io`](WalError::Io).
pub fn forget(wal: &Wal, name: &str) -> Result<()> {
    wal.with_states(|states| {
        let files = Files::of(wal)?;
        if states.contains_key(name) {
            return Err(WalError::StoreExists {
                name: name.to_owned(),
            });
        }
        files.remove_unfinished(name)?;
        for file in files.list(name)? {
            let read = files.verify(wal, &file);
            if !read.is_err_and(|error| error.is_of_another_log()) {
                files.remove(&file)?;
            }
        }
        Ok(())
    })
}
