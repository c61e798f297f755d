//! Where a log lies on a simulated disk.

use std::path::PathBuf;

use wal_db::{
    Result, Wal, WalConfig,
    testing::sim::{FileId, Image, SimDisk},
};

use crate::files::{FILE_ROW, Form, SEGMENT, SEGMENT_ROW, SLOT};

const NAME: &str = "log";

/// Opens the log of a disk.
///
/// # Errors
/// As [`Wal::open_with`].
pub fn open(disk: &SimDisk, form: Form, config: WalConfig) -> Result<Wal> {
    match form {
        Form::File => disk.open(NAME, config),
        Form::Segmented => disk.open_segmented(NAME, SEGMENT, config),
    }
}

/// The file that holds a byte of the stream, and where in it.
#[must_use]
pub fn locate(form: Form, pos: usize) -> (PathBuf, usize) {
    match form {
        Form::File => (NAME.into(), FILE_ROW as usize + pos),
        Form::Segmented => {
            let segment = SEGMENT as usize;
            let name = format!("{NAME}/{:010}.seg", pos / segment);
            (name.into(), SEGMENT_ROW as usize + pos % segment)
        }
    }
}

/// The file that holds a copy of the manifest, and where in it.
#[must_use]
pub fn locate_slot(form: Form, slot: usize) -> (PathBuf, usize) {
    let name = match form {
        Form::File => NAME.to_owned(),
        Form::Segmented => format!("{NAME}/manifest"),
    };
    (name.into(), slot * SLOT as usize)
}

/// Whether all of the stream before `end` is there.
#[must_use]
pub fn holds(image: &Image, form: Form, end: usize) -> bool {
    let (path, offset) = locate(form, end.saturating_sub(1));
    image.file(path).is_some_and(|file| file.len() > offset)
}

/// Which byte of the stream lies at a place in a file.
#[must_use]
pub fn stream_pos(image: &Image, form: Form, file: FileId, pos: usize) -> Option<usize> {
    let (path, _) = image.names.iter().find(|(_, id)| **id == Some(file))?;
    match form {
        Form::File => pos.checked_sub(FILE_ROW as usize),
        Form::Segmented => {
            let name = path.file_name()?.to_str()?;
            let index: usize = name.strip_suffix(".seg")?.parse().ok()?;
            Some(index * SEGMENT as usize + pos.checked_sub(SEGMENT_ROW as usize)?)
        }
    }
}
