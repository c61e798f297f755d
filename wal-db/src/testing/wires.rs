//! What opaque types are written as, where anything says so.

use std::collections::HashMap;

use crate::event::schema::{Part, Shape, ShapeField, ShapeItem, ShapeVariant};

/// What an opaque type is written as, by its name; `None` if that is not the same wherever it is.
pub(super) type Wires<'s> = HashMap<&'s str, Option<&'s Shape>>;

/// What the opaque types in a shape are written as, where it says that.
pub(super) fn wires<'s>(shape: &'s Shape, known: &mut Wires<'s>) {
    match shape {
        Shape::Opaque {
            name,
            wire: Some(wire),
        } => {
            let other = |known: &mut Option<&Shape>| {
                if known.is_some_and(|known| *known != **wire) {
                    *known = None;
                }
            };
            known.entry(name).and_modify(other).or_insert(Some(wire));
            wires(wire, known);
        }
        Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => wires(inner, known),
        Shape::Recursive { body, .. } => wires(body, known),
        Shape::Map(key, value) => {
            wires(key, known);
            wires(value, known);
        }
        Shape::Tuple(items) => items.iter().for_each(|item| wires(&item.shape, known)),
        Shape::Struct(fields) => fields.iter().for_each(|field| wires(&field.shape, known)),
        Shape::Enum(variants) => variants.iter().for_each(|variant| wires(&variant.fields, known)),
        _ => {}
    }
}

/// The shape, with its opaque types written as is known of them.
pub(super) fn with_wires(shape: &Shape, known: &Wires<'_>) -> Shape {
    let part = |inner: &Shape| Part::from(with_wires(inner, known));
    match shape {
        Shape::Opaque { name, wire } => Shape::Opaque {
            name: name.clone(),
            wire: match known.get(&**name).copied().flatten() {
                Some(known) => Some(Part::from(known.clone())),
                None => wire.as_deref().map(part),
            },
        },
        Shape::Option(inner) => Shape::Option(part(inner)),
        Shape::Seq(inner) => Shape::Seq(part(inner)),
        Shape::Array(inner, len) => Shape::Array(part(inner), *len),
        Shape::Recursive { name, body } => Shape::Recursive {
            name: name.clone(),
            body: part(body),
        },
        Shape::Map(key, value) => Shape::Map(part(key), part(value)),
        Shape::Tuple(items) => {
            let items = items.iter().map(|item| ShapeItem::of(part(&item.shape)));
            Shape::Tuple(items.collect::<Vec<_>>().into())
        }
        Shape::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| ShapeField::of(field.name.clone(), part(&field.shape)));
            Shape::Struct(fields.collect::<Vec<_>>().into())
        }
        Shape::Enum(variants) => {
            let variants = variants
                .iter()
                .map(|variant| ShapeVariant::of(variant.name.clone(), part(&variant.fields)));
            Shape::Enum(variants.collect::<Vec<_>>().into())
        }
        plain => plain.clone(),
    }
}
