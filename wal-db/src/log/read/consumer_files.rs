//! The files in which consumers are kept, beside the log.

use std::{collections::BTreeSet, io};

use crate::{
    error::{ConsumerError, Result, WalError},
    format::{
        LogId,
        consumer::{ConsumerFault, ConsumerTable, cursor_slot, file_name, may_be_one, name_and_number},
    },
    lsn::Lsn,
    position::Position,
    storage::{Reading, SideFiles, side_error},
    sync::Arc,
};

/// What is kept of a consumer, and the number of the file.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) table: ConsumerTable,
    pub(crate) cursor: Position,
}

impl Kept {
    /// The first record that the consumer needs.
    pub(crate) fn needed_from(&self) -> Lsn {
        let parked = self.table.parked.iter().map(|letter| Lsn::new(letter.lsn));
        parked.fold(self.cursor.lsn(), Lsn::min)
    }
}

/// A file of a consumer, for a backup.
pub(crate) struct Copy {
    pub(crate) file: String,
    pub(crate) bytes: Vec<u8>,
    /// Of which log it is, and the first record that the consumer needs of that.
    pub(crate) needs: Option<(LogId, Lsn)>,
}

pub(crate) struct ConsumerFiles {
    files: Arc<dyn SideFiles>,
}

impl ConsumerFiles {
    pub(crate) fn new(files: Arc<dyn SideFiles>) -> Self {
        ConsumerFiles { files }
    }

    fn error(&self, context: &'static str, file: Option<&str>) -> impl FnOnce(io::Error) -> WalError + use<> {
        side_error(&*self.files, context, file)
    }

    fn list(&self) -> Result<Vec<String>> {
        let error = self.error("listing the consumers", None);
        self.files.list().map_err(error)
    }

    /// The names of all that are kept.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>> {
        let listed = self.list()?;
        let names = listed.iter().filter_map(|file| name_and_number(file));
        Ok(names.map(|(name, _)| name.to_owned()).collect())
    }

    /// The numbers of a consumer's files, lowest first.
    fn numbers(&self, name: &str) -> Result<Vec<u64>> {
        let listed = self.list()?;
        let own = listed.iter().filter_map(|file| name_and_number(file));
        let own = own.filter(|(own, _)| *own == name);
        let mut numbers: Vec<u64> = own.map(|(_, number)| number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What is kept of a consumer; `None` if nothing is.
    pub(crate) fn load(&self, name: &str) -> Result<Option<Kept>> {
        let newest = self.newest(name)?;
        newest
            .map(|(number, bytes)| decode(name, number, &bytes))
            .transpose()
    }

    /// The file of a consumer that counts: its number, and what is in it.
    fn newest(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>> {
        let mut gone = None;
        loop {
            let Some(&number) = self.numbers(name)?.last() else {
                return Ok(None);
            };
            let file = file_name(name, number);
            match self.read(&file) {
                // A newer one was made meanwhile, by another process.
                Err(error) if error.kind() == io::ErrorKind::NotFound && gone != Some(number) => {
                    gone = Some(number);
                }
                Err(error) => {
                    return Err(self.error("reading what is kept of a consumer", Some(&file))(
                        error,
                    ));
                }
                Ok(bytes) => return Ok(Some((number, bytes))),
            }
        }
    }

    /// Returns once all that is kept of consumers survives power loss.
    pub(crate) fn sync(&self) -> Result<()> {
        let error = self.error("making durable what is kept of consumers", None);
        self.files.sync().map_err(error)
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let content = self.files.open(file)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut Reading::of(&*content), &mut bytes)?;
        Ok(bytes)
    }

    /// The files of all consumers as they are now, and what each needs, if that can be read.
    pub(crate) fn copies(&self) -> Result<Vec<Copy>> {
        let mut copies = Vec::new();
        for name in self.names()? {
            if let Some((number, bytes)) = self.newest(&name)? {
                let kept = decode(&name, number, &bytes).ok();
                copies.push(Copy {
                    file: file_name(&name, number),
                    bytes,
                    needs: kept.map(|kept| (kept.cursor.log, kept.needed_from())),
                });
            }
        }
        Ok(copies)
    }

    /// Makes a file, durably, and removes those before it.
    pub(crate) fn store(&self, name: &str, number: u64, table: &ConsumerTable) -> Result<()> {
        let file = file_name(name, number);
        let error = self.error("writing what is kept of a consumer", Some(&file));
        self.files
            .create(&file, &mut &table.encode()[..])
            .map_err(error)?;
        // Those that stay are passed over, and removed the next time.
        let numbers = self.numbers(name).unwrap_or_default();
        for older in numbers.into_iter().filter(|&older| older < number) {
            let _ = self.files.remove(&file_name(name, older));
        }
        Ok(())
    }

    /// Saves where a consumer is, for the time `saves`, in the file that it has.
    pub(crate) fn save(
        &self,
        name: &str,
        number: u64,
        saves: u64,
        cursor: &Position,
    ) -> Result<(), io::Error> {
        let (offset, slot) = cursor_slot(saves, &cursor.to_bytes());
        self.files.write_at(&file_name(name, number), offset, &slot)
    }

    /// Removes what is kept of a consumer, durably.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let error = || self.error("removing what is kept of a consumer", None);
        // The newest one last: after a crash, the one that is left is not older than what was there.
        for number in self.numbers(name)? {
            self.files.remove(&file_name(name, number)).map_err(error())?;
        }
        for file in self.list()? {
            let is_unfinished = file
                .strip_suffix(".new")
                .and_then(name_and_number)
                .is_some_and(|(own, _)| own == name);
            if is_unfinished
                && self
                    .read(&file)
                    .is_ok_and(|bytes| may_be_one(&bytes[..bytes.len().min(8)]))
            {
                self.files.remove(&file).map_err(error())?;
            }
        }
        self.files.sync().map_err(error())
    }
}

fn decode(name: &str, number: u64, bytes: &[u8]) -> Result<Kept> {
    let (name, file) = (name.to_owned(), file_name(name, number));
    let damaged = |offset, what| ConsumerError::Damaged {
        name: name.clone(),
        file: file.clone(),
        offset,
        what,
    };
    let table = ConsumerTable::decode(bytes).map_err(|fault| match fault {
        ConsumerFault::Damaged { offset, what } => damaged(offset, what),
        ConsumerFault::Version { version, features } => ConsumerError::NewerFormat {
            name: name.clone(),
            file: file.clone(),
            version,
            features,
        },
    })?;
    let cursor = Position::from_bytes(&table.cursor);
    let cursor = cursor.map_err(|_| damaged(512, "the cursor is no position"))?;
    Ok(Kept {
        number,
        table,
        cursor,
    })
}
