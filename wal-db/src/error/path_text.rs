//! Paths as text: in messages, and in what is serialized, also where one is not Unicode.

use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};

/// A path in a message, if there is one, after a word or two.
pub(super) struct Of<'a>(pub(super) &'static str, pub(super) Option<&'a Path>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(path) => write!(f, "{}{}", self.0, path.display()),
            None => Ok(()),
        }
    }
}

pub(crate) fn one<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

pub(crate) fn optional<S: Serializer, P>(path: &Option<P>, serializer: S) -> Result<S::Ok, S::Error>
where
    P: Deref,
    P::Target: AsRef<Path>,
{
    let text = path.as_ref().map(|path| path.as_ref().to_string_lossy());
    text.serialize(serializer)
}

pub(crate) fn each<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}
