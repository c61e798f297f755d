//! What the type says: its attributes taken apart, its variants and fields in order.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Generics, Ident, Path};

use crate::attr::{self, Place, WalAttr};
use crate::errors::Errors;
use crate::serde_attr::SerdeAttr;

pub(crate) struct Source<'a> {
    pub ident: &'a Ident,
    pub generics: &'a Generics,
    pub wal: WalAttr,
    pub serde: Vec<SerdeAttr>,
    pub body: Body<'a>,
}

pub(crate) enum Body<'a> {
    Struct(Vec<Field>),
    Enum(Vec<Variant<'a>>),
    /// Holds the span of the keyword.
    Union(Span),
}

pub(crate) struct Variant<'a> {
    pub ident: &'a Ident,
    pub wal: WalAttr,
    pub serde: Vec<SerdeAttr>,
    pub fields: Vec<Field>,
}

pub(crate) struct Field {
    pub serde: Vec<SerdeAttr>,
}

impl Source<'_> {
    /// The path of the crate `wal_db`.
    pub(crate) fn krate(&self) -> Path {
        self.wal
            .krate
            .clone()
            .unwrap_or_else(|| syn::parse_quote!(::wal_db))
    }
}

/// In the order of the source, so that the errors are.
pub(crate) fn read<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Source<'a> {
    let place = match input.data {
        Data::Enum(_) => Place::Enum,
        Data::Struct(_) | Data::Union(_) => Place::Struct,
    };
    Source {
        ident: &input.ident,
        generics: &input.generics,
        wal: attr::read(&input.attrs, place, errors),
        serde: SerdeAttr::read(&input.attrs),
        body: match &input.data {
            Data::Struct(data) => Body::Struct(fields(&data.fields, errors)),
            Data::Enum(data) => Body::Enum(data.variants.iter().map(|v| variant(v, errors)).collect()),
            Data::Union(data) => Body::Union(data.union_token.span),
        },
    }
}

fn variant<'a>(variant: &'a syn::Variant, errors: &mut Errors) -> Variant<'a> {
    Variant {
        ident: &variant.ident,
        wal: attr::read(&variant.attrs, Place::Variant, errors),
        serde: SerdeAttr::read(&variant.attrs),
        fields: fields(&variant.fields, errors),
    }
}

fn fields(fields: &Fields, errors: &mut Errors) -> Vec<Field> {
    let mut read = Vec::with_capacity(fields.len());
    for field in fields {
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("wal")) {
            errors.at(attr.path().span(), "a field takes no `wal` attribute");
        }
        read.push(Field {
            serde: SerdeAttr::read(&field.attrs),
        });
    }
    read
}
