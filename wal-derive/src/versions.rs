//! Which earlier versions of an event type are read, and from what.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::Error;
use syn::spanned::Spanned;

use crate::ast::{Field, Fields, Source};
use crate::attr::{Conversion, Slot, WalAttr};
use crate::errors::Errors;
use crate::tokens;

/// The versions that `since` describes, in order.
///
/// They begin with version 1, or with what the type itself has as `since`, or with the version before the first step if
/// `from` reads what is before that; the generated code compares with the version of the type in `from`.
pub(crate) fn check(
    source: &Source<'_>,
    wal: &WalAttr,
    fields: &Fields<'_>,
    ident: Span,
    errors: &mut Errors,
) -> Vec<u16> {
    let version = match &wal.version {
        Slot::Bad => return Vec::new(),
        Slot::Absent => 1,
        Slot::Good(version, _) => *version,
    };
    check_from(source, wal, version, errors);
    if wal.converts() && !wal.since.is_absent() {
        return Vec::new();
    }
    let since: Vec<_> = fields
        .list
        .iter()
        .filter(|field| !field.wal.since.is_absent())
        .collect();
    if !since.is_empty() {
        check_whole(source, fields, &since, errors);
    }
    let mut steps = BTreeSet::new();
    for slot in since.iter().map(|field| &field.wal.since).chain([&wal.since]) {
        match slot {
            Slot::Good(step, span) if *step > version => {
                errors.at(
                    *span,
                    format_args!(
                        "there is no version {step} yet, this is version {version}: write `version = {step}`"
                    ),
                );
                return Vec::new();
            }
            Slot::Good(step, _) => steps.insert(*step),
            // Reported; what the steps are is not known.
            Slot::Bad => return Vec::new(),
            Slot::Absent => continue,
        };
    }
    if steps.is_empty() && wal.converts() {
        return Vec::new();
    }
    let first = match wal.since.get() {
        Some(first) => first + 1,
        None => first_step(&steps, wal, errors),
    };
    check_steps(
        &steps,
        first,
        version,
        wal.version.span().unwrap_or(ident),
        errors,
    );
    (first - 1..version).collect()
}

/// What stands beside `from`, and what it takes.
fn check_from(source: &Source<'_>, wal: &WalAttr, version: u16, errors: &mut Errors) {
    let Some(Conversion { old: newest, .. }) = wal.from.last() else {
        return;
    };
    if let Some(span) = wal.since.span() {
        errors.at(
            span,
            "`since` says that nothing earlier is read, and `from` reads it: write one of them",
        );
    }
    if version == 1 {
        errors.push(Error::new_spanned(
            newest,
            "nothing is earlier than version 1: write `version = 2`",
        ));
    }
    let is_itself = |conversion: &&Conversion| tokens::mentions_self(&conversion.old, source.ident);
    for Conversion { old, .. } in wal.from.iter().filter(is_itself) {
        errors.push(Error::new_spanned(
            old,
            "`from` takes the type that it was before, and this is the type itself",
        ));
    }
}

/// The first version that `since` describes the difference of.
fn first_step(steps: &BTreeSet<u16>, wal: &WalAttr, errors: &mut Errors) -> u16 {
    let first = steps.first().copied().unwrap_or(2);
    match wal.from.last() {
        Some(Conversion { old, .. }) if first == 2 => {
            errors.at(
                old.span(),
                "nothing is left to convert: the fields with `since` say what version 1 was",
            );
            2
        }
        Some(_) => first,
        None if wal.bad_from => first,
        None => 2,
    }
}

/// Every step is there.
fn check_steps(steps: &BTreeSet<u16>, first: u16, version: u16, span: Span, errors: &mut Errors) {
    let missing: Vec<_> = (first..=version)
        .filter(|step| !steps.contains(step))
        .take(4)
        .collect();
    let Some((one, more)) = missing.split_first() else {
        return;
    };
    let versions = match more {
        [] => format!("version {one}"),
        [.., last] if missing.len() < 4 => {
            let between: String = missing[1..missing.len() - 1]
                .iter()
                .map(|step| format!(", {step}"))
                .collect();
            format!("versions {one}{between} and {last}")
        }
        _ => format!("versions {one}, {} and others", more[0]),
    };
    errors.at(
        span,
        format_args!(
            "nothing says what {versions} changed: give the fields that it added \
             `#[wal(since = {one}, default)]`, or convert from the type it was before with `#[wal(from = Old)]`; \
             if no log holds an earlier version, write `version = {version}, since = {version}`"
        ),
    );
}

/// Reading field by field needs fields, which mean the same in every version.
fn check_whole(source: &Source<'_>, fields: &Fields<'_>, since: &[&Field<'_>], errors: &mut Errors) {
    let replaced = ["transparent", "into", "from", "try_from"]
        .into_iter()
        .find(|key| source.serde.has(key));
    if let Some(key) = replaced {
        for field in since {
            errors.at(
                field.wal.since.span().unwrap_or(field.span()),
                format_args!(
                    "with `#[serde({key})]` the fields are not what is stored: \
                     convert from the type it was before with `#[wal(from = Old)]`"
                ),
            );
        }
    }
    for field in fields.list.iter().filter(|field| field.stored()) {
        if tokens::mentions_self(field.ty, source.ident) {
            errors.push(Error::new_spanned(
                field.ty,
                "a type that holds itself held an earlier version of itself: fields with `since` cannot \
                 describe that; convert from the type it was before with `#[wal(from = Old)]`",
            ));
        }
    }
}
