//! Errors of the system after which everything is as it was.

use std::{fmt, io};

/// A file could not be opened, made or removed, because a descriptor or a permission is missing: nothing was changed,
/// and it may work later. Wraps what the system said.
#[derive(Debug)]
pub(crate) struct ForNow(io::Error);

impl ForNow {
    pub(crate) fn error(source: io::Error) -> io::Error {
        if is_full(&source) {
            return source;
        }
        io::Error::new(source.kind(), ForNow(source))
    }
}

impl fmt::Display for ForNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ForNow {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// What a flush has returned. For a flush, "full" is a failure like any other: what was to be durable may be lost.
pub(crate) fn for_good(result: io::Result<()>) -> io::Result<()> {
    result.map_err(io::Error::other)
}

/// Whether an error only says that there is no space at the moment.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Whether the call that failed has changed nothing and may work later.
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    is_full(error) || error.get_ref().is_some_and(|error| error.is::<ForNow>())
}
