//! A few values, mostly one, which then takes no allocation.

use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Few<T> {
    /// `None` if there are none.
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, next: T) {
        match self.first {
            None => self.first = Some(next),
            Some(_) => self.others.push(next),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.others)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = T> {
        self.first.into_iter().chain(self.others)
    }

    /// The only one, if there is just one.
    pub(super) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.others.is_empty())
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        Few {
            first: all.next(),
            others: all.collect(),
        }
    }
}
