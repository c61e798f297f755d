//! Takes the tag of a top-level enum out of the codec's bytes.
//!
//! The envelope says which variant an event is, so only the fields are handed to the codec: serde's position would tie
//! old records to the order of declaration. On the way back the position of the variant in *this* program is put in
//! front of them. A struct passes through unchanged.

mod de;
mod ser;

pub(super) use de::FromFields;
pub(super) use ser::AsFields;
