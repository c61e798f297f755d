//! What `wal-db` and its derive macros both know of an event: its name and id, its shape, and the line that it has in
//! `wal.lock`. Programs use `wal_db`, which re-exports what they need of it.

#![forbid(unsafe_code)]

mod lock;
mod name;
mod parse;
mod part;
mod print;
mod shape;
mod text;

pub use lock::{BadLine, LockLine};
pub use name::{name_problem, type_id};
pub use parse::ShapeError;
pub use part::Part;
#[doc(hidden)]
pub use print::same;
pub use shape::{Shape, ShapeField, ShapeItem, ShapeVariant};
pub use text::list;
