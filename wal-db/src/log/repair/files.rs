//! The files of a log, by their places, whatever is in them.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Result, WalError},
    format::{
        LogId, SLOT_LEN,
        manifest::Copies,
        segment::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentFault, SegmentHeader},
        staging::{STAGING_HEADER_LEN, StagingHeader},
    },
    storage::{
        fs::{Access, Dir, File, FileSystem, parent, read_at},
        is_not_a_file, segment_index, segment_name,
    },
    sync::Arc,
};

/// Where the stream's bytes start in a log that is one file.
const STREAM: u64 = 2 * SLOT_LEN as u64 + SEGMENT_HEADER_LEN;

const MANIFEST: &str = "manifest";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In one file.
    File,
    /// In a directory, in segments.
    Directory,
}

pub(super) struct LogFiles {
    /// The directory of the log, or the one that its file is in.
    dir: Arc<dyn Dir>,
    /// Of the log.
    path: PathBuf,
    pub(super) form: Form,
}

impl LogFiles {
    pub(super) fn at(fs: &dyn FileSystem, path: &Path) -> Result<LogFiles> {
        let (dir, form) = match fs.open_dir(path) {
            Ok(dir) => (dir, Form::Directory),
            Err(_) => {
                let above = fs.open_dir(parent(path));
                (
                    above.map_err(WalError::io("opening the log's directory"))?,
                    Form::File,
                )
            }
        };
        Ok(LogFiles {
            dir,
            path: path.to_owned(),
            form,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn dir(&self) -> &dyn Dir {
        &*self.dir
    }

    /// The file that has a name in the log's directory, or a longer name than the log.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        match self.form {
            Form::Directory => self.path.join(name),
            Form::File => self.path.with_file_name(self.name(name)),
        }
    }

    pub(super) fn name(&self, name: &str) -> OsString {
        match self.form {
            Form::Directory => name.into(),
            Form::File => {
                let mut longer = self.path.file_name().unwrap_or_default().to_owned();
                longer.push(".");
                longer.push(name);
                longer
            }
        }
    }

    fn log_name(&self) -> OsString {
        self.path.file_name().unwrap_or_default().to_owned()
    }

    /// The file that the manifest is in.
    pub(super) fn manifest_name(&self) -> OsString {
        match self.form {
            Form::Directory => MANIFEST.into(),
            Form::File => self.log_name(),
        }
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        match self.form {
            Form::Directory => self.path.join(MANIFEST),
            Form::File => self.path.clone(),
        }
    }

    pub(super) fn segment_name(&self, segment: u64) -> OsString {
        match self.form {
            Form::Directory => segment_name(segment).into(),
            Form::File => self.log_name(),
        }
    }

    pub(super) fn segment_path(&self, segment: u64) -> PathBuf {
        match self.form {
            Form::Directory => self.path.join(segment_name(segment)),
            Form::File => self.path.clone(),
        }
    }

    /// Where the header of a segment is in its file.
    pub(super) fn header_offset(&self) -> u64 {
        self.stream_offset() - SEGMENT_HEADER_LEN
    }

    /// Where the stream starts in the file of a segment.
    pub(super) fn stream_offset(&self) -> u64 {
        match self.form {
            Form::Directory => SEGMENT_HEADER_LEN,
            Form::File => STREAM,
        }
    }

    /// `None` if nothing has the name, or what has it is no file.
    pub(super) fn open_segment(&self, segment: u64, access: Access) -> io::Result<Option<Arc<dyn File>>> {
        match self.dir.open(&self.segment_name(segment), access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_not_a_file(&error) => Ok(None),
            file => file.map(Some),
        }
    }

    /// How many bytes of the stream are in the file of a segment, if there is one.
    pub(super) fn stream_len(&self, segment: u64) -> io::Result<Option<u64>> {
        let file = self.open_segment(segment, Access::Read)?;
        let len = file.map(|file| file.len()).transpose()?;
        Ok(len.map(|len| len.saturating_sub(self.stream_offset())))
    }

    /// The segments that are there by their names, in order; of a log in one file, that one.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        if self.form == Form::File {
            return Ok(vec![0]);
        }
        let names = self.dir.list()?;
        let mut segments: Vec<u64> = names
            .iter()
            .filter_map(|name| segment_index(name.to_str()?))
            .collect();
        segments.sort_unstable();
        Ok(segments)
    }

    /// The header of a segment; `None` if there is no such file.
    pub(super) fn header(
        &self,
        segment: u64,
    ) -> io::Result<Option<std::result::Result<SegmentHeader, SegmentFault>>> {
        let Some(file) = self.open_segment(segment, Access::Read)? else {
            return Ok(None);
        };
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let got = read_at(&*file, self.header_offset(), &mut bytes)?;
        Ok(Some(SegmentHeader::decode(&bytes[..got])))
    }

    /// A copy of the manifest, or of the table of cuts; no bytes if it is not there.
    pub(super) fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        let (name, offset, most) = match slot.checked_sub(2) {
            Some(copy) => (self.name(&format!("cuts-{copy}")), 0, usize::MAX),
            None => (self.manifest_name(), slot as u64 * SLOT_LEN as u64, SLOT_LEN),
        };
        let file = match self.dir.open(&name, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_not_a_file(&error) => {
                return Ok(Vec::new());
            }
            file => file?,
        };
        let there = usize::try_from(file.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; there.min(most)];
        let got = read_at(&*file, offset, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    pub(super) fn copies(&self) -> io::Result<Copies> {
        Ok(Copies::decode(&[self.read_slot(0)?, self.read_slot(1)?]))
    }

    pub(super) fn staging_path(&self) -> PathBuf {
        self.place("staging")
    }

    pub(super) fn staging(&self) -> io::Result<Option<fs::File>> {
        self.dir.staging(&self.name("staging"), false)
    }

    /// What the staging file says of itself, if it is that of this log.
    pub(super) fn staging_header(&self, log: LogId) -> Option<StagingHeader> {
        let file = self.dir.open(&self.name("staging"), Access::Read).ok()?;
        let mut head = vec![0; STAGING_HEADER_LEN as usize];
        read_at(&*file, 0, &mut head).ok()?;
        StagingHeader::decode(&head).filter(|header| header.log == log)
    }
}
