//! The peers, one file each. Those that are crates need the feature of their name; `peers` turns on all.
//!
//! Each runs with the settings that make it fastest while it keeps the contract. Where these are not its defaults
//! its file says why. A single-writer peer sits in a mutex, as its users would put it.

#[cfg(feature = "commitlog")]
mod commitlog;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "logdb")]
mod logdb;
mod mutex_file;
#[cfg(feature = "okaywal")]
pub(crate) mod okaywal;
#[cfg(feature = "open-wal")]
mod open_wal;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "walrus")]
pub(crate) mod walrus;
#[cfg(feature = "writeahead")]
mod writeahead;

use crate::contender::Contender;

/// The peers that were compiled in, logs before databases.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(mutex_file::MutexFile),
        #[cfg(feature = "okaywal")]
        Box::new(okaywal::OkayWal),
        #[cfg(feature = "walrus")]
        Box::new(walrus::Walrus),
        #[cfg(feature = "raft-engine")]
        Box::new(raft_engine::RaftEngine),
        #[cfg(feature = "commitlog")]
        Box::new(commitlog::CommitLog),
        #[cfg(feature = "writeahead")]
        Box::new(writeahead::WriteAhead::InTasks),
        #[cfg(feature = "writeahead")]
        Box::new(writeahead::WriteAhead::InThreads),
        #[cfg(feature = "open-wal")]
        Box::new(open_wal::OpenWal),
        #[cfg(feature = "logdb")]
        Box::new(logdb::LogDb),
        #[cfg(feature = "sqlite")]
        Box::new(sqlite::Sqlite),
        #[cfg(feature = "fjall")]
        Box::new(fjall::Fjall),
        #[cfg(feature = "redb")]
        Box::new(redb::Redb),
        #[cfg(feature = "rocksdb")]
        Box::new(rocksdb::RocksDb),
    ]
}
