//! A few values, mostly one, which then takes no allocation.

use std::{fmt, slice};

#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// Two at least.
    Many(Vec<T>),
}

impl<T> Few<T> {
    #[inline]
    pub(super) fn push(&mut self, next: T) {
        match self {
            Few::None => *self = Few::One(next),
            Few::One(_) => {
                let mut all = Vec::new();
                std::mem::take(self).for_each(|one| all.push(one));
                all.push(next);
                *self = Few::Many(all);
            }
            Few::Many(all) => all.push(next),
        }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(one) => slice::from_ref(one),
            Few::Many(all) => all,
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    pub(super) fn iter_mut(&mut self) -> slice::IterMut<'_, T> {
        match self {
            Few::None => [].iter_mut(),
            Few::One(one) => slice::from_mut(one).iter_mut(),
            Few::Many(all) => all.iter_mut(),
        }
    }

    /// Calls `take` with each.
    #[inline]
    pub(super) fn for_each(self, mut take: impl FnMut(T)) {
        match self {
            Few::None => {}
            Few::One(one) => take(one),
            Few::Many(all) => all.into_iter().for_each(take),
        }
    }

    /// The only one, if there is just one.
    pub(super) fn only(&self) -> Option<&T> {
        match self {
            Few::One(one) => Some(one),
            Few::None | Few::Many(_) => None,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut few = Few::default();
        all.into_iter().for_each(|next| few.push(next));
        few
    }
}
