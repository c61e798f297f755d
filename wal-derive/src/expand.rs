//! Writes the impls of `WalRecord` and `WalDecode`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::ast::{Body, Source};
use crate::check::{Family, Record};
use crate::schema::Writer;

pub(crate) fn record(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let krate = source.krate();
    let name = &family.name;
    let is_family = matches!(source.body, Body::Enum(_));
    let mut writer = Writer::outside(source);
    let records: Vec<_> = family
        .records
        .iter()
        .map(|record| {
            let Record {
                name, version, id, ..
            } = record;
            let schema = writer.fields(record.fields, !is_family);
            let schema = writer.whole(schema);
            match id {
                Some(id) => {
                    quote!(#krate::__private::RecordType::with_id(#id, #name, #version).schema(#schema))
                }
                None => quote!(#krate::__private::RecordType::new(#name, #version).schema(#schema)),
            }
        })
        .collect();
    let index = index(source);
    let marker = writer.marker();
    let imp = imp(
        source,
        quote!(#name),
        quote!(#is_family),
        quote!(#(#records),*),
        index,
    );
    quote!(const _: () = { #marker #imp };)
}

/// An impl that lets the rest of the program be checked although this type has mistakes.
pub(crate) fn fallback(source: &Source<'_>) -> TokenStream {
    match source.body {
        // Serde refuses a union, so the impl would only add errors.
        Body::Union(_) => TokenStream::new(),
        Body::Struct(_) | Body::Enum(_) => imp(source, quote!(""), quote!(false), quote!(), quote!(0)),
    }
}

fn imp(
    source: &Source<'_>,
    name: TokenStream,
    is_family: TokenStream,
    records: TokenStream,
    index: TokenStream,
) -> TokenStream {
    let krate = source.krate();
    let ident = source.ident;
    let (impl_generics, ty_generics, where_clause) = source.generics.split_for_impl();
    let where_clause = if source.generics.params.is_empty() {
        quote!(#where_clause)
    } else {
        // Generics are refused, and this bound keeps the refusal the only message about them.
        let predicates = where_clause.iter().flat_map(|clause| &clause.predicates);
        quote!(where #(#predicates,)* Self: #krate::__private::serde::Serialize)
    };
    let decode = source.generics.params.is_empty().then(|| {
        quote! {
            #[automatically_derived]
            impl<'de> #krate::__private::WalDecode<'de> for #ident {}
        }
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #krate::__private::WalRecord for #ident #ty_generics #where_clause {
            const NAME: &'static ::core::primitive::str = #name;
            const RECORDS: &'static [#krate::__private::RecordType] = &[#records];
            const FAMILY: ::core::primitive::bool = #is_family;

            #[inline]
            fn record_index(&self) -> ::core::primitive::usize {
                #index
            }
        }

        #decode
    }
}

fn index(source: &Source<'_>) -> TokenStream {
    let Body::Enum(variants) = &source.body else {
        return quote!(0);
    };
    let arms = variants.iter().enumerate().map(|(index, variant)| {
        let ident = variant.ident;
        quote!(Self::#ident { .. } => #index)
    });
    quote!(match self { #(#arms),* })
}
