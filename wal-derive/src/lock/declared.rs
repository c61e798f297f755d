//! What the derive knows of its event types, as the lock compares it.

use syn::spanned::Spanned;

use super::{Contents, Declared, Field};
use crate::ast::{Source, Style};
use crate::check::Family;
use crate::shapes::{self, Shapes};
use crate::tokens;

pub(super) fn all(source: &Source<'_>, family: &Family<'_>, shapes: &Shapes<'_>) -> Vec<Declared> {
    let records = family.records.iter().zip(&shapes.records);
    records
        .map(|(record, shape)| {
            let ident = record.variant.map_or(source.ident, |variant| variant.ident);
            let older = shape.older.iter();
            Declared {
                name: record.name.clone(),
                aliases: record.aliases.iter().map(|(alias, _)| alias.clone()).collect(),
                version: record.version,
                span: record.wal.version.span().unwrap_or(ident.span()),
                id: record
                    .id
                    .map(|id| (id, record.wal.id.span().unwrap_or(ident.span()))),
                is_variant: record.variant.is_some(),
                retired: record.retired,
                contents: shape.today.as_ref().map_or(Contents::Unit, contents),
                older: older
                    .map(|(version, shape)| (*version, contents(shape)))
                    .collect(),
                from: record.from.map(|from| (tokens::owned(from), from.span())),
            }
        })
        .collect()
}

fn contents(shape: &shapes::Contents<'_>) -> Contents {
    let fields = shape.fields.iter().enumerate().map(|(place, part)| Field {
        label: match part.label {
            "" => place.to_string(),
            label => label.to_owned(),
        },
        span: part.span,
        type_span: part.type_span,
        schema: part.schema.clone(),
    });
    match shape.style {
        Style::Unit => Contents::Unit,
        Style::Newtype => fields
            .into_iter()
            .next()
            .map_or(Contents::Unit, Contents::Newtype),
        Style::Tuple => Contents::Tuple(fields.collect()),
        Style::Named => Contents::Struct(fields.collect()),
    }
}
