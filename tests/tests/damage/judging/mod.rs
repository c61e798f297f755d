//! What `verify`, `salvage` and `inspect` say of logs: healthy ones beside a writer, damaged ones, ones that another
//! implementation has written, and files that are somebody else's.

mod beside;
mod copies;
mod files;
mod forge;
mod groups;
mod halves;
#[cfg(target_os = "linux")]
mod holes;
mod kept;
mod later;
mod rules;
mod stores;
