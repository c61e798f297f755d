//! What the outcome of a call says of its record: absent, in doubt, or there; and what a closed log still does.

mod closed;
mod full;
mod idle;
mod opening;
mod reports;
mod table;
