//! How random values are made where a shape does not say enough.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde::Serialize;

use super::told::told;
use crate::event::{schema::Shape, value::Value};

/// How random values are made where a shape does not say which values there are: of `opaque` types and of single places.
///
/// The numbers of std that are never zero and the types of other crates that the build has features for are there.
/// [`check_history!`](super::check_history!) takes more after `strategies`.
///
/// ```
/// use proptest::prelude::*;
/// use wal_db::testing::Strategies;
///
/// let strategies = Strategies::new()
///     .with("sku@1", "[A-Z]{3}-[0-9]{4}")
///     .with("order.cents", 0..1_000_000_u64);
/// ```
#[derive(Clone)]
pub struct Strategies {
    by_name: BTreeMap<String, Strategized>,
}

#[derive(Clone)]
struct Strategized {
    /// As the values are written to a format for programs, and to one for people.
    values: [BoxedStrategy<Value>; 2],
    is_built_in: bool,
}

impl Strategies {
    /// Those of std's types, and of the types of other crates that the build has features for.
    #[must_use]
    pub fn new() -> Self {
        let none = Strategies {
            by_name: BTreeMap::new(),
        };
        let mut known = super::foreign::all(none);
        known
            .by_name
            .values_mut()
            .for_each(|known| known.is_built_in = true);
        known
    }

    /// Adds values of an opaque type, under the name that follows `opaque`, or of a place in an event, such as
    /// `"order.lines.[].sku"`. [`check_history!`](super::check_history!) says what places are called.
    ///
    /// The values are of the type itself, or of anything that is written in the same way.
    #[must_use]
    pub fn with<S>(mut self, name: &str, values: S) -> Self
    where
        S: Strategy + 'static,
        S::Value: Serialize,
    {
        let values = values.boxed();
        let written = |human: bool| {
            let values = values.clone();
            let values =
                values.prop_filter_map("it cannot be written", move |value| told(&value, human).ok());
            values.boxed()
        };
        let known = Strategized {
            values: [written(false), written(true)],
            is_built_in: false,
        };
        self.by_name.insert(name.to_owned(), known);
        self
    }

    /// Adds values of a type that is opaque.
    #[allow(dead_code)] // without a feature that has one
    pub(super) fn of<T, S>(self, values: S) -> Self
    where
        T: crate::WalSchema + Serialize,
        S: Strategy<Value = T> + 'static,
    {
        match T::SCHEMA {
            Shape::Opaque { name, .. } => self.with(name, values),
            _ => self,
        }
    }

    pub(super) fn get(&self, name: &str, human: bool) -> Option<BoxedStrategy<Value>> {
        let known = self.by_name.get(name)?;
        Some(known.values[usize::from(human)].clone())
    }

    /// The names that a program has added.
    pub(super) fn added(&self) -> impl Iterator<Item = &str> {
        let added = self.by_name.iter().filter(|(_, known)| !known.is_built_in);
        added.map(|(name, _)| name.as_str())
    }
}

impl Default for Strategies {
    fn default() -> Self {
        Strategies::new()
    }
}

impl fmt::Debug for Strategies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
