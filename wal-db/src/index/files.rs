//! The files in which runs of an index are, beside the log.

use std::{cmp::Reverse, io};

use super::{
    noted::BrokenRun,
    run::{GoOn, OpenRun, ends_of, with_entries},
};
use crate::{
    error::{Result, WalError},
    format::run::{RunBytes, RunFault, RunHeader, file_name, from_and_to, may_be_one},
    log::Wal,
    lsn::Lsn,
    position::Position,
    storage::{SideFiles, side_error},
    sync::Arc,
};

/// Content that ends with an error if it is not to go on.
struct Checked<'g, R> {
    content: R,
    go_on: GoOn<'g>,
}

impl<R: io::Read> io::Read for Checked<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (self.go_on)()?;
        self.content.read(buf)
    }
}

/// What to do with a file that is there.
enum Found {
    Usable(Box<OpenRun>),
    /// It is of no use to this log, and why.
    Useless(String),
    /// It is not this log's, or of a later release.
    Foreign,
}

/// The files of an index.
pub(super) struct Files {
    files: Arc<dyn SideFiles>,
}

impl Files {
    /// Those beside a log, if its store can have some.
    pub(super) fn of(wal: &Wal) -> Result<Option<Files>> {
        Ok(wal.side_files()?.map(|files| Files { files }))
    }

    pub(super) fn error(
        &self,
        context: &'static str,
        file: Option<&str>,
    ) -> impl FnOnce(io::Error) -> WalError + use<> {
        side_error(&*self.files, context, file)
    }

    /// The runs that can be used, in their order, none of which overlaps another. Those of this log that are of no use, now
    /// and later, are removed; why the last one was.
    pub(super) fn open(&self, wal: &Wal) -> Result<(Vec<OpenRun>, Option<String>)> {
        let listed = self
            .files
            .list()
            .map_err(self.error("listing the runs of an index", None))?;
        for name in &listed {
            let is_unfinished = name
                .strip_suffix(".new")
                .is_some_and(|name| from_and_to(name).is_some());
            if is_unfinished && self.begins_as_one(name) {
                self.remove(name);
            }
        }
        let mut names: Vec<(u64, Reverse<u64>, &String)> = listed
            .iter()
            .filter_map(|name| from_and_to(name).map(|(from, to)| (from, Reverse(to), name)))
            .collect();
        // Of those that begin at one place, the longest comes first.
        names.sort_unstable();
        let head = wal.status().head;
        let (mut runs, mut useless) = (Vec::<OpenRun>::new(), None);
        for (_, _, name) in names {
            match self.look(wal, name)? {
                Found::Usable(run)
                    if run.to() > head && runs.last().is_none_or(|last| last.to() <= run.from()) =>
                {
                    runs.push(*run);
                }
                Found::Usable(_) => self.remove(name),
                Found::Useless(why) => {
                    self.remove(name);
                    useless = Some(format!("{name}: {why}"));
                }
                Found::Foreign => {}
            }
        }
        Ok((runs, useless))
    }

    fn look(&self, wal: &Wal, name: &str) -> Result<Found> {
        let run = match OpenRun::open(&*self.files, name) {
            Ok(run) => run,
            Err(RunFault::Version { .. }) => return Ok(Found::Foreign),
            Err(RunFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Foreign),
            Err(RunFault::Io(error)) => {
                return Err(self.error("reading a run of an index", Some(name))(error));
            }
            Err(fault) if self.begins_as_one(name) => return Ok(Found::Useless(fault.to_string())),
            Err(RunFault::Damaged { .. }) => return Ok(Found::Foreign),
        };
        let Ok(position) = Position::from_bytes(&run.run.header.position) else {
            return Ok(Found::Useless("its position was changed".to_owned()));
        };
        match wal.seek(position) {
            Ok(_) => Ok(Found::Usable(Box::new(run))),
            Err(WalError::OtherLog { .. }) => Ok(Found::Foreign),
            // What comes before a cut can be of another history as well: nothing is left to tell that.
            Err(
                error @ (WalError::CutBack { .. }
                | WalError::Diverged { .. }
                | WalError::BeyondEnd { .. }
                | WalError::Truncated { .. }),
            ) => Ok(Found::Useless(error.to_string())),
            Err(error) => Err(error),
        }
    }

    fn begins_as_one(&self, name: &str) -> bool {
        let mut start = [0; 8];
        let read = self.files.open(name).and_then(|file| file.read_at(0, &mut start));
        read.is_ok_and(|len| may_be_one(&start[..len]))
    }

    /// Writes runs that lie one after another as one into a file, durably, without what comes before `head`; `position` is
    /// where they end. Theirs stay.
    pub(super) fn write(
        &self,
        runs: &[Arc<OpenRun>],
        position: Position,
        head: Lsn,
        go_on: GoOn<'_>,
    ) -> Result<Result<OpenRun>, BrokenRun> {
        let (from, to) = ends_of(runs, head);
        let header = RunHeader {
            position: position.to_bytes(),
            from: from.get(),
            to: to.get(),
        };
        let name = file_name(header.from, header.to);
        let created = with_entries(runs, head, |entries, most_terms| {
            let content = RunBytes::new(header, entries, most_terms);
            self.files.create(&name, &mut Checked { content, go_on })
        })?;
        let opened = created
            .map_err(self.error("writing a run of an index", Some(&name)))
            .and_then(|()| {
                let opened = OpenRun::open(&*self.files, &name);
                let error = self.error("reading a run of an index", Some(&name));
                opened.map_err(|fault| error(io::Error::other(fault)))
            });
        Ok(opened)
    }

    /// What to say of a run that cannot be read.
    pub(super) fn broken(&self, broken: &BrokenRun) -> WalError {
        let BrokenRun { run, fault } = broken;
        self.error("reading a run of an index", run.name())(io::Error::other(fault.to_string()))
    }

    /// Removes the file of a run, if it is in one. If that fails, it is tried when the log is indexed the next time.
    pub(super) fn remove_run(&self, run: &OpenRun) {
        if let Some(name) = run.name() {
            self.remove(name);
        }
    }

    fn remove(&self, name: &str) {
        let _ = self.files.remove(name);
    }
}
