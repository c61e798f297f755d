//! What the type says: its attributes taken apart, its variants and fields in order.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Generics, Ident, Member, Path, Type};

use crate::attr::{self, Place, WalAttr};
use crate::case::Rule;
use crate::errors::Errors;
use crate::serde_attr::SerdeAttrs;
use crate::tokens;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    Record,
    Schema,
}

pub(crate) struct Source<'a> {
    /// Whether it is an event type or an enum of them, whichever derive reads it.
    pub derive: Derive,
    pub ident: &'a Ident,
    pub generics: &'a Generics,
    pub wal: WalAttr,
    pub serde: SerdeAttrs,
    pub body: Body<'a>,
}

pub(crate) enum Body<'a> {
    Struct(Fields<'a>),
    Enum(Vec<Variant<'a>>),
    /// Holds the span of the keyword.
    Union(Span),
}

impl<'a> Body<'a> {
    /// All fields, of all variants.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field<'a>> {
        let (fields, variants) = match self {
            Body::Struct(fields) => (&fields.list[..], &[][..]),
            Body::Enum(variants) => (&[][..], &variants[..]),
            Body::Union(_) => (&[][..], &[][..]),
        };
        fields
            .iter()
            .chain(variants.iter().flat_map(|variant| &variant.fields.list))
    }
}

pub(crate) struct Variant<'a> {
    pub ident: &'a Ident,
    pub attrs: &'a [syn::Attribute],
    pub wal: WalAttr,
    pub serde: SerdeAttrs,
    pub fields: Fields<'a>,
    /// The name that serde gives it.
    pub label: String,
}

impl Variant<'_> {
    /// The first version of a type inside an event that has the variant.
    pub(crate) fn since(&self) -> u16 {
        self.wal.since.get().copied().unwrap_or(1)
    }
}

pub(crate) struct Fields<'a> {
    pub style: Style,
    pub list: Vec<Field<'a>>,
}

impl<'a> Fields<'a> {
    /// Those that a version has.
    pub(crate) fn in_version(&self, version: u16) -> impl Iterator<Item = &Field<'a>> {
        self.list.iter().filter(move |field| field.since() <= version)
    }

    /// How serde handed over the fields of a version, which may have been fewer.
    pub(crate) fn style_in(&self, version: u16) -> Style {
        if let Style::Named | Style::Unit = self.style {
            return self.style;
        }
        let mut declared = self.in_version(version);
        match (declared.next(), declared.next()) {
            (Some(only), None) if !only.stored() => Style::Unit,
            (Some(_), None) => Style::Newtype,
            _ => Style::Tuple,
        }
    }
}

/// How serde hands the fields to a format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Unit,
    /// One field without a name.
    Newtype,
    Tuple,
    Named,
}

pub(crate) struct Field<'a> {
    pub member: Member,
    pub ty: &'a Type,
    pub wal: WalAttr,
    pub serde: SerdeAttrs,
    pub source: &'a syn::Field,
    /// The name that serde gives it; empty for a field without a name.
    pub label: String,
}

impl Field<'_> {
    /// The name of the field, or its type if it has none.
    pub(crate) fn span(&self) -> Span {
        match &self.source.ident {
            Some(ident) => ident.span(),
            None => self.ty.span(),
        }
    }

    pub(crate) fn stored(&self) -> bool {
        !self.serde.skipped()
    }

    /// The first version of the holder that has the field.
    pub(crate) fn since(&self) -> u16 {
        self.wal.since.get().copied().unwrap_or(1)
    }

    /// The version that the field's type had in a version of the holder; nothing if it is today's.
    pub(crate) fn inner(&self, holder: u16) -> Option<u16> {
        let steps = self.wal.changed.get()?;
        let taken = steps.iter().filter(|step| **step <= holder).count();
        u16::try_from(taken + 1).ok().filter(|_| taken < steps.len())
    }
}

impl Source<'_> {
    /// Whether what it holds can have other versions than it has itself: it has none, and is as its type parameters
    /// are.
    pub(crate) fn passes_on(&self) -> bool {
        self.derive == Derive::Schema
            && self.wal.version.get().is_none_or(|version| *version == 1)
            && self.generics.type_params().next().is_some()
    }

    /// Whether the type is a part of this field of it, and not only named there.
    pub(crate) fn holds_itself(&self, field: &Field<'_>) -> bool {
        let says_so = !field.wal.recursive.is_absent();
        tokens::mentions_self(field.ty, self.ident) && (says_so || tokens::holds_self(field.ty, self.ident))
    }

    /// What has versions where they are passed on, so that all fields have: the type parameters, and fields that depend
    /// on more. With `bound` it is not the parameters, so it is the fields; but not those that hold the type itself.
    pub(crate) fn passed_on(&self) -> Vec<TokenStream> {
        let has_bound = !self.wal.bound.is_absent();
        let fields = self.body.fields();
        let fields = fields.filter(|field| field.stored() && field.wal.opaque.is_absent());
        let generic: Vec<_> = fields
            .filter(|field| tokens::mentions_param(field.ty, self.generics))
            .collect();
        let names: Vec<_> = generic.iter().flat_map(|field| tokens::names(field.ty)).collect();
        let params = self.generics.type_params().map(|param| &param.ident);
        let params = params.filter(|param| !has_bound && names.contains(&param.to_string()));
        let fields = generic.iter().map(|field| field.ty).filter(|ty| match has_bound {
            true => !tokens::mentions_self(ty, self.ident),
            false => tokens::mentions_more(ty, self.generics),
        });
        let fields = fields.map(ToTokens::to_token_stream);
        params.map(ToTokens::to_token_stream).chain(fields).collect()
    }

    /// The version of a field's type in a version of this one, as an argument; nothing if it is today's. Where versions
    /// are passed on it is the parameter of what is written for them.
    pub(crate) fn inner(&self, field: &Field<'_>, version: u16) -> Option<TokenStream> {
        if self.derive == Derive::Schema && field.wal.opaque.is_absent() && field.wal.changed.is_absent() {
            let holds_itself = self.holds_itself(field);
            if self.passes_on() && (holds_itself || tokens::mentions_param(field.ty, self.generics)) {
                return Some(parameter().into_token_stream());
            }
            if holds_itself {
                return Some(version.into_token_stream());
            }
        }
        field.inner(version).map(ToTokens::into_token_stream)
    }

    /// The path of the crate `wal_db`.
    pub(crate) fn krate(&self) -> Path {
        self.wal
            .krate
            .clone()
            .unwrap_or_else(|| syn::parse_quote!(::wal_db))
    }

    /// The name that serde gives it.
    pub(crate) fn label(&self) -> String {
        match self.serde.text("rename") {
            Some(label) => label.to_owned(),
            None => self.ident.unraw().to_string(),
        }
    }
}

/// The version, as a parameter of what is written for all of them.
pub(crate) fn parameter() -> Ident {
    Ident::new("__W", Span::mixed_site())
}

/// In the order of the source, so that the errors are.
pub(crate) fn read<'a>(input: &'a DeriveInput, derive: Derive, errors: &mut Errors) -> Source<'a> {
    let place = match (derive, &input.data) {
        (Derive::Schema, _) => Place::Nested,
        (Derive::Record, Data::Enum(_)) => Place::Enum,
        (Derive::Record, Data::Struct(_) | Data::Union(_)) => Place::Struct,
    };
    let wal = attr::read(&input.attrs, place, errors);
    let serde = SerdeAttrs::read(&input.attrs);
    let body = match &input.data {
        Data::Struct(data) => Body::Struct(fields(&data.fields, serde.text("rename_all"), derive, errors)),
        Data::Enum(data) => Body::Enum(
            data.variants
                .iter()
                .map(|v| variant(v, &serde, derive, errors))
                .collect(),
        ),
        Data::Union(data) => Body::Union(data.union_token.span),
    };
    Source {
        derive,
        ident: &input.ident,
        generics: &input.generics,
        wal,
        serde,
        body,
    }
}

fn variant<'a>(
    variant: &'a syn::Variant,
    on_type: &SerdeAttrs,
    derive: Derive,
    errors: &mut Errors,
) -> Variant<'a> {
    let place = match derive {
        Derive::Record => Place::Variant,
        Derive::Schema => Place::NestedVariant,
    };
    let serde = SerdeAttrs::read(&variant.attrs);
    let wal = attr::read(&variant.attrs, place, errors);
    let name = variant.ident.unraw().to_string();
    let label = match (serde.text("rename"), on_type.text("rename_all")) {
        (Some(label), _) => label.to_owned(),
        (None, Some(rule)) => Rule(rule).variant(&name),
        (None, None) => name,
    };
    let rule = serde
        .text("rename_all")
        .or(on_type.text("rename_all_fields"))
        .map(str::to_owned);
    let mut fields = fields(&variant.fields, rule.as_deref(), derive, errors);
    // Serde writes a variant whose only field is skipped as one without fields.
    if fields.style == Style::Newtype && !fields.list[0].stored() {
        fields.style = Style::Unit;
    }
    Variant {
        ident: &variant.ident,
        attrs: &variant.attrs,
        wal,
        serde,
        fields,
        label,
    }
}

fn fields<'a>(
    fields: &'a syn::Fields,
    rename_all: Option<&str>,
    derive: Derive,
    errors: &mut Errors,
) -> Fields<'a> {
    let place = match derive {
        Derive::Record => Place::Field,
        Derive::Schema => Place::NestedField,
    };
    let style = match fields {
        syn::Fields::Unit => Style::Unit,
        syn::Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Style::Newtype,
        syn::Fields::Unnamed(_) => Style::Tuple,
        syn::Fields::Named(_) => Style::Named,
    };
    let list = fields.iter().enumerate().map(|(index, source)| {
        let serde = SerdeAttrs::read(&source.attrs);
        let label = source.ident.as_ref().map(|ident| {
            let name = ident.unraw().to_string();
            match (serde.text("rename"), rename_all) {
                (Some(label), _) => label.to_owned(),
                (None, Some(rule)) => Rule(rule).field(&name),
                (None, None) => name,
            }
        });
        Field {
            member: match &source.ident {
                Some(ident) => Member::Named(ident.clone()),
                None => Member::from(index),
            },
            ty: &source.ty,
            wal: attr::read(&source.attrs, place, errors),
            serde,
            source,
            label: label.unwrap_or_default(),
        }
    });
    Fields {
        style,
        list: list.collect(),
    }
}

/// Whether it is an event type, or an enum of them.
pub(crate) fn is_record(input: &DeriveInput) -> bool {
    let mut unheard = Errors::default();
    let wal = attr::read(&input.attrs, Place::Enum, &mut unheard);
    !(wal.name.is_absent() && wal.families.is_absent())
}
