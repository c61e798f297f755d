//! What stands for the shapes of types.

use std::{any::type_name, collections::HashMap};

use super::cipher::sha256;
use crate::{
    event::schema::{Shape, WalSchema},
    sync::RwLock,
};

/// The shapes of types that were sealed or opened. The lock is their own, so that nobody waits for a flush here.
#[derive(Default)]
pub(super) struct Shapes {
    digests: RwLock<HashMap<TypeAddress, [u8; 8]>>,
}

/// The address of the shape of a type, and that of its name: those of constants.
type TypeAddress = (usize, usize);

impl Shapes {
    /// What stands for the shape of a type.
    pub(super) fn digest<T: WalSchema>(&self) -> [u8; 8] {
        let shape: &'static Shape = T::SCHEMA;
        let at = (std::ptr::from_ref(shape).addr(), type_name::<T>().as_ptr().addr());
        let known = self.digests.read().get(&at).copied();
        known.unwrap_or_else(|| {
            let digest = digest_of(shape);
            self.digests.write().insert(at, digest);
            digest
        })
    }
}

/// The digest of the text of a shape.
pub(super) fn digest_of(shape: &Shape) -> [u8; 8] {
    let digest = sha256(shape.to_string().as_bytes());
    let (start, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    *start
}
