//! The `#[wal(...)]` attributes: keys, values and their ranges.

use proc_macro2::{Span, TokenStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, LitInt, LitStr, Path, Token, Type, WherePredicate};
use wal_shape::name_problem;

use crate::entry::Entry;
use crate::errors::Errors;

/// Where an attribute stands, which decides the keys it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Struct,
    Enum,
    Variant,
    Field,
    /// A type inside an event.
    Nested,
    NestedVariant,
    NestedField,
}

impl Place {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Place::Struct => &[
                "name", "version", "since", "alias", "id", "from", "split", "crate",
            ],
            Place::Enum => &["name", "alias", "families", "crate"],
            Place::Variant => &[
                "rename", "alias", "id", "version", "since", "from", "split", "retired", "other",
            ],
            Place::Field | Place::NestedField => {
                &["since", "default", "changed", "opaque", "wire", "recursive"]
            }
            Place::Nested => &["version", "from", "opaque", "wire", "bound", "crate"],
            Place::NestedVariant => &["since"],
        }
    }
}

/// A key that may be absent, or present with a value that has been reported already.
#[derive(Default)]
pub(crate) enum Slot<T> {
    #[default]
    Absent,
    Bad,
    Good(T, Span),
}

impl<T> Slot<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            Slot::Good(value, _) => Some(value),
            Slot::Absent | Slot::Bad => None,
        }
    }

    pub(crate) fn span(&self) -> Option<Span> {
        match self {
            Slot::Good(_, span) => Some(*span),
            Slot::Absent | Slot::Bad => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Slot::Absent)
    }
}

/// What a field is in a record from before it was there.
pub(crate) enum DefaultValue {
    OfType,
    Text(LitStr),
    Expr(TokenStream),
}

/// An earlier type, and what makes events of today of one of its events.
pub(crate) struct Conversion {
    pub old: Type,
    /// Nothing if it is `From` or `TryFrom`.
    pub split: Option<(TokenStream, Span)>,
}

impl Conversion {
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        let split = self.split.as_ref().map(|(_, span)| *span);
        [self.old.span()].into_iter().chain(split)
    }
}

#[derive(Default)]
pub(crate) struct WalAttr {
    pub name: Slot<String>,
    pub rename: Slot<String>,
    pub version: Slot<u16>,
    pub id: Slot<u32>,
    pub aliases: Vec<(String, Span)>,
    /// In the order in which they are written.
    pub from: Vec<Conversion>,
    /// A conversion has been reported already.
    pub bad_from: bool,
    pub retired: Slot<()>,
    pub other: Slot<()>,
    pub families: Slot<()>,
    /// The first version that has the field, or of an event type the first that is read.
    pub since: Slot<u16>,
    pub default: Slot<DefaultValue>,
    /// The versions of the holder in which the type of the field moved on.
    pub changed: Slot<Vec<u16>>,
    pub opaque: Slot<String>,
    pub wire: Slot<Type>,
    pub recursive: Slot<()>,
    pub bound: Slot<Vec<WherePredicate>>,
    pub krate: Option<Path>,
    /// Where the keys are.
    pub keys: Vec<Span>,
}

/// Reads all `wal` attributes of one item together.
pub(crate) fn read(attrs: &[Attribute], place: Place, errors: &mut Errors) -> WalAttr {
    let mut read = WalAttr::default();
    let mut seen = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("wal")) {
        match attr.parse_args_with(Punctuated::<Entry, Token![,]>::parse_terminated) {
            Ok(entries) => entries
                .iter()
                .for_each(|entry| read.take(entry, place, &mut seen, errors)),
            Err(error) => {
                errors.push(error);
                // What the attribute was to say is not known, so nothing of it counts as missing.
                read.name = Slot::Bad;
                read.since = Slot::Bad;
                read.default = Slot::Bad;
                read.changed = Slot::Bad;
                read.opaque = Slot::Bad;
            }
        }
    }
    read
}

impl WalAttr {
    fn take(&mut self, entry: &Entry, place: Place, seen: &mut Vec<String>, errors: &mut Errors) {
        let key = entry.key();
        if !place.keys().contains(&key.as_str()) {
            errors.at(entry.key_span(), wrong_key(&entry.path, &key, place));
            return;
        }
        if seen.contains(&key) && !["alias", "from", "split"].contains(&key.as_str()) {
            errors.at(
                entry.key_span(),
                format_args!("duplicate `wal` attribute `{key}`"),
            );
            return;
        }
        match key.as_str() {
            "name" => self.name = slot(entry.string().and_then(|lit| named(&lit)), errors),
            "rename" => self.rename = slot(entry.string().and_then(|lit| named(&lit)), errors),
            "alias" => match entry.string().and_then(|lit| named(&lit)) {
                Ok(alias) => self.aliases.push(alias),
                Err(error) => errors.push(error),
            },
            "version" => self.version = slot(entry.integer().and_then(|lit| version(&lit)), errors),
            "since" => self.since = slot(entry.integer().and_then(|lit| since(&lit)), errors),
            "id" => self.id = slot(entry.integer().and_then(|lit| id(&lit)), errors),
            "from" => self.convert(entry.ty().map(|(old, _)| old), errors),
            "wire" => self.wire = slot(entry.ty(), errors),
            "split" => self.split(entry.expr("function"), errors),
            "retired" => self.retired = slot(entry.flag().map(|span| ((), span)), errors),
            "other" => self.other = slot(entry.flag().map(|span| ((), span)), errors),
            "recursive" => self.recursive = slot(entry.flag().map(|span| ((), span)), errors),
            "families" => self.families = slot(entry.flag().map(|span| ((), span)), errors),
            "default" => self.default = slot(default(entry), errors),
            "changed" => self.changed = slot(changed(entry), errors),
            "opaque" => self.opaque = slot(entry.string().and_then(|lit| opaque(&lit)), errors),
            "bound" => self.bound = slot(entry.string().and_then(|lit| bound(&lit)), errors),
            _ => match entry.string().map(|lit| lit.parse()) {
                Ok(Ok(path)) => self.krate = Some(path),
                Ok(Err(_)) => errors.push(entry.takes("a path", "\"path::to::wal_db\"")),
                Err(error) => errors.push(error),
            },
        }
        seen.push(key);
        self.keys.push(entry.key_span());
    }

    fn convert(&mut self, old: syn::Result<Type>, errors: &mut Errors) {
        match old {
            Ok(old) => self.from.push(Conversion { old, split: None }),
            Err(error) => {
                errors.push(error);
                self.bad_from = true;
            }
        }
    }

    /// Belongs to the `from` before it.
    fn split(&mut self, split: syn::Result<(TokenStream, Span)>, errors: &mut Errors) {
        let error = match (split, self.from.last_mut()) {
            (
                Ok(split),
                Some(Conversion {
                    split: none @ None, ..
                }),
            ) => return *none = Some(split),
            (Ok((_, span)), Some(_)) => Error::new(span, "each `from` has one `split`, which comes after it"),
            (Ok((_, span)), None) => Error::new(
                span,
                "`split` makes new events from one of an earlier type: write it after `from = Old`",
            ),
            (Err(error), _) => error,
        };
        self.bad_from = true;
        errors.push(error);
    }

    /// Whether something is said of an earlier type.
    pub(crate) fn converts(&self) -> bool {
        self.bad_from || !self.from.is_empty()
    }
}

fn wrong_key(path: &Path, key: &str, place: Place) -> String {
    if let Some(elsewhere) = belongs_elsewhere(key, place) {
        return elsewhere.to_owned();
    }
    let given: Vec<_> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let given = given.join("::");
    let keys: Vec<_> = place.keys().iter().map(|key| format!("`{key}`")).collect();
    format!(
        "unknown `wal` attribute `{given}`, expected one of {}",
        keys.join(", ")
    )
}

/// Keys that exist, and what to do with them.
fn belongs_elsewhere(key: &str, place: Place) -> Option<&'static str> {
    let in_event = matches!(place, Place::Nested | Place::NestedVariant | Place::NestedField);
    Some(match key {
        "name" if place == Place::Variant => {
            "a variant has no name of its own: write `rename = \"...\"` for the part of its name after the dot"
        }
        "rename" if matches!(place, Place::Struct | Place::Enum) => {
            "`rename` belongs on a variant: the name of the type is `name`, and its former names are `alias`"
        }
        "id" if place == Place::Enum => {
            "`id` belongs on a variant: each variant of an enum is an event type of its own"
        }
        "version" | "since" if place == Place::Enum => {
            "`version` belongs on each variant that has changed, or with `families` on the type that it holds: each is \
             an event type of its own, and the version of one that has not changed stays as it is"
        }
        "from" | "split" if place == Place::Enum => {
            "`from` and `split` belong on a variant: each variant of an enum is an event type of its own"
        }
        "retired" | "other" if matches!(place, Place::Struct | Place::Enum | Place::Field) => {
            "`retired` and `other` belong on a variant of an enum"
        }
        "families" | "family" => {
            "`families` belongs on an enum, each variant of which holds an event type or a family of its own"
        }
        "split" if in_event => "`split` is for events: a value inside an event stays one value",
        "version" | "from" if in_event => "`version` and `from` belong on the type",
        "name" | "rename" | "alias" | "id" | "retired" | "other" if in_event => {
            "a type inside an event has no name in the log: that is for types with `#[derive(WalRecord)]`"
        }
        "crate" => "`crate` belongs on the type",
        "since" if place == Place::Nested => {
            "`since` belongs on a field or a variant: versions of a type inside events count from 1"
        }
        "default" if place == Place::NestedVariant => {
            "`default` belongs on a field: nothing that was written before has the variant"
        }
        "changed" => "`changed` belongs on the field that holds the type with versions",
        "default" => "`default` belongs on a field",
        "recursive" => "`recursive` belongs on the field that leads back to the type",
        "opaque" | "wire" if place != Place::NestedVariant => "`opaque` and `wire` belong on a field",
        _ => return None,
    })
}

fn slot<T>(value: syn::Result<(T, Span)>, errors: &mut Errors) -> Slot<T> {
    match value {
        Ok((value, span)) => Slot::Good(value, span),
        Err(error) => {
            errors.push(error);
            Slot::Bad
        }
    }
}

fn named(lit: &LitStr) -> syn::Result<(String, Span)> {
    match name_problem(&lit.value()) {
        None => Ok((lit.value(), lit.span())),
        Some(problem) => Err(Error::new(lit.span(), problem)),
    }
}

fn version(lit: &LitInt) -> syn::Result<(u16, Span)> {
    match lit.base10_parse::<u16>() {
        Ok(version) if version > 0 => Ok((version, lit.span())),
        _ => Err(Error::new(lit.span(), "a version is a number from 1 to 65535")),
    }
}

fn since(lit: &LitInt) -> syn::Result<(u16, Span)> {
    match version(lit)? {
        (1, span) => Err(Error::new(
            span,
            "what was there from version 1 on needs no `since`: it is the first version that has it, from 2",
        )),
        since => Ok(since),
    }
}

/// One version for each step, which do not go down: the type may have been newer from the beginning.
fn changed(entry: &Entry) -> syn::Result<(Vec<u16>, Span)> {
    let (literals, span) = entry.integers()?;
    let mut steps: Vec<u16> = Vec::with_capacity(literals.len());
    for lit in &literals {
        let (step, span) = version(lit)?;
        if let Some(last) = steps.last().filter(|last| **last > step) {
            return Err(Error::new(
                span,
                format!("the steps of a type follow each other, so version {step} cannot come after {last}"),
            ));
        }
        steps.push(step);
    }
    Ok((steps, span))
}

fn id(lit: &LitInt) -> syn::Result<(u32, Span)> {
    match lit.base10_parse::<u32>() {
        Ok(id) => Ok((id, lit.span())),
        Err(_) => Err(Error::new(
            lit.span(),
            "a type id is a number from 0 to 4294967295",
        )),
    }
}

fn opaque(lit: &LitStr) -> syn::Result<(String, Span)> {
    if lit.value().trim().is_empty() {
        return Err(Error::new(
            lit.span(),
            "an opaque type needs a name, which changes when its bytes do: `opaque = \"uuid@1\"`",
        ));
    }
    Ok((lit.value(), lit.span()))
}

fn bound(lit: &LitStr) -> syn::Result<(Vec<WherePredicate>, Span)> {
    let bounds = lit
        .parse_with(Punctuated::<WherePredicate, Token![,]>::parse_terminated)
        .map_err(|_| {
            Error::new(
                lit.span(),
                "`bound` takes what would come after `where`: `bound = \"T: Trait\"`",
            )
        })?;
    Ok((bounds.into_iter().collect(), lit.span()))
}

fn default(entry: &Entry) -> syn::Result<(DefaultValue, Span)> {
    if !entry.has_value() {
        return Ok((DefaultValue::OfType, entry.path.span()));
    }
    if let Ok(lit) = entry.string() {
        let span = lit.span();
        return Ok((DefaultValue::Text(lit), span));
    }
    let (expr, span) = entry.expr("value")?;
    Ok((DefaultValue::Expr(expr), span))
}
