//! Writes how the events of an enum are read: the envelope says which variant it is, so only its fields are read, and
//! the variant is assembled where the event is wanted.
//!
//! Reading the enum by serde would do as well. But then every layer hands on an enum, which the compiler keeps in
//! memory and copies each time, where it takes a struct apart.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::ast::{Source, Style};
use crate::check::{Family, Record};
use crate::fields::{self, Part};
use crate::method::Method;
use crate::tokens;

/// `WalDecode::decode_today`, unless serde reads them all.
pub(crate) fn decode_today(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let method = Method::new(source);
    let Method { stored, index, .. } = &method;
    let mut arms = TokenStream::new();
    for (at, record) in family.records.iter().enumerate() {
        let body = read_variant(source, record, stored);
        arms.extend(body.map(|body| quote!(#at => ::core::result::Result::Ok({ #body }),)));
    }
    if arms.is_empty() {
        return arms;
    }
    let head = quote!(#[inline(always)] fn decode_today);
    let body = quote! {
        match #index {
            #arms
            _ => #stored.whole(#index),
        }
    };
    method.write(&head, &quote!(Self), &body)
}

/// Nothing for a variant that is left to serde: one without fields, or whose attributes have no place around a tuple.
fn read_variant(source: &Source<'_>, record: &Record<'_>, stored: &Ident) -> Option<TokenStream> {
    let variant = record
        .variant
        .filter(|variant| !record.retired && !variant.serde.has("borrow"))?;
    let ident = variant.ident;
    let plain = || record.fields.list.iter().all(|field| field.serde.is_empty());
    let values: Vec<_> = (0..record.fields.list.len())
        .map(|at| tokens::local(&format!("value{at}")))
        .collect();
    let pattern = match record.fields.style {
        Style::Named => {
            let part = Part {
                source,
                variant: record.variant,
                fields: record.fields,
                version: record.version,
                is_today: true,
            };
            return Some(fields::read(&part, &quote!(#stored.fields()?)));
        }
        Style::Newtype if plain() => quote!(#(#values),*),
        Style::Tuple if plain() && values.len() <= MAX_TUPLE => quote!((#(#values),*)),
        Style::Unit | Style::Newtype | Style::Tuple => return None,
    };
    Some(quote! {
        let #pattern = #stored.fields()?;
        Self::#ident(#(#values),*)
    })
}

/// The longest tuple that serde reads.
const MAX_TUPLE: usize = 16;
