//! What a shape is made of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A part of a shape: of a constant, or of a shape that was read from text. Both look and compare the same.
pub enum Part<T: ?Sized + 'static> {
    /// Of a constant.
    Static(&'static T),
    /// Of what was read.
    Owned(Box<T>),
}

impl<T: ?Sized + 'static> Part<T> {
    /// The part, in constants too.
    #[must_use]
    pub const fn get(&self) -> &T {
        match self {
            Part::Static(part) => part,
            Part::Owned(part) => part,
        }
    }
}

impl<T: ?Sized + 'static> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get()
    }
}

impl<T: ?Sized + 'static> Clone for Part<T>
where
    Box<T>: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Part::Static(part) => Part::Static(part),
            Part::Owned(part) => Part::Owned(part.clone()),
        }
    }
}

impl<T: ?Sized + 'static + PartialEq> PartialEq for Part<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + 'static + Eq> Eq for Part<T> {}

impl<T: ?Sized + 'static + Hash> Hash for Part<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized + 'static + fmt::Debug> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + 'static + fmt::Display> fmt::Display for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> From<T> for Part<T> {
    fn from(part: T) -> Self {
        Part::Owned(Box::new(part))
    }
}

impl<T> From<Vec<T>> for Part<[T]> {
    fn from(parts: Vec<T>) -> Self {
        Part::Owned(parts.into())
    }
}

impl From<String> for Part<str> {
    fn from(text: String) -> Self {
        Part::Owned(text.into())
    }
}
