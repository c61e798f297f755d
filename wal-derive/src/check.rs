//! Judges what the type says and makes the event types from it.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Error, GenericParam};
use wal_shape::{name_problem, type_id};

use crate::ast::{Body, Fields, Source, Style, Variant};
use crate::attr::{Conversion, Slot, WalAttr};
use crate::case::snake_case;
use crate::errors::Errors;
use crate::unique::Names;
use crate::versions::{self, Versioned};
use crate::{schema, serde_attr};

/// What is generated. Only complete if no error was found.
pub(crate) struct Family<'a> {
    pub name: String,
    pub records: Vec<Record<'a>>,
    /// The variant for records of unknown types, the last one.
    pub other: Option<&'a Variant<'a>>,
}

pub(crate) struct Record<'a> {
    /// The full name.
    pub name: String,
    pub version: u16,
    /// An id chosen with `#[wal(id = N)]`.
    pub id: Option<u32>,
    /// Former names, in full.
    pub aliases: Vec<(String, Span)>,
    pub retired: bool,
    /// Nothing for a struct.
    pub variant: Option<&'a Variant<'a>>,
    pub fields: &'a Fields<'a>,
    /// The earlier versions that `since` describes, in order.
    pub older: Vec<u16>,
    /// The earlier types that are converted, the oldest first.
    pub from: &'a [Conversion],
    pub wal: &'a WalAttr,
    /// Where the name comes from.
    pub span: Span,
}

impl Record<'_> {
    pub(crate) fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| type_id(&self.name))
    }

    /// The earliest version that is read without `from`.
    pub(crate) fn first(&self) -> u16 {
        self.older.first().copied().unwrap_or(self.version)
    }
}

pub(crate) fn check<'a>(source: &'a Source<'a>, errors: &mut Errors) -> Family<'a> {
    check_generics(source, errors);
    let name = family_name(source, errors);
    let is_enum = matches!(source.body, Body::Enum(_));
    serde_attr::check_type(&source.serde, is_enum, errors);
    let mut other = None;
    let records = match &source.body {
        Body::Struct(fields) => vec![check_struct(source, fields, name.clone(), errors)],
        Body::Enum(variants) => {
            other = check_others(variants, errors);
            check_variants(source, &name, variants, errors)
        }
        Body::Union(span) => {
            errors.at(
                *span,
                "a union cannot be stored: nothing says which of its fields is the one to write",
            );
            Vec::new()
        }
    };
    Family { name, records, other }
}

pub(crate) fn check_generics(source: &Source<'_>, errors: &mut Errors) {
    for param in &source.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            errors.push(Error::new_spanned(
                param,
                "an event type has one name and one shape, so it takes no type or const parameters: \
                 derive `WalRecord` on a type that names its parts",
            ));
        }
    }
}

fn family_name(source: &Source<'_>, errors: &mut Errors) -> String {
    if source.wal.name.is_absent() {
        let or_families = match &source.body {
            Body::Enum(variants) if variants.iter().all(|v| v.fields.style == Style::Newtype) => {
                ", or `#[wal(families)]` if what each variant holds has a name of its own"
            }
            _ => "",
        };
        errors.at(
            source.ident.span(),
            format_args!(
                "missing `#[wal(name = \"...\")]`: the name that stands in the log, which outlives the name in the \
                 code{or_families}"
            ),
        );
    }
    source.wal.name.get().cloned().unwrap_or_default()
}

fn check_struct<'a>(
    source: &'a Source<'a>,
    fields: &'a Fields<'a>,
    name: String,
    errors: &mut Errors,
) -> Record<'a> {
    if fields.style == Style::Newtype {
        serde_attr::check_newtype(&fields.list[0].serde, errors);
    }
    schema::check_fields(fields, errors);
    let span = source.wal.name.span().unwrap_or(source.ident.span());
    let record = Record {
        name,
        version: source.wal.version.get().copied().unwrap_or(1),
        id: source.wal.id.get().copied(),
        aliases: source.wal.aliases.clone(),
        retired: false,
        variant: None,
        fields,
        older: versions::check(
            &Versioned {
                source,
                wal: &source.wal,
                fields: &fields.list,
                variants: &[],
                ident: source.ident.span(),
            },
            errors,
        ),
        from: &source.wal.from,
        wal: &source.wal,
        span,
    };
    Names::default().add(&record, source.ident, errors);
    record
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
    let mut names = Names::default();
    let mut records: Vec<Record<'a>> = Vec::with_capacity(variants.len());
    for variant in variants {
        serde_attr::check_variant(&variant.serde, errors);
        schema::check_fields(&variant.fields, errors);
        if variant.wal.other.span().is_some() {
            continue;
        }
        let retired = variant.wal.retired.span();
        let older = match retired {
            Some(_) => {
                check_retired(variant, errors);
                Vec::new()
            }
            None => versions::check(
                &Versioned {
                    source,
                    wal: &variant.wal,
                    fields: &variant.fields.list,
                    variants: &[],
                    ident: variant.ident.span(),
                },
                errors,
            ),
        };
        let Some((name, span)) = variant_name(variant, errors) else {
            continue;
        };
        let record = Record {
            aliases: aliases(source, variant, family, &name),
            name: format!("{family}.{name}"),
            version: variant.wal.version.get().copied().unwrap_or(1),
            id: variant.wal.id.get().copied(),
            retired: retired.is_some(),
            variant: Some(variant),
            fields: &variant.fields,
            older,
            from: &variant.wal.from,
            wal: &variant.wal,
            span,
        };
        names.add(&record, variant.ident, errors);
        records.push(record);
    }
    records
}

/// The part of the name after the dot; nothing if it is wrong.
fn variant_name(variant: &Variant<'_>, errors: &mut Errors) -> Option<(String, Span)> {
    match &variant.wal.rename {
        Slot::Good(name, span) => Some((name.clone(), *span)),
        Slot::Bad => None,
        Slot::Absent => {
            let span = variant.ident.span();
            let name = snake_case(&variant.ident.unraw().to_string());
            match name_problem(&name) {
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

/// Every former name of the variant under every name of the family. An alias with a dot is a name in full.
fn aliases(source: &Source<'_>, variant: &Variant<'_>, family: &str, name: &str) -> Vec<(String, Span)> {
    let mut aliases = Vec::new();
    for (alias, span) in &variant.wal.aliases {
        let full = if alias.contains('.') {
            alias.clone()
        } else {
            format!("{family}.{alias}")
        };
        aliases.push((full, *span));
    }
    for (family, span) in &source.wal.aliases {
        aliases.push((format!("{family}.{name}"), *span));
        for (alias, _) in &variant.wal.aliases {
            if !alias.contains('.') {
                aliases.push((format!("{family}.{alias}"), *span));
            }
        }
    }
    aliases
}

fn check_retired(variant: &Variant<'_>, errors: &mut Errors) {
    let ident = variant.ident;
    if variant.fields.style != Style::Newtype {
        errors.at(
            ident.span(),
            format_args!(
                "a retired event is not appended any more, so its variant holds what has no values: \
                 write `{ident}(wal_db::event::Retired)`"
            ),
        );
    }
    let wal = &variant.wal;
    let converted = wal.from.iter().flat_map(Conversion::spans);
    for span in converted.chain(wal.since.span()) {
        errors.at(
            span,
            "a retired event is not read any more, in no version, so there is nothing to convert",
        );
    }
}

/// Checks the variants for unknown records and returns the one.
fn check_others<'a>(variants: &'a [Variant<'a>], errors: &mut Errors) -> Option<&'a Variant<'a>> {
    let mut found: Option<&Variant<'_>> = None;
    for (index, variant) in variants.iter().enumerate() {
        let Some(span) = variant.wal.other.span() else {
            continue;
        };
        let (ident, wal) = (variant.ident, &variant.wal);
        if let Some(first) = found {
            errors.at(
                span,
                format_args!(
                    "records of unknown types go to the variant `{}` already",
                    first.ident
                ),
            );
            continue;
        }
        found = Some(variant);
        if variant.fields.style != Style::Newtype {
            errors.at(
                ident.span(),
                format_args!(
                    "a record of an unknown type is kept as it is: write `{ident}(wal_db::event::UnknownEvent)`"
                ),
            );
        }
        if variants[index + 1..]
            .iter()
            .any(|later| later.wal.other.span().is_none())
        {
            errors.at(
                ident.span(),
                "the variant for records of unknown types comes after all others: move it to the end",
            );
        }
        let own = [
            wal.rename.span(),
            wal.version.span(),
            wal.since.span(),
            wal.id.span(),
            wal.retired.span(),
            wal.aliases.first().map(|(_, span)| *span),
        ];
        let converted = wal.from.iter().flat_map(Conversion::spans);
        for span in own.into_iter().flatten().chain(converted) {
            errors.at(
                span,
                "a variant with `other` takes records of any unknown type, so it has no name, id or version \
                 and is not retired",
            );
        }
    }
    found
}
