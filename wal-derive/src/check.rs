//! Judges what the type says and makes the record types from it.

use proc_macro2::Span;
use syn::Error;
use syn::ext::IdentExt;

use crate::ast::{Body, Fields, Source, Variant};
use crate::attr::Slot;
use crate::errors::Errors;
use crate::name;
use crate::{schema, serde_attr};

/// What is generated. Only complete if no error was found.
pub(crate) struct Family<'a> {
    pub name: String,
    pub records: Vec<Record<'a>>,
}

pub(crate) struct Record<'a> {
    pub name: String,
    pub version: u16,
    /// An id chosen with `#[wal(id = N)]`.
    pub id: Option<u32>,
    pub fields: &'a Fields<'a>,
    /// Where the name comes from.
    span: Span,
}

impl Record<'_> {
    fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| name::type_id(&self.name))
    }
}

pub(crate) fn check<'a>(source: &'a Source<'a>, errors: &mut Errors) -> Family<'a> {
    check_generics(source, errors);
    let name = family_name(source, errors);
    let is_enum = matches!(source.body, Body::Enum(_));
    serde_attr::check_type(&source.serde, is_enum, errors);
    let records = match &source.body {
        Body::Struct(fields) => {
            check_fields(fields, errors);
            vec![Record {
                name: name.clone(),
                version: source.wal.version.get().copied().unwrap_or(1),
                id: source.wal.id.get().copied(),
                fields,
                span: source.ident.span(),
            }]
        }
        Body::Enum(variants) => check_variants(source, &name, variants, errors),
        Body::Union(span) => {
            errors.at(
                *span,
                "a union cannot be stored: nothing says which of its fields is the one to write",
            );
            Vec::new()
        }
    };
    Family { name, records }
}

fn check_generics(source: &Source<'_>, errors: &mut Errors) {
    let params = &source.generics.params;
    if !params.is_empty() {
        errors.push(Error::new_spanned(
            params,
            "a record type has one name and one shape, so it takes no type, const or lifetime parameters: \
             derive `WalRecord` on a type that owns its data and names its parts",
        ));
    }
}

fn family_name(source: &Source<'_>, errors: &mut Errors) -> String {
    if matches!(source.wal.name, Slot::Absent) {
        errors.at(
            source.ident.span(),
            "missing `#[wal(name = \"...\")]`: the name that stands in the log, which outlives the name in the code",
        );
    }
    source.wal.name.get().cloned().unwrap_or_default()
}

fn check_variants<'a>(
    source: &'a Source<'a>,
    family: &str,
    variants: &'a [Variant<'a>],
    errors: &mut Errors,
) -> Vec<Record<'a>> {
    if variants.is_empty() {
        errors.at(
            source.ident.span(),
            "an enum without variants has nothing to store",
        );
    }
    let default_version = source.wal.version.get().copied().unwrap_or(1);
    let mut records: Vec<(Record<'a>, &Variant<'_>)> = Vec::with_capacity(variants.len());
    for variant in variants {
        serde_attr::check_variant(&variant.serde, errors);
        check_fields(&variant.fields, errors);
        let Some((name, span)) = variant_name(variant, errors) else {
            continue;
        };
        let record = Record {
            name: format!("{family}.{name}"),
            version: variant.wal.version.get().copied().unwrap_or(default_version),
            id: variant.wal.id.get().copied(),
            fields: &variant.fields,
            span,
        };
        check_unique(&record, variant, &records, errors);
        records.push((record, variant));
    }
    records.into_iter().map(|(record, _)| record).collect()
}

/// The part of the name behind the dot; nothing if it is wrong.
fn variant_name(variant: &Variant<'_>, errors: &mut Errors) -> Option<(String, Span)> {
    match &variant.wal.rename {
        Slot::Good(name, span) => Some((name.clone(), *span)),
        Slot::Bad => None,
        Slot::Absent => {
            let span = variant.ident.span();
            let name = name::snake_case(&variant.ident.unraw().to_string());
            match name::problem(&name) {
                None => Some((name, span)),
                Some(problem) => {
                    errors.at(
                        span,
                        format_args!("{problem}: give the variant a `#[wal(rename = \"...\")]`"),
                    );
                    None
                }
            }
        }
    }
}

/// Names and ids are how a record finds its variant again, so both must be its own.
fn check_unique(
    record: &Record<'_>,
    variant: &Variant<'_>,
    earlier: &[(Record<'_>, &Variant<'_>)],
    errors: &mut Errors,
) {
    if let Some((_, other)) = earlier.iter().find(|(other, _)| other.name == record.name) {
        let (name, other) = (&record.name, other.ident);
        errors.at(
            record.span,
            format_args!("the name `{name}` is taken by the variant `{other}`"),
        );
        return;
    }
    let id = record.type_id();
    if let Some((_, other)) = earlier.iter().find(|(other, _)| other.type_id() == id) {
        let span = variant.wal.id.span().unwrap_or(record.span);
        errors.at(
            span,
            format_args!(
                "the type id {id:#010x} of `{}` is taken by the variant `{}`: \
                 give the one that is in no log yet another id with `#[wal(id = N)]`",
                record.name, other.ident
            ),
        );
    }
}

fn check_fields(fields: &Fields<'_>, errors: &mut Errors) {
    fields
        .list
        .iter()
        .for_each(|field| schema::check_field(field, errors));
}
