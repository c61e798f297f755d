//! From records to the disk.
//!
//! `append` puts records into staging memory, `flush` hands them to the store in groups, and `commit` makes groups
//! durable and tells those who wait (`ticket`). `background` has the two threads that do so unasked, and `room` is
//! where appends wait for space. `truncate` drops records at both ends, as far as a `hold` lets it, and `dictionary`
//! writes the schemas of typed records.

pub(crate) mod append;
pub(crate) mod background;
pub(crate) mod backup;
pub(crate) mod closure;
pub(crate) mod commit;
pub(crate) mod dictionary;
pub(crate) mod flush;
pub(crate) mod hold;
pub(crate) mod panics;
pub(crate) mod room;
pub(crate) mod ticket;
pub(crate) mod truncate;
pub(crate) mod turn;
#[cfg(feature = "testing")]
pub(crate) mod watched;
