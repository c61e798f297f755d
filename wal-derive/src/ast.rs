//! What the type says: its attributes taken apart, its variants and fields in order.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Generics, Ident, Member, Path, Type};

use crate::attr::{self, Place, WalAttr};
use crate::case::Rule;
use crate::errors::Errors;
use crate::serde_attr::SerdeAttrs;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    Record,
    Schema,
}

pub(crate) struct Source<'a> {
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

pub(crate) struct Variant<'a> {
    pub ident: &'a Ident,
    pub wal: WalAttr,
    pub serde: SerdeAttrs,
    pub fields: Fields<'a>,
    /// The name that serde gives it.
    pub label: String,
}

pub(crate) struct Fields<'a> {
    pub style: Style,
    pub list: Vec<Field<'a>>,
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
}

impl Source<'_> {
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
