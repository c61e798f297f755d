//! What runs out for a moment: descriptors, permissions, patience. A log that cannot open or make a file refuses what it
//! cannot take, keeps what it has taken, and goes on later.

mod descriptors;
mod moments;
