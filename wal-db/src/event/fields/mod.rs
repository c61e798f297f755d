//! Takes the tag of a top-level enum out of the codec's bytes.
//!
//! The envelope already says which variant an event is, by name. Storing serde's position beside it would tie
//! old records to the order of declaration, so only the fields are handed to the codec: a unit variant as a
//! unit, a newtype variant as its inner value, a tuple variant as a tuple, a struct variant as a struct. On
//! the way back the position of the variant in *this* program is put in front of them. A struct passes
//! through unchanged.

mod de;
mod ser;

pub(super) use de::FromFields;
pub(super) use ser::AsFields;
