//! Readers in other processes: beside a writer that appends, rotates and truncates they are shown what is there, never
//! hear of damage that is none, and miss nothing.

mod backup;
mod closing;
#[cfg(target_os = "linux")]
mod costs;
mod following;
mod halves;
mod hostile;
mod interleaved;
mod listing;
mod staged;
