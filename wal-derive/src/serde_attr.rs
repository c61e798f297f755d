//! The `#[serde(...)]` attributes, as far as they decide what is stored. Serde's own derive reports the malformed.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token};

use crate::errors::Errors;

pub(crate) struct SerdeAttrs(Vec<SerdeAttr>);

struct SerdeAttr {
    key: String,
    span: Span,
    /// Of `key = "..."`, or of the halves of `key(serialize = "...", deserialize = "...")`.
    written: Option<String>,
    read: Option<String>,
}

impl SerdeAttrs {
    pub(crate) fn read(attrs: &[Attribute]) -> Self {
        let serde = attrs.iter().filter(|attr| attr.path().is_ident("serde"));
        let metas = serde
            .filter_map(|attr| metas(|parser| attr.parse_args_with(parser)))
            .flatten();
        SerdeAttrs(metas.filter_map(|meta| SerdeAttr::of(&meta)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, key: &str) -> Option<&SerdeAttr> {
        self.0.iter().find(|attr| attr.key == key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn span(&self, key: &str) -> Option<Span> {
        self.get(key).map(|attr| attr.span)
    }

    /// What `key` says for writing.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.written.as_deref()
    }

    /// What each `key` says, for one that may stand several times.
    pub(crate) fn texts<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.0.iter().filter(move |attr| attr.key == key);
        same.filter_map(|attr| attr.written.as_deref())
    }

    /// What `bound` says for reading.
    pub(crate) fn read_bound(&self) -> Option<&str> {
        self.get("bound")?.read.as_deref()
    }

    /// Neither written nor read.
    pub(crate) fn skipped(&self) -> bool {
        self.has("skip") || (self.has("skip_serializing") && self.has("skip_deserializing"))
    }
}

type Metas = Punctuated<Meta, Token![,]>;

fn metas(
    parse: impl FnOnce(fn(syn::parse::ParseStream<'_>) -> syn::Result<Metas>) -> syn::Result<Metas>,
) -> Option<Metas> {
    parse(Punctuated::parse_terminated).ok()
}

impl SerdeAttr {
    fn of(meta: &Meta) -> Option<Self> {
        let key = meta.path().get_ident()?.to_string();
        let span = meta.path().span();
        let (mut written, mut read) = (None, None);
        match meta {
            Meta::Path(_) => {}
            Meta::NameValue(pair) => {
                written = string(&pair.value);
                read.clone_from(&written);
            }
            Meta::List(list) => {
                for half in metas(|parser| list.parse_args_with(parser)).into_iter().flatten() {
                    if let Meta::NameValue(pair) = &half {
                        if pair.path.is_ident("serialize") {
                            written = string(&pair.value);
                        } else if pair.path.is_ident("deserialize") {
                            read = string(&pair.value);
                        }
                    }
                }
            }
        }
        Some(SerdeAttr {
            key,
            span,
            written,
            read,
        })
    }

    fn refuse(&self, reason: &str, errors: &mut Errors) {
        errors.at(self.span, format_args!("`#[serde({})]` {reason}", self.key));
    }
}

fn string(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(lit), ..
        }) => Some(lit.value()),
        // What a macro was given comes in a group.
        Expr::Group(group) => string(&group.expr),
        Expr::Paren(paren) => string(&paren.expr),
        _ => None,
    }
}

const SELF_DESCRIBING: &str = "does not round-trip through the log: \
    it is written in a way that only a self-describing format can read back";
const NOT_THE_VARIANT: &str = "does not work for an event enum: \
    another type is written instead of the variant, which has no name in the log";
const VARIANT_SHIFTS: &str = "does not round-trip through the log: \
    the variants after it would be read back as each other; keep the variant, or remove it altogether";
const ANY_VARIANT: &str = "does not round-trip through the log: \
    a variant that this program does not know would be read as this one, and its fields as what follows";
const VARIANT_REPLACED: &str = "hides what is stored: \
    put it on a field of the variant, beside `#[wal(opaque = \"name@1\")]`";
const BY_POSITION: &str = "does not round-trip through the log: fields are read by position, \
    so one that is left out when writing shifts all that follow when reading";
const ONE_SIDED: &str = "does not round-trip through the log: \
    a field must be left out when writing and when reading, or in neither; use `skip`";
const NEVER_ABSENT: &str = "has no effect on stored events: fields are read by position, \
    so a field is never found absent from an old record; a field that a new version of an event adds \
    takes `#[wal(since = N, default)]`";
const UNKNOWN_LENGTH: &str = "does not round-trip through the log: \
    it is written as a map of unknown length, which has no place among fields that are read by position";
const TWO_NAMES: &str = "does not round-trip through the log: \
    what is written under one name and read under another is lost in a format with names";
const REMOTE: &str = "describes a type of another crate, which is not this one: \
    put `#[wal(opaque = \"name@1\")]` on the fields that hold it";
const NO_OTHER_HALF: &str = "does not round-trip through the log: \
    one type is written and another is read; use `into` together with `from` or `try_from`, with the same type";
const HIDDEN: &str = "hides what is stored: \
    name it with `#[wal(opaque = \"name@1\")]`, and change the name when the bytes change";
const NEWTYPE_SKIPPED: &str = "has no effect on the only field of a tuple struct: it is written all the same";

pub(crate) fn check_type(attrs: &SerdeAttrs, is_family: bool, errors: &mut Errors) {
    let converted = attrs.text("into");
    let read_as = attrs.text("from").or(attrs.text("try_from"));
    for attr in &attrs.0 {
        let reason = match attr.key.as_str() {
            "tag" | "content" | "untagged" => SELF_DESCRIBING,
            "default" => NEVER_ABSENT,
            "remote" => REMOTE,
            "from" | "try_from" | "into" if is_family => NOT_THE_VARIANT,
            "transparent" if is_family => NOT_THE_VARIANT,
            "from" | "try_from" | "into" if !same_type(converted, read_as) => NO_OTHER_HALF,
            "rename_all" | "rename_all_fields" if attr.written != attr.read => TWO_NAMES,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

/// As far as text can say it.
fn same_type(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let plain = |text: &str| text.split_whitespace().collect::<String>();
            plain(a) == plain(b)
        }
        _ => false,
    }
}

pub(crate) fn check_variant(attrs: &SerdeAttrs, errors: &mut Errors) {
    for attr in &attrs.0 {
        let reason = match attr.key.as_str() {
            "untagged" => SELF_DESCRIBING,
            "skip" | "skip_serializing" | "skip_deserializing" => VARIANT_SHIFTS,
            "other" => ANY_VARIANT,
            "with" | "serialize_with" | "deserialize_with" => VARIANT_REPLACED,
            "rename" | "rename_all" if attr.written != attr.read => TWO_NAMES,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

pub(crate) fn check_field(attrs: &SerdeAttrs, is_opaque: bool, errors: &mut Errors) {
    let written = !attrs.has("skip") && !attrs.has("skip_serializing");
    let read = !attrs.has("skip") && !attrs.has("skip_deserializing");
    for attr in &attrs.0 {
        let reason = match attr.key.as_str() {
            "skip_serializing_if" => BY_POSITION,
            "flatten" => UNKNOWN_LENGTH,
            "skip_serializing" | "skip_deserializing" if read != written => ONE_SIDED,
            "default" if read && written => NEVER_ABSENT,
            "with" | "serialize_with" | "deserialize_with" if !is_opaque && (read || written) => HIDDEN,
            "rename" if attr.written != attr.read => TWO_NAMES,
            _ => continue,
        };
        attr.refuse(reason, errors);
    }
}

/// A tuple struct with one field is written as that field, whatever it says.
pub(crate) fn check_newtype(attrs: &SerdeAttrs, errors: &mut Errors) {
    let skips = attrs
        .0
        .iter()
        .find(|attr| attr.key.starts_with("skip") && attr.key != "skip_serializing_if");
    if let Some(attr) = skips
        && attrs.skipped()
    {
        attr.refuse(NEWTYPE_SKIPPED, errors);
    }
}
