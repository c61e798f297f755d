//! What reading one value may cost. A damaged schema can claim arrays of any length, values that hold themselves
//! without taking a byte, and names as long as the record that it stands in.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use serde::de::Error;

/// Parts of a value that each byte of it pays for: the byte, and the structs, tuples and arrays around it.
const PARTS_PER_BYTE: usize = 8;

/// Parts that a value may have beyond those.
const SPARE_PARTS: usize = 1024;

/// A name costs as much as this many of its bytes fit into it, because it is printed with every value.
const NAME_BYTES_PER_PART: usize = 32;

pub(super) struct Budget {
    parts_left: Cell<usize>,
    names: RefCell<HashMap<*const str, Arc<str>>>,
    /// Kept beside serde's error, because not every codec keeps the words of one.
    failure: RefCell<Option<String>>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Budget {
            parts_left: Cell::new(bytes.saturating_mul(PARTS_PER_BYTE).saturating_add(SPARE_PARTS)),
            names: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    pub(super) fn take<E: Error>(&self) -> Result<(), E> {
        self.take_many(1)
    }

    fn take_many<E: Error>(&self, parts: usize) -> Result<(), E> {
        match self.parts_left.get().checked_sub(parts) {
            Some(left) => {
                self.parts_left.set(left);
                Ok(())
            }
            None => Err(self.fail("by its schema the value has far more parts than bytes")),
        }
    }

    /// Pays for a name of the schema; each is allocated once.
    pub(super) fn name<E: Error>(&self, name: &str) -> Result<Arc<str>, E> {
        self.take_name(name)?;
        let mut names = self.names.borrow_mut();
        Ok(Arc::clone(
            names
                .entry(std::ptr::from_ref(name))
                .or_insert_with(|| Arc::from(name)),
        ))
    }

    pub(super) fn take_name<E: Error>(&self, name: &str) -> Result<(), E> {
        self.take_many(name.len() / NAME_BYTES_PER_PART)
    }

    /// An error in our words; the first one is kept.
    pub(super) fn fail<E: Error>(&self, message: impl Display) -> E {
        let message = message.to_string();
        let error = E::custom(&message);
        self.failure.borrow_mut().get_or_insert(message);
        error
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.take()
    }
}
