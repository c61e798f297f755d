//! Names: directories and files that are moved, linked, replaced or taken away while a log is open; descriptors and
//! permissions that run out for a moment; and the stores that a program brings along.

mod places;
mod stores;
