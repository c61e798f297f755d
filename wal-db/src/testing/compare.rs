//! What an event of an earlier version was, beside what it is today: the places that both have.

use std::borrow::Cow;
use std::collections::HashMap;

use super::places::Named;
use crate::event::{
    probe::unordered,
    schema::{Shape, ShapeVariant},
    value::Value,
};

/// Two elements keep their order by chance in half of the trials.
const ORDER_TRIALS: u32 = 32;
/// So many elements tell a list from a set.
const TRIED_ELEMENTS: usize = 4;

/// What the comparison of one event asks.
pub(super) struct Comparison<'a> {
    /// What the event is today.
    pub(super) today: &'a Value,
    /// Whether the event is of another shape today.
    pub(super) has_changed: bool,
    /// Whether a place may differ, by its name.
    pub(super) is_excepted: &'a dyn Fn(&str) -> bool,
    /// What today's type makes of an event that is written like this.
    pub(super) reread: &'a dyn Fn(&Value) -> Option<Value>,
}

/// A place that is not what it was.
pub(super) struct Differing<'a> {
    pub(super) place: String,
    pub(super) before: &'a Value,
    pub(super) now: &'a Value,
}

type Compared<'a> = Result<(), Differing<'a>>;

impl<'a> Comparison<'a> {
    pub(super) fn event(&self, before: (&'a Shape, &'a Value), now: (&'a Shape, &'a Value)) -> Compared<'a> {
        let sides = [before, now].map(|(shape, value)| {
            let place = Named::event(shape);
            Side { place, value }.meant()
        });
        let [Some(before), Some(now)] = sides else {
            return Ok(());
        };
        let fields = match before.name() {
            "" => before.parts(),
            only => vec![(only.to_owned().into(), before)],
        };
        let to = &mut Vec::new();
        match now.name() {
            "" => self.named(to, &fields, &now.parts()),
            only => match fields.iter().find(|(name, _)| name == only) {
                Some((_, before)) => self.place(to, before, &now),
                None => Ok(()),
            },
        }
    }

    /// Compares one place, to which `to` leads in what the event is today.
    fn place(&self, to: &mut Vec<Step>, before: &Side<'a>, now: &Side<'a>) -> Compared<'a> {
        if before.value == now.value || (self.is_excepted)(before.name()) {
            return Ok(());
        }
        let (Some(before), Some(now)) = (before.meant(), now.meant()) else {
            return Ok(());
        };
        self.inside(to, &before, &now)
            .map_err(|found| match before.shape() {
                Shape::Struct(_) => found,
                // What has not changed itself is shown as a whole.
                shape if shape == now.shape() => before.beside(&now),
                _ => found,
            })
    }

    fn inside(&self, to: &mut Vec<Step>, before: &Side<'a>, now: &Side<'a>) -> Compared<'a> {
        let (parts, parts_now) = (before.parts(), now.parts());
        match (before.shape(), now.shape()) {
            (Shape::Seq(_), Shape::Seq(_)) => self.list(to, (before, &parts), (now, &parts_now)),
            (Shape::Map(key, _), Shape::Map(key_now, _)) => {
                let name = before.place.part(key, "key").name.unwrap_or_default();
                match self.is_same(key, key_now) && !(self.is_excepted)(&name) {
                    true => self.entries(to, (before, &parts), (now, &parts_now)),
                    false => Ok(()),
                }
            }
            (Shape::Array(..), Shape::Array(..)) => self.elements(to, &parts, &parts_now),
            (Shape::Option(_), Shape::Option(_)) => match parts.len() == parts_now.len() {
                true => self.named(to, &parts, &parts_now),
                false => Err(before.beside(now)),
            },
            (Shape::Enum(variants), Shape::Enum(variants_now)) => {
                let both_have = |(name, _): &Part<'_>| {
                    let has = |variants: &[ShapeVariant]| variants.iter().any(|it| *it.name == **name);
                    has(variants) && has(variants_now)
                };
                let mut both = parts.iter().zip(&parts_now);
                // A variant that is gone has become another.
                match both.any(|(was, is)| was.0 != is.0 && both_have(was) && both_have(is)) {
                    true => Err(before.beside(now)),
                    false => self.named(to, &parts, &parts_now),
                }
            }
            (
                Shape::Unit | Shape::Struct(_) | Shape::Tuple(_),
                Shape::Unit | Shape::Struct(_) | Shape::Tuple(_),
            ) => self.named(to, &parts, &parts_now),
            _ => self.plain(to, before, now),
        }
    }

    fn at(&self, to: &mut Vec<Step>, step: Step, before: &Side<'a>, now: &Side<'a>) -> Compared<'a> {
        to.push(step);
        let compared = self.place(to, before, now);
        to.pop();
        compared
    }

    /// Parts of one name.
    fn named(&self, to: &mut Vec<Step>, before: &[Part<'a>], now: &[Part<'a>]) -> Compared<'a> {
        before.iter().try_for_each(
            |(name, before)| match now.iter().position(|(other, _)| other == name) {
                Some(at) => self.at(to, Step::At(at), before, &now[at].1),
                None => Ok(()),
            },
        )
    }

    /// Parts in one position.
    fn elements(&self, to: &mut Vec<Step>, before: &[Part<'a>], now: &[Part<'a>]) -> Compared<'a> {
        let mut both = before.iter().zip(now).enumerate();
        both.try_for_each(|(at, ((_, before), (_, now)))| self.at(to, Step::At(at), before, now))
    }

    /// A list, or a set: what is in that has no positions, and is compared as long as it has not changed.
    fn list(&self, to: &mut Vec<Step>, before: WithParts<'a, '_>, now: WithParts<'a, '_>) -> Compared<'a> {
        let ((before, parts), (now, parts_now)) = (before, now);
        let is_as_long = parts.len() == parts_now.len();
        let compared = match is_as_long {
            true => self.elements(to, parts, parts_now),
            false => Err(before.beside(now)),
        };
        let Err(found) = compared else {
            return Ok(());
        };
        let is_excepted = parts.iter().any(|(_, part)| (self.is_excepted)(part.name()));
        let is_comparable = self.is_same(before.shape(), now.shape()) && !is_excepted;
        if is_comparable && unordered(before.value) != unordered(now.value) {
            return Err(found);
        }
        let tried = &parts_now[..parts_now.len().min(TRIED_ELEMENTS)];
        let values = || tried.iter().map(|(_, part)| part.value.clone());
        // Nor has a set any element twice.
        let again = values().filter(|_| !is_as_long);
        let turned = Value::List(values().rev().chain(again).collect());
        match self.comes_back(to, &turned) {
            true => Err(found),
            false => Ok(()),
        }
    }

    /// A map, whose values belong to their keys.
    fn entries(&self, to: &mut Vec<Step>, before: WithParts<'a, '_>, now: WithParts<'a, '_>) -> Compared<'a> {
        let ((before, parts), (now, parts_now)) = (before, now);
        let by_key: HashMap<String, &Side<'a>> = keys(now.value)
            .zip(parts_now.iter().map(|(_, now)| now))
            .collect();
        if parts.len() != parts_now.len() {
            return Err(before.beside(now));
        }
        for (key, (_, value)) in keys(before.value).zip(parts) {
            match by_key.get(&key) {
                Some(value_now) => self.at(to, Step::Key(key), value, value_now)?,
                None => return Err(before.beside(now)),
            }
        }
        Ok(())
    }

    /// What has no parts of its own.
    fn plain(&self, to: &[Step], before: &Side<'a>, now: &Side<'a>) -> Compared<'a> {
        let is_same_type = match (before.shape(), now.shape()) {
            (Shape::Opaque { name, .. }, Shape::Opaque { name: name_now, .. }) => name == name_now,
            (shape, shape_now) => shape == shape_now,
        };
        let is_kept = || {
            // NaN is not equal to itself, and its text is.
            before.value.to_string() == now.value.to_string()
                || (unordered(before.value) == unordered(now.value) && !self.comes_back(to, before.value))
        };
        match is_same_type && !is_kept() {
            true => Err(before.beside(now)),
            false => Ok(()),
        }
    }

    /// Whether two shapes in the event are one type. What a name stands for inside a type is part of the type.
    fn is_same(&self, shape: &Shape, shape_now: &Shape) -> bool {
        shape == shape_now && !(self.has_changed && shape.to_string().contains('@'))
    }

    /// Whether today's type hands out what is stored in a place as it is stored. A set does not, or only by chance: so
    /// it is asked several times.
    fn comes_back(&self, to: &[Step], stored: &Value) -> bool {
        let mut event = self.today.clone();
        if let Some(place) = reach(&mut event, to) {
            place.clone_from(stored);
        }
        let read = || reach(&mut (self.reread)(&event)?, to).map(|read| in_order(read) == in_order(stored));
        (0..ORDER_TRIALS).all(|_| read() == Some(true))
    }
}

/// A place in what an event was or is, and what is there.
#[derive(Clone)]
struct Side<'a> {
    place: Named<'a>,
    value: &'a Value,
}

/// A part of a place, and its step there.
type Part<'a> = (Cow<'a, str>, Side<'a>);

type WithParts<'a, 'p> = (&'p Side<'a>, &'p [Part<'a>]);

impl<'a> Side<'a> {
    fn shape(&self) -> &'a Shape {
        self.place.shape()
    }

    fn name(&self) -> &str {
        self.place.name()
    }

    fn beside(&self, now: &Self) -> Differing<'a> {
        Differing {
            place: self.name().to_owned(),
            before: self.value,
            now: now.value,
        }
    }

    /// With the shape that is meant where a name stands; of an opaque type that is nobody's business.
    fn meant(&self) -> Option<Self> {
        let mut side = self.clone();
        while !matches!(side.shape(), Shape::Opaque { .. }) {
            match side.place.follow().ok()? {
                Some(place) => side.place = place,
                None => break,
            }
        }
        Some(side)
    }

    /// All parts, in order; of a map the values.
    fn parts(&self) -> Vec<Part<'a>> {
        let part = |step: Cow<'a, str>, shape: &'a Shape, value: &'a Value| {
            let place = self.place.part(shape, &step);
            (step, Side { place, value })
        };
        let alike = |step: &'static str, shape: &'a Shape, values: &mut dyn Iterator<Item = &'a Value>| {
            let place = self.place.part(shape, step);
            let part = |value| {
                let place = place.clone();
                (Cow::Borrowed(step), Side { place, value })
            };
            values.map(part).collect()
        };
        match (self.shape(), self.value) {
            (Shape::Struct(shapes), Value::Struct(values)) => {
                let fields = shapes.iter().zip(values);
                fields
                    .map(|(field, (_, value))| part((&*field.name).into(), &field.shape, value))
                    .collect()
            }
            (Shape::Tuple(shapes), Value::Tuple(values)) => {
                let fields = shapes.iter().zip(values).enumerate();
                fields
                    .map(|(at, (item, value))| part(at.to_string().into(), &item.shape, value))
                    .collect()
            }
            (Shape::Enum(variants), Value::Variant(name, value)) => {
                let variant = variants.iter().filter(|variant| *variant.name == **name);
                variant
                    .map(|variant| part((&**name).into(), &variant.fields, value))
                    .collect()
            }
            (Shape::Option(shape), Value::Option(value)) => {
                alike("some", shape, &mut value.iter().map(|value| &**value))
            }
            (Shape::Seq(shape) | Shape::Array(shape, _), Value::List(values)) => {
                alike("[]", shape, &mut values.iter())
            }
            (Shape::Map(_, shape), Value::Map(entries)) => {
                alike("value", shape, &mut entries.iter().map(|(_, value)| value))
            }
            _ => Vec::new(),
        }
    }
}

/// Leads from a value to a part of it.
enum Step {
    At(usize),
    /// To the value of a key, as text.
    Key(String),
}

fn reach<'v>(value: &'v mut Value, to: &[Step]) -> Option<&'v mut Value> {
    let Some((step, rest)) = to.split_first() else {
        return Some(value);
    };
    let part = match (value, step) {
        (Value::Struct(fields), Step::At(at)) => &mut fields.get_mut(*at)?.1,
        (Value::Tuple(items) | Value::List(items), Step::At(at)) => items.get_mut(*at)?,
        (Value::Option(Some(inner)) | Value::Variant(_, inner), Step::At(_)) => &mut **inner,
        (Value::Map(entries), Step::Key(key)) => {
            let entry = entries.iter_mut().find(|(other, _)| key_text(other) == *key)?;
            &mut entry.1
        }
        _ => return None,
    };
    reach(part, rest)
}

/// The keys of a map, as text.
fn keys(map: &Value) -> impl Iterator<Item = String> {
    let entries = match map {
        Value::Map(entries) => &entries[..],
        _ => &[],
    };
    entries.iter().map(|(key, _)| key_text(key))
}

/// The same for equal keys.
fn key_text(key: &Value) -> String {
    unordered(key).to_string()
}

/// The elements of a list in their order, whatever the order inside them is.
fn in_order(value: &Value) -> Vec<Value> {
    match value {
        Value::List(values) => values.iter().map(unordered).collect(),
        other => vec![other.clone()],
    }
}
