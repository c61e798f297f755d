//! Which earlier versions of an event type are read, and from what.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::Error;
use syn::spanned::Spanned;

use crate::ast::{Derive, Field, Source, Variant};
use crate::attr::{Conversion, Slot, WalAttr};
use crate::errors::Errors;
use crate::tokens;

/// What has the versions: an event type, or a type inside events.
pub(crate) struct Versioned<'s, 'a> {
    pub source: &'s Source<'a>,
    pub wal: &'s WalAttr,
    /// Of a struct, or of an event that is a variant.
    pub fields: &'s [Field<'a>],
    /// Of an enum inside events.
    pub variants: &'s [Variant<'a>],
    pub ident: Span,
}

impl Versioned<'_, '_> {
    /// What is said of each part, and the first version that can have it.
    fn parts(&self) -> impl Iterator<Item = (u16, &WalAttr)> {
        let fields = self.fields.iter().map(|field| (1, &field.wal));
        let variants = self.variants.iter().flat_map(|variant| {
            let fields = variant
                .fields
                .list
                .iter()
                .map(|field| (variant.since(), &field.wal));
            fields.chain([(1, &variant.wal)])
        });
        fields.chain(variants).chain([(1, self.wal)])
    }

    /// All fields, of variants too.
    fn all_fields(&self) -> impl Iterator<Item = &Field<'_>> {
        let in_variants = self.variants.iter().flat_map(|variant| &variant.fields.list);
        self.fields.iter().chain(in_variants)
    }

    /// Whether it is inside events: its versions are in no log, so they are counted from 1 whatever logs hold.
    fn is_nested(&self) -> bool {
        self.source.derive == Derive::Schema
    }
}

/// The versions that `since` and `changed` describe, in order.
///
/// They begin with version 1, or with what the type itself has as `since`, or with the version before the first step if
/// `from` reads what is before that; the generated code compares with the version of the type in `from`.
pub(crate) fn check(of: &Versioned<'_, '_>, errors: &mut Errors) -> Vec<u16> {
    let wal = of.wal;
    let version = match &wal.version {
        Slot::Bad => return Vec::new(),
        Slot::Absent => 1,
        Slot::Good(version, _) => *version,
    };
    check_from(of, version, errors);
    if wal.converts() && !wal.since.is_absent() {
        return Vec::new();
    }
    check_whole(of, errors);
    let Some(steps) = steps(of, version, errors) else {
        return Vec::new();
    };
    if steps.is_empty() && wal.converts() {
        return Vec::new();
    }
    let first = match wal.since.get() {
        Some(first) => first + 1,
        None => first_step(&steps, wal, errors),
    };
    check_steps(of, &steps, first, version, errors);
    (first - 1..version).collect()
}

/// The versions that something introduces; nothing if one of them is not known.
fn steps(of: &Versioned<'_, '_>, version: u16, errors: &mut Errors) -> Option<BTreeSet<u16>> {
    let mut steps = BTreeSet::new();
    for (begin, wal) in of.parts() {
        let since = match &wal.since {
            Slot::Good(step, span) => Some((*step, *span)),
            Slot::Bad => return None,
            Slot::Absent => None,
        };
        let changed = match &wal.changed {
            Slot::Good(steps, span) => steps.iter().map(|step| (*step, *span)).collect(),
            Slot::Bad => return None,
            Slot::Absent => Vec::new(),
        };
        if let Some((step, span)) = since.filter(|(step, _)| *step <= begin) {
            errors.at(
                span,
                format_args!(
                    "the variant is there from version {begin} on, so this field is not added in version {step}: remove \
                     `since` and `default`, or write the later version that added it"
                ),
            );
            return None;
        }
        let first = since.map_or(begin, |(step, _)| step);
        for (step, span) in since.into_iter().chain(changed) {
            if step > version {
                errors.at(
                    span,
                    format_args!(
                        "there is no version {step} yet, this is version {version}: write `version = {step}`"
                    ),
                );
                return None;
            }
            if step < first {
                errors.at(
                    span,
                    format_args!(
                        "the field is there from version {first} on: write {first} for each step that its type \
                         had taken by then"
                    ),
                );
                return None;
            }
            steps.insert(step);
        }
    }
    // What is so from the first version on introduces none.
    steps.remove(&1);
    Some(steps)
}

/// What stands beside `from`, and what it takes.
fn check_from(of: &Versioned<'_, '_>, version: u16, errors: &mut Errors) {
    let wal = of.wal;
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
    if let (true, [.., Conversion { old, .. }, _]) = (of.is_nested(), &wal.from[..]) {
        errors.push(Error::new_spanned(
            old,
            "a type inside events is converted from the type just before it, which may be converted itself",
        ));
    }
    let is_itself = |conversion: &&Conversion| tokens::mentions_self(&conversion.old, of.source.ident);
    for Conversion { old, .. } in wal.from.iter().filter(is_itself) {
        errors.push(Error::new_spanned(
            old,
            "`from` takes the type that it was before, and this is the type itself",
        ));
    }
}

/// The first version whose difference is described.
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
fn check_steps(of: &Versioned<'_, '_>, steps: &BTreeSet<u16>, first: u16, version: u16, errors: &mut Errors) {
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
    let unless = if of.is_nested() {
        "if no event holds an earlier version, count from 1".to_owned()
    } else {
        format!("if no log holds an earlier version, write `version = {version}, since = {version}`")
    };
    errors.at(
        of.wal.version.span().unwrap_or(of.ident),
        format_args!(
            "nothing says what {versions} changed: give the fields that it added \
             `#[wal(since = {one}, default)]` and those whose type it changed `#[wal(changed({one}))]`, \
             or convert from the type it was before with `#[wal(from = Old)]`; {unless}"
        ),
    );
}

/// Reading field by field needs fields, which mean the same in every version.
fn check_whole(of: &Versioned<'_, '_>, errors: &mut Errors) {
    let source = of.source;
    let steps = |field: &Field<'_>| {
        let taken = field
            .wal
            .changed
            .get()
            .is_some_and(|steps| steps.iter().any(|step| *step > 1));
        let changed = field.wal.changed.span().filter(|_| taken);
        field.wal.since.span().or(changed)
    };
    let variants = of.variants.iter();
    let mut added = of.all_fields().filter_map(steps);
    if added.next().is_none() && variants.clone().all(|variant| variant.wal.since.is_absent()) {
        return;
    }
    let replaced = ["transparent", "into", "from", "try_from"]
        .into_iter()
        .find(|key| source.serde.has(key));
    if let Some(key) = replaced {
        let or_without = match key {
            "transparent" => "a struct with one unnamed field is stored in the same way without it, or ",
            _ => "",
        };
        let fields = of.all_fields().filter_map(steps);
        for span in fields.chain(variants.filter_map(|variant| variant.wal.since.span())) {
            errors.at(
                span,
                format_args!(
                    "with `#[serde({key})]` the fields are not what is stored: {or_without}\
                     convert from the type it was before with `#[wal(from = Old)]`"
                ),
            );
        }
    }
    for field in of.all_fields().filter(|field| field.stored()) {
        if !source.holds_itself(field) {
            continue;
        }
        if let (true, Some(span)) = (of.is_nested(), field.wal.changed.span()) {
            errors.at(
                span,
                "this type inside itself is in the same version: remove `changed`",
            );
        }
        // A type inside events can be read in any of its versions.
        if !of.is_nested() {
            errors.push(Error::new_spanned(
                field.ty,
                "a type that holds itself held an earlier version of itself: fields with `since` cannot \
                 describe that; convert from the type it was before with `#[wal(from = Old)]`",
            ));
        }
    }
}
