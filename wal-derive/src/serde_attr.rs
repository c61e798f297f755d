//! The `#[serde(...)]` attributes, as far as they decide what can be stored. Serde's own derive reports the
//! malformed.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Meta, Token};

use crate::errors::Errors;

pub(crate) struct SerdeAttr {
    key: String,
    span: Span,
}

impl SerdeAttr {
    pub(crate) fn read(attrs: &[Attribute]) -> Vec<SerdeAttr> {
        let serde = attrs.iter().filter(|attr| attr.path().is_ident("serde"));
        serde
            .filter_map(|attr| {
                attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                    .ok()
            })
            .flatten()
            .filter_map(|meta| {
                Some(SerdeAttr {
                    key: meta.path().get_ident()?.to_string(),
                    span: meta.path().span(),
                })
            })
            .collect()
    }
}

const SELF_DESCRIBING: &str = "does not round-trip through the log: \
    it is written in a way that only a self-describing format can read back";
const NOT_THE_VARIANT: &str = "does not work for an event enum: \
    another type is written in place of the variant, which has no name in the log";
const VARIANT_SHIFTS: &str = "does not round-trip through the log: \
    the variants behind it would be read back as each other; keep the variant, or remove it altogether";
const BY_POSITION: &str = "does not round-trip through the log: fields are read by position, \
    so one that is left out when writing shifts all that follow when reading";
const ONE_SIDED: &str = "does not round-trip through the log: \
    a field must be left out when writing and when reading, or in neither; use `skip`";
const NEVER_ABSENT: &str = "has no effect on stored events: fields are read by position, \
    so a field is never found absent from an old record; give the type a new version, or `skip` the field";
const UNKNOWN_LENGTH: &str = "does not round-trip through the log: \
    it is written as a map of unknown length, which has no place among fields that are read by position";

/// Attributes on the type.
pub(crate) fn check_type(attrs: &[SerdeAttr], is_enum: bool, errors: &mut Errors) {
    for attr in attrs {
        let reason = match attr.key.as_str() {
            "tag" | "content" | "untagged" => SELF_DESCRIBING,
            "default" => NEVER_ABSENT,
            "from" | "try_from" | "into" if is_enum => NOT_THE_VARIANT,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

/// Attributes on a variant.
pub(crate) fn check_variant(attrs: &[SerdeAttr], errors: &mut Errors) {
    for attr in attrs {
        let reason = match attr.key.as_str() {
            "untagged" => SELF_DESCRIBING,
            "skip" | "skip_serializing" | "skip_deserializing" => VARIANT_SHIFTS,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

/// Attributes on a field.
pub(crate) fn check_field(attrs: &[SerdeAttr], errors: &mut Errors) {
    let has = |key: &str| attrs.iter().any(|attr| attr.key == key);
    let written = !has("skip") && !has("skip_serializing");
    let read = !has("skip") && !has("skip_deserializing");
    for attr in attrs {
        let reason = match attr.key.as_str() {
            "skip_serializing_if" => BY_POSITION,
            "flatten" => UNKNOWN_LENGTH,
            "skip_serializing" | "skip_deserializing" if read != written => ONE_SIDED,
            "default" if read && written => NEVER_ABSENT,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

impl SerdeAttr {
    fn refuse(&self, reason: &str, errors: &mut Errors) {
        errors.at(self.span, format_args!("`#[serde({})]` {reason}", self.key));
    }
}
