//! Writes how records of earlier versions are read: from the fields that they had, and by the chain for `from`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;
use syn::spanned::Spanned;

use crate::ast::Source;
use crate::check::Family;
use crate::method::Method;
use crate::{fields, tokens};

/// `WalDecode::decode_older`, if there is anything older.
pub(crate) fn decode_older(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let method = Method::new(source);
    let Method {
        krate,
        stored,
        index,
        codec,
    } = &method;
    let mut arms = TokenStream::new();
    for (at, record) in family.records.iter().enumerate() {
        for &version in &record.older {
            let body = fields::read(source, record, version, stored);
            let one = quote!(#krate::__private::Upcast::One({ #body }));
            arms.extend(quote!((#at, #version) => ::core::result::Result::Ok(#one),));
        }
        if let Some(old) = record.from {
            let read = quote_spanned!(old.span()=> #stored.older::<#old>()?);
            let converted = match record.split {
                Some(split) => quote_spanned!(split.span()=> #read.split::<Self, _>(#split)),
                None => quote_spanned!(old.span()=> #read.convert::<Self, #codec>(#stored)?),
            };
            arms.extend(quote!((#at, _) => ::core::result::Result::Ok(#converted),));
        }
    }
    if arms.is_empty() {
        return arms;
    }
    let body = quote! {
        match (#index, #stored.version()) {
            #arms
            _ => ::core::result::Result::Err(#stored.no_migration()),
        }
    };
    let returns = quote!(#krate::__private::Upcast<Self>);
    method.write(&quote!(fn decode_older), &returns, &body)
}

/// What must hold for the type in `from`, said at compile time where it is named.
pub(crate) fn check_from(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let krate = source.krate();
    let mut items = TokenStream::new();
    for (at, record) in family.records.iter().enumerate() {
        let Some(old) = record.from else { continue };
        let (name, before) = (&record.name, record.first() - 1);
        let ty = tokens::owned(old);
        let records = from_records(at);
        let problem = format_ident!("__WAL_FROM_PROBLEM_{at}", span = Span::mixed_site());
        let on_it = format!("`#[wal(name = \"{name}\", version = {before})]`");
        let is_struct = format!(
            "`from` takes a struct: an earlier version of `{name}` is a type of its own, with {on_it}"
        );
        let same_name = format!(
            "`from` takes an earlier version of `{name}`, and this type has another name: it needs {on_it}"
        );
        let version = format!(
            "`from` takes version {before} of `{name}`, and this type is another version: \
             each type of a chain is converted from the version before the first that it reads itself"
        );
        items.extend(quote_spanned! {old.span()=>
            const #records: &[#krate::__private::EventType] =
                <#ty as #krate::__private::WalRecord>::RECORDS;
            const #problem: #krate::__private::ChainProblem = #krate::__private::ChainProblem::of(
                #records, <#ty as #krate::__private::WalRecord>::FAMILY, #name, #before,
            );
            const _: () = ::core::assert!(!#problem.is_family(), #is_struct);
            const _: () = ::core::assert!(!#problem.is_name(), #same_name);
            const _: () = ::core::assert!(!#problem.is_version(), #version);
        });
    }
    items
}

/// The constant with the event types of the type in `from`.
pub(crate) fn from_records(index: usize) -> Ident {
    format_ident!("__WAL_FROM_{index}", span = Span::mixed_site())
}
