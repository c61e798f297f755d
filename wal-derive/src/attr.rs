//! The `#[wal(...)]` attributes: keys, values and their ranges.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitInt, LitStr, Meta, Path, Token};

use crate::errors::Errors;
use crate::name;

/// Where an attribute stands, which decides the keys it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Struct,
    Enum,
    Variant,
}

impl Place {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Place::Struct => &["name", "version", "id", "crate"],
            Place::Enum => &["name", "version", "crate"],
            Place::Variant => &["name", "version", "id"],
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
}

#[derive(Default)]
pub(crate) struct WalAttr {
    pub name: Slot<String>,
    pub version: Slot<u16>,
    pub id: Slot<u32>,
    pub krate: Option<Path>,
}

/// Reads all `wal` attributes of one item together.
pub(crate) fn read(attrs: &[Attribute], place: Place, errors: &mut Errors) -> WalAttr {
    let mut read = WalAttr::default();
    let mut seen = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("wal")) {
        match attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) {
            Ok(metas) => metas
                .iter()
                .for_each(|meta| read.take(meta, place, &mut seen, errors)),
            Err(error) => {
                errors.push(error);
                // What the attribute was to say is not known, so nothing of it counts as missing.
                read.name = Slot::Bad;
            }
        }
    }
    read
}

impl WalAttr {
    fn take(&mut self, meta: &Meta, place: Place, seen: &mut Vec<String>, errors: &mut Errors) {
        let key = meta
            .path()
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !place.keys().contains(&key.as_str()) {
            errors.at(meta.path().span(), unknown_key(meta.path(), &key, place));
            return;
        }
        if seen.contains(&key) {
            errors.at(
                meta.path().span(),
                format_args!("duplicate `wal` attribute `{key}`"),
            );
            return;
        }
        match key.as_str() {
            "name" => self.name = slot(string(meta).and_then(|lit| named(&lit)), errors),
            "version" => self.version = slot(integer(meta).and_then(|lit| version(&lit)), errors),
            "id" => self.id = slot(integer(meta).and_then(|lit| id(&lit)), errors),
            _ => match string(meta).map(|lit| lit.parse()) {
                Ok(Ok(path)) => self.krate = Some(path),
                Ok(Err(_)) => errors.push(expected(meta, "a path", "\"path::to::wal_db\"")),
                Err(error) => errors.push(error),
            },
        }
        seen.push(key);
    }
}

fn unknown_key(path: &Path, key: &str, place: Place) -> String {
    if place == Place::Enum && key == "id" {
        return "`id` belongs on a variant: each variant of an enum is a record type of its own".to_owned();
    }
    let given: Vec<_> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let keys: Vec<_> = place.keys().iter().map(|key| format!("`{key}`")).collect();
    format!(
        "unknown `wal` attribute `{}`, expected one of {}",
        given.join("::"),
        keys.join(", ")
    )
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
    match name::problem(&lit.value()) {
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

fn id(lit: &LitInt) -> syn::Result<(u32, Span)> {
    match lit.base10_parse::<u32>() {
        Ok(id) => Ok((id, lit.span())),
        Err(_) => Err(Error::new(
            lit.span(),
            "a type id is a number from 0 to 4294967295",
        )),
    }
}

fn string(meta: &Meta) -> syn::Result<LitStr> {
    match value(meta) {
        Some(Lit::Str(lit)) => Ok(lit.clone()),
        _ => Err(expected(meta, "a string", "\"...\"")),
    }
}

fn integer(meta: &Meta) -> syn::Result<LitInt> {
    match value(meta) {
        Some(Lit::Int(lit)) => Ok(lit.clone()),
        _ => Err(expected(meta, "a number", "N")),
    }
}

fn value(meta: &Meta) -> Option<&Lit> {
    match meta {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit { lit, .. }) => Some(lit),
            _ => None,
        },
        Meta::Path(_) | Meta::List(_) => None,
    }
}

fn expected(meta: &Meta, what: &str, example: &str) -> Error {
    let key = meta
        .path()
        .get_ident()
        .map(ToString::to_string)
        .unwrap_or_default();
    Error::new_spanned(meta, format_args!("`{key}` takes {what}: `{key} = {example}`"))
}
