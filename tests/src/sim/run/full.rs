//! What a run does while there is no space.

use std::sync::Arc;

use super::{
    super::log::{Appended, Done, is_full},
    Recorder,
};

impl Recorder {
    /// No space is left: a call is refused, or there was room for it; then there is space again.
    pub(super) fn full(&mut self) -> Done {
        self.fill();
        for _ in 0..1 + self.rng.below(6) {
            match self.rng.below(8) {
                0 => self.sync_when_full()?,
                1 => self.batch_when_full()?,
                2 => return self.cut_when_full(),
                3 => return self.end_when_full(),
                _ => self.append_when_full()?,
            }
        }
        self.disk.heal();
        Ok(())
    }

    fn fill(&self) {
        let used = self.disk.used();
        self.disk.behave(|disk| disk.space = Some(used));
    }

    fn append_when_full(&mut self) -> Done {
        let data = self.data();
        self.push(std::slice::from_ref(&data));
        self.mark(format!("begin append to a full disk, {} bytes", data.len()));
        match self.log().append(&data) {
            Ok(Appended::At(lsn)) => {
                self.learn(&[lsn]);
                self.done("append to a full disk");
                Ok(())
            }
            Ok(Appended::Full) => self.refused(1),
            Err(error) => Err(format!("append to a full disk: {error}")),
        }
    }

    fn batch_when_full(&mut self) -> Done {
        let data = [self.data(), self.data()];
        self.push(&data);
        self.mark("begin batch to a full disk");
        match self.log().append_batch(&data) {
            Some(Ok(lsns)) => {
                self.learn(&lsns);
                self.done("batch to a full disk");
                Ok(())
            }
            Some(Err(error)) if !is_full(&error) => Err(format!("batch to a full disk: {error}")),
            _ => self.refused(data.len()),
        }
    }

    /// Nothing was taken of so many records.
    fn refused(&mut self, count: usize) -> Done {
        let records = Arc::make_mut(&mut self.expect.records);
        records.truncate(records.len() - count);
        self.mark("refused");
        Ok(())
    }

    /// What was taken is kept, and is made durable once there is space.
    fn sync_when_full(&mut self) -> Done {
        self.mark("begin sync of a full disk");
        match self.log().sync() {
            Ok(()) => self.done("sync of a full disk"),
            Err(error) if is_full(&error) => self.mark("refused"),
            Err(error) => return Err(format!("sync of a full disk: {error}")),
        }
        self.disk.heal();
        self.sync()?;
        self.fill();
        Ok(())
    }

    /// Cutting needs space for little or nothing: it goes well, or is refused, or the log says that it is broken.
    fn cut_when_full(&mut self) -> Done {
        let outcome = match self.rng.below(2) {
            0 => self.truncate_after(),
            _ => self.truncate_before(),
        };
        self.disk.heal();
        match outcome {
            Err(error) if error.starts_with("truncate ") => {
                self.mark(format!("cut on a full disk: {error}"));
                if is_full(error.split_once(": ").map_or("", |(_, error)| error)) {
                    self.expect.cut = None;
                    self.expect.heads = [self.expect.heads[0]; 2];
                    return self.sync();
                }
                self.kill()
            }
            other => other,
        }
    }

    /// A cut holds as soon as one copy of the manifest says so. A log that had no space for the other one is broken, and
    /// until it is opened again, nothing stands in for the copy that there is.
    pub(super) fn check_both_copies(&self) -> Done {
        let mut has_space = true;
        self.disk.behave(|disk| has_space = disk.space.is_none());
        let flushed = || self.log().flush().unwrap_or(Ok(()));
        match has_space || flushed().err().is_none_or(|error| is_full(&error)) {
            true => Ok(()),
            false => Err("done, and in one copy of the manifest".to_owned()),
        }
    }

    /// The log is closed or its process dies, and it is opened again, while there is no space.
    fn end_when_full(&mut self) -> Done {
        let log = self.log.take().unwrap();
        if self.rng.below(2) == 0 {
            self.mark("begin close on a full disk");
            match log.close() {
                Ok(()) => {
                    self.expect.durable = self.expect.records.len();
                    self.expect.survive = self.expect.durable;
                    self.certain();
                    self.mark("close on a full disk");
                }
                Err(error) => self.mark(format!("close on a full disk: {error}")),
            }
            self.disk = self.disk.kill();
        } else {
            self.disk = self.disk.kill();
            drop(log);
            self.mark("kill on a full disk");
        }
        self.open_when_full();
        self.recover()
    }

    /// Opens a log while there is no space, or little; whatever comes of it, it can be opened once there is.
    pub(super) fn open_when_full(&mut self) {
        self.mark("begin open on a full disk");
        let opened = self.opening.open(&self.disk);
        let outcome = opened
            .as_ref()
            .map_or_else(String::clone, |_| "opened".to_owned());
        self.disk = self.disk.kill();
        drop(opened);
        self.disk.heal();
        self.mark(format!("open on a full disk: {outcome}"));
    }
}
