//! From records to the disk.
//!
//! `writer` is a log that is open for writing. `append` puts records into its staging memory; the thread that has the `turn`
//! writes them to the store in groups and flushes it (`committer`); `commit` has those that wait for that, with `ticket`,
//! `gathering` those that a flush waits for, and `zeros` what makes small commits cheaper.
//! `background` has the two threads that do so unasked, and `room` those that wait for space. `truncate` drops records at
//! both ends, `growth` changes how much staging memory is used, `dictionary` writes the schemas of typed records,
//! `backup` copies a log that is in use, the `turnstile` is for those who have to know of every record, and `counts` for
//! those who look on.

pub(crate) mod append;
pub(crate) mod background;
pub(crate) mod backup;
pub(crate) mod commit;
pub(crate) mod committer;
mod counts;
pub(crate) mod dictionary;
mod gathering;
mod growth;
pub(crate) mod room;
pub(crate) mod ticket;
pub(crate) mod truncate;
pub(crate) mod turn;
pub(crate) mod turnstile;
pub(crate) mod writer;
mod zeros;
