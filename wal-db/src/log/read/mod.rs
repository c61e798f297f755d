//! From positions to records.
//!
//! A reader holds a `view`: all that there is of a log that is open for reading only. `scan` is the walk over groups and
//! frames that all others use, with `buffer` and `read_ahead` for its bytes, and `find` for places to begin, with `sectors`
//! where they have to be searched for. `iter`, `tail`, `seek`, `ordinal` and `anchor` are what users walk with.
//! `dictionary` knows the schemas, which `schemas` reads. A `hold` keeps what somebody still needs, and so do the files of
//! consumers.

pub(crate) mod anchor;
pub(crate) mod buffer;
pub(crate) mod consumer_files;
pub(crate) mod dictionary;
pub(crate) mod find;
pub(crate) mod hold;
pub(crate) mod iter;
pub(crate) mod ordinal;
pub(crate) mod read_ahead;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod schemas;
pub(crate) mod sectors;
pub(crate) mod seek;
pub(crate) mod tail;
#[cfg(feature = "futures")]
pub(crate) mod tail_stream;
pub(crate) mod view;
