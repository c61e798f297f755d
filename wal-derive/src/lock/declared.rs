//! What the derive knows of its event types, as the lock compares it.

use quote::ToTokens;
use syn::spanned::Spanned;

use super::Declared;
use crate::ast::{Source, Style};
use crate::check::Family;
use crate::shapes::{Contents, Shapes};
use crate::upcast;

pub(super) fn all(source: &Source<'_>, family: &Family<'_>, shapes: &Shapes<'_>) -> Vec<Declared> {
    let records = family.records.iter().zip(&shapes.records);
    records
        .enumerate()
        .map(|(at, (record, shape))| {
            let ident = record.variant.map_or(source.ident, |variant| variant.ident);
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
                contents: shape.today.clone().unwrap_or(Contents {
                    style: Style::Unit,
                    fields: Vec::new(),
                }),
                older: shape.older.clone(),
                from: record
                    .from
                    .first()
                    .map(|from| (upcast::from_records(at).to_token_stream(), from.old.span())),
            }
        })
        .collect()
}
