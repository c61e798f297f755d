//! A log that is being written as a copy of another one. What says that it is a log comes last, so a copy that was not
//! finished is none.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::{
    file::check_names_beside,
    fs::{Access, Dir, File, FileSystem, create_dirs, parent, write_at},
    segmented::{MANIFEST, NEW_MANIFEST, STATE, segment_name},
    side::{SideDir, SideFiles},
    sys::System,
    table,
};
use crate::{
    format::{LogId, SEGMENT_HEADER_LEN, SLOT_LEN, segment::SegmentHeader},
    sync::Arc,
};

const HEADER: u64 = 2 * SLOT_LEN as u64;

pub(crate) struct Copy {
    dir: Arc<dyn Dir>,
    /// The file of a log in one file.
    name: OsString,
    path: PathBuf,
    log: LogId,
    /// 0 for a log in one file.
    segment_len: u64,
    /// The file that is being written, and its number.
    open: Option<(u64, Arc<dyn File>)>,
    made: Vec<(u64, OsString)>,
    /// Files beside it.
    side: Option<SideDir>,
    made_beside: Vec<String>,
    is_finished: bool,
}

impl Copy {
    /// Nothing is written over: in one file, the name must be free, and a directory empty.
    pub(crate) fn begin(path: &Path, log: LogId, segment_len: u64) -> io::Result<Copy> {
        let fs = System;
        let dir = match segment_len {
            0 => fs.open_dir(parent(path))?,
            _ => match fs.open_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => create_dirs(&fs, path)?,
                dir => dir?,
            },
        };
        if segment_len > 0 && !dir.list()?.is_empty() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut copy = Copy {
            dir,
            name: path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned(),
            path: path.to_owned(),
            log,
            segment_len,
            open: None,
            made: Vec::new(),
            side: None,
            made_beside: Vec::new(),
            is_finished: false,
        };
        if segment_len == 0 {
            check_names_beside(&*copy.dir, &copy.name)?;
            copy.make(0)?;
        }
        Ok(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn make(&mut self, index: u64) -> io::Result<()> {
        let name = match self.segment_len {
            0 => self.name.clone(),
            _ => segment_name(index).into(),
        };
        let access = Access::New;
        let file = self.dir.open(&name, access)?;
        self.made.push((index, name));
        if self.segment_len > 0 {
            write_at(&*file, 0, &self.header(index).encode())?;
            file.set_len(SEGMENT_HEADER_LEN)?;
        }
        self.open = Some((index, file));
        Ok(())
    }

    fn header(&self, index: u64) -> SegmentHeader {
        SegmentHeader {
            log: self.log,
            index,
            segment_len: self.segment_len,
        }
    }

    /// The file that holds a position, and where in it; positions do not go back.
    fn file_at(&mut self, pos: u64) -> io::Result<(Arc<dyn File>, u64)> {
        let index = pos.checked_div(self.segment_len).unwrap_or(0);
        let is_next = self.open.as_ref().is_none_or(|(open, _)| *open != index);
        if is_next {
            self.close_file(self.segment_len)?;
            self.make(index)?;
        }
        let Some((_, file)) = &self.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let offset = match self.segment_len {
            0 => HEADER + SEGMENT_HEADER_LEN + pos,
            len => SEGMENT_HEADER_LEN + pos % len,
        };
        Ok((file.clone(), offset))
    }

    /// The file that was written has this many bytes of the stream, and is durable.
    fn close_file(&mut self, len: u64) -> io::Result<()> {
        if let Some((_, file)) = self.open.take() {
            let start = if self.segment_len == 0 { HEADER } else { 0 };
            file.set_len(start + SEGMENT_HEADER_LEN + len)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Writes bytes of the stream; zeros become holes.
    pub(crate) fn write(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut pos, mut bytes) = (pos, bytes);
        while !bytes.is_empty() {
            let left = match self.segment_len {
                0 => bytes.len(),
                len => bytes.len().min((len - pos % len) as usize),
            };
            let (part, rest) = bytes.split_at(left);
            let (file, offset) = self.file_at(pos)?;
            if !crate::format::is_zero(part) {
                write_at(&*file, offset, part)?;
            }
            (pos, bytes) = (pos + left as u64, rest);
        }
        Ok(())
    }

    /// Files before that of `pos` are not needed any more.
    pub(crate) fn drop_before(&mut self, pos: u64) -> io::Result<()> {
        if let Some(first) = pos.checked_div(self.segment_len) {
            for (index, name) in &self.made {
                if *index < first {
                    self.dir.remove(name)?;
                }
            }
            self.made.retain(|(index, _)| *index >= first);
        }
        Ok(())
    }

    /// Adds both copies of the table of cuts, durably.
    pub(crate) fn put_table(&mut self, bytes: &[u8]) -> io::Result<()> {
        for copy in 0..2 {
            let mut name = OsString::new();
            if self.segment_len == 0 {
                name.push(&self.name);
                name.push(".");
            }
            name.push(format!("cuts-{copy}"));
            if self.dir.exists(&name)? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.made.push((u64::MAX, name.clone()));
            table::write(&*self.dir, &name, bytes)?;
        }
        Ok(())
    }

    /// Adds a file beside the log, durably, unless it was added before.
    pub(crate) fn put_beside(&mut self, name: &str, content: &mut dyn io::Read) -> io::Result<()> {
        if self.made_beside.iter().any(|made| made == name) {
            return Ok(());
        }
        let side = match &mut self.side {
            Some(side) => side,
            none => {
                let side = match self.segment_len {
                    0 => SideDir::beside(&self.dir, &self.name, &self.path),
                    _ => SideDir::new(self.dir.clone(), STATE, self.path.join(STATE)),
                };
                if side.is_there()? {
                    let what = format!("{} is there already", side.path().display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
                }
                none.insert(side)
            }
        };
        side.create(name, content)?;
        self.made_beside.push(name.to_owned());
        Ok(())
    }

    /// Ends the stream at `end`, and makes it a log: durable, with all its names.
    pub(crate) fn finish(&mut self, end: u64, manifest: &[u8]) -> io::Result<()> {
        let last = end.saturating_sub(1);
        let (file, _) = self.file_at(last)?;
        self.close_file(end - last.checked_rem(self.segment_len).map_or(0, |rest| last - rest))?;
        let file = match self.segment_len {
            0 => {
                write_at(&*file, HEADER, &self.header(0).encode())?;
                file
            }
            _ => {
                self.dir.sync()?;
                let file = self.dir.open(NEW_MANIFEST.as_ref(), Access::New)?;
                self.made.push((u64::MAX, NEW_MANIFEST.into()));
                file
            }
        };
        for slot in [0, SLOT_LEN as u64] {
            write_at(&*file, slot, manifest)?;
        }
        file.sync_all()?;
        if self.segment_len > 0 {
            self.dir.rename(NEW_MANIFEST.as_ref(), MANIFEST.as_ref())?;
            self.made.pop();
            self.made.push((u64::MAX, MANIFEST.into()));
        }
        self.dir.sync()?;
        if self.segment_len > 0 {
            self.dir.sync_own_name()?;
        }
        Ok(())
    }

    /// It is good, and stays.
    pub(crate) fn keep(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Copy {
    /// Of a copy that came to nothing, nothing stays, the manifest least of all.
    fn drop(&mut self) {
        if !self.is_finished {
            for (_, name) in self.made.iter().rev() {
                let _ = self.dir.remove(name);
            }
            if let Some(side) = &self.side {
                side.remove_all(&self.made_beside);
            }
        }
    }
}
