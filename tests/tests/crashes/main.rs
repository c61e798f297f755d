//! Power cuts, kills and long lives: what was acknowledged, or has returned, is there.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod calls;
mod campaign;
mod followers;
mod kills;
mod long_life;
mod power;
mod process;
