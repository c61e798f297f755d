//! Which events are meant.

use std::{borrow::Cow, fmt};

use super::{few::Few, term::Terms};
use crate::{
    error::{Result, TypedError},
    event::{
        EventType, MetaRef,
        meta::{STREAM_KEYS, StreamKey},
    },
    format::envelope::{COMMAND_ID, Envelope, TAG, put_entry, take_entry},
};

/// Events that are meant: those that one of its [items](Item) means.
///
/// ```
/// use wal_db::index::{Item, Query};
///
/// let of_course = Item::of(["course.opened", "course.resized"]).tag("course:7");
/// let of_student = Item::any().tag("student:12");
/// let either = of_course.or(of_student);
/// let account: Query = Item::any().stream("account-7").into();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Query {
    items: Few<Item>,
}

/// Events of one of some types, or of any, that have all of some tags, and are in a stream if one is named.
///
/// It goes by what stands in the header of a record: the type as which it was stored, under its name of today or an earlier
/// one, and the metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[must_use]
pub struct Item {
    /// `None` for any.
    types: Option<Vec<String>>,
    /// What the metadata must have, as it is stored.
    entries: Vec<u8>,
}

impl Item {
    /// Events of any type.
    pub fn any() -> Self {
        Item::default()
    }

    /// Events of one of these types, by their full names, such as `bank.opened`. Of none of them, if none is named: that
    /// means no event at all.
    pub fn of<N: Into<String>>(types: impl IntoIterator<Item = N>) -> Self {
        Item {
            types: Some(types.into_iter().map(Into::into).collect()),
            entries: Vec::new(),
        }
    }

    /// Only those that have this tag as well.
    pub fn tag(self, tag: impl AsRef<str>) -> Self {
        self.with(TAG, tag.as_ref().as_bytes())
    }

    /// Only those in this stream. A later call replaces an earlier one.
    pub fn stream<'k>(mut self, key: impl Into<StreamKey<'k>>) -> Self {
        for key in STREAM_KEYS {
            take_entry(&mut self.entries, key);
        }
        key.into().with_entry(|key, value| self.with(key, value))
    }

    fn with(mut self, key: u8, value: &[u8]) -> Self {
        if !put_entry(&mut self.entries, key, value) {
            // No event has so much.
            self.types = Some(Vec::new());
        }
        self
    }

    fn entries(&self) -> MetaRef<'_> {
        MetaRef { bytes: &self.entries }
    }

    /// Events that this one means or the other one.
    pub fn or(self, other: Item) -> Query {
        Query::from(self).or(other)
    }
}

impl Query {
    /// Events that the query means or this item.
    pub fn or(mut self, item: Item) -> Self {
        self.items.push(item);
        self
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(super) fn into_items(self) -> Few<Item> {
        self.items
    }
}

impl From<Item> for Query {
    fn from(item: Item) -> Self {
        Query {
            items: Few::One(item),
        }
    }
}

/// Of no item, no event is meant.
impl FromIterator<Item> for Query {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        Query {
            items: items.into_iter().collect(),
        }
    }
}

impl From<&Query> for Query {
    fn from(query: &Query) -> Self {
        query.clone()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.items.iter().enumerate() {
            if i > 0 {
                f.write_str(", or ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.types {
            None => f.write_str("any event")?,
            Some(types) => write!(f, "an event of type {}", types.join(" or "))?,
        }
        let stream = self.entries().stream().map(|stream| format!("stream `{stream}`"));
        let tags = self.entries().tags().map(|tag| format!("tag `{tag}`"));
        for (i, entry) in stream.into_iter().chain(tags).enumerate() {
            let before = if i == 0 { " with " } else { " and " };
            write!(f, "{before}{entry}")?;
        }
        Ok(())
    }
}

/// An [`Item`] as it is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'q> {
    types: Option<Vec<u32>>,
    entries: Cow<'q, [u8]>,
    /// Those of the entries.
    terms: Few<u64>,
}

impl<'q> Wanted<'q> {
    /// Looked for among events of these types.
    #[inline]
    pub(super) fn of(item: &'q Item, known: &'static [EventType], terms: &Terms) -> Result<Self> {
        let types = match &item.types {
            None => None,
            Some(names) => {
                let ids = names.iter().map(|name| ids_of(name, known));
                Some(ids.collect::<Result<Vec<_>, _>>()?.concat())
            }
        };
        Ok(Wanted::new(types, Cow::Borrowed(&item.entries), terms))
    }

    /// Events of a command.
    pub(super) fn command(id: [u8; 16], terms: &Terms) -> Self {
        let mut entries = Vec::new();
        put_entry(&mut entries, COMMAND_ID, &id);
        Wanted::new(None, Cow::Owned(entries), terms)
    }

    fn new(types: Option<Vec<u32>>, entries: Cow<'q, [u8]>, terms: &Terms) -> Self {
        let of_entries = MetaRef { bytes: &entries }
            .entries()
            .map(|(key, value)| terms.of_entry(key, value));
        Wanted {
            types,
            terms: of_entries.collect(),
            entries,
        }
    }

    pub(super) fn into_owned(self) -> Wanted<'static> {
        Wanted {
            entries: Cow::Owned(self.entries.into_owned()),
            ..self
        }
    }

    /// The terms that an event must have, all of them.
    #[inline]
    pub(super) fn terms(&self) -> &[u64] {
        self.terms.as_slice()
    }

    /// The terms of an event with this metadata, if that is just what is wanted.
    pub(super) fn terms_of(&self, meta: &MetaRef<'_>) -> Option<&Few<u64>> {
        (*self.entries == *meta.bytes).then_some(&self.terms)
    }

    /// The only term that an event must have.
    pub(super) fn only_term(&self) -> Option<u64> {
        self.terms.only().copied()
    }

    /// Of these types, those that are wanted.
    pub(super) fn of_types(&self, types: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u32> {
        types.into_iter().filter(|id| self.has_type(*id))
    }

    /// Whether it is looked up by one term, and every event that has that is wanted.
    pub(super) fn is_one_term(&self) -> bool {
        self.only_term().is_some() && self.types.is_none()
    }

    pub(super) fn has_type(&self, type_id: u32) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&type_id))
    }

    /// Whether an event is one of those.
    pub(super) fn is(&self, envelope: &Envelope<'_>) -> bool {
        let mut entries = MetaRef { bytes: &self.entries }.entries();
        self.has_type(envelope.info.type_id)
            && entries.all(|wanted| envelope.meta.entries().any(|entry| entry == wanted))
    }
}

/// Under which ids a type may be stored.
fn ids_of(name: &str, known: &'static [EventType]) -> Result<Vec<u32>, TypedError> {
    match known.iter().find(|known| known.name == name) {
        Some(known) => Ok(known.ids().collect()),
        None => Err(TypedError::NoSuchType {
            name: name.to_owned(),
            known: known.iter().map(|known| known.name).collect(),
        }),
    }
}
