//! Real kernels: what a log keeps when the power goes under ext4, XFS and Btrfs, when the system calls below it fail,
//! and when the file system is full or read-only.
//!
//! Most of this needs root, loop devices and the programs of `xfsprogs`, `btrfs-progs` and `strace`. Where one of them is
//! missing a test says so and passes; with `WAL_TESTS_KERNELS=required` it fails instead. `WAL_TESTS_SCALE` makes the
//! loops longer.
//!
//! - [`mounts`]: disks, file systems, and how the power of a disk is cut.
//! - [`worker`]: the process that uses a log and says what it was told, [`traced`] perhaps; [`ledger`]: what has to be
//!   there afterwards.
//! - [`power`], [`calls`], [`names`], [`space`]: the tests.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod calls;
mod ledger;
mod mounts;
mod names;
mod power;
mod space;
mod tools;
mod traced;
mod worker;
