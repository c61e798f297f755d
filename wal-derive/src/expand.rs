//! Writes the impls of `WalRecord` and `WalDecode`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::{Body, Source, Variant};
use crate::check::{Family, Record};
use crate::schema::{self, Replaced};
use crate::shapes::{Contents, RecordShapes, Shapes};
use crate::{fields, steps, today, tokens, upcast};

/// All of it. `lock` is what the comparison with `wal.lock` wants to have said at compile time; it may use the
/// constants of `shapes`.
pub(crate) fn record(
    source: &Source<'_>,
    family: &Family<'_>,
    shapes: &Shapes<'_>,
    lock: TokenStream,
) -> TokenStream {
    let is_family = matches!(source.body, Body::Enum(_));
    let (olds, types): (Vec<_>, Vec<_>) = family
        .records
        .iter()
        .zip(&shapes.records)
        .enumerate()
        .map(|(at, (record, shape))| event_type(source, at, record, shape, shapes))
        .unzip();
    let imp = record_impl(
        source,
        &family.name,
        is_family,
        &quote!(&[#(#types),*]),
        &methods(&index(source), &read_back(source)),
    );
    let items = &shapes.items;
    let marker = shapes.marker();
    let steps = match schema::replaced(source) {
        Some(Replaced::Into(ty)) => {
            let asserts = steps::of_written(source, &ty);
            quote!(const _: () = { #asserts };)
        }
        _ => {
            let records = family.records.iter().filter(|record| !record.retired);
            steps::check(source, records.flat_map(|record| &record.fields.list))
        }
    };
    let from = upcast::check_from(source, family);
    let retired = retired(source, family);
    let decode = decode_impl(source, &decoding(source, family));
    quote! {
        #[allow(deprecated, long_running_const_eval)]
        const _: () = {
            #marker
            #items
            #steps
            #(#olds)*
            #from
            #retired
            #lock
            #imp
            #decode
        };
    }
}

/// The items that it needs and the expression for one event type.
fn event_type(
    source: &Source<'_>,
    at: usize,
    record: &Record<'_>,
    shape: &RecordShapes,
    shapes: &Shapes<'_>,
) -> (TokenStream, TokenStream) {
    let krate = source.krate();
    let Record { name, version, .. } = record;
    let mut ty = match record.id {
        Some(id) => quote!(#krate::__private::EventType::with_id(#id, #name, #version)),
        None => quote!(#krate::__private::EventType::new(#name, #version)),
    };
    let schema = format_ident!("__WAL_{at}", span = Span::mixed_site());
    let older = format_ident!("__WAL_OLDER_{at}", span = Span::mixed_site());
    let mut items = TokenStream::new();
    if let Some(today) = &shape.today {
        let today = shapes.schema(today);
        items.extend(quote!(const #schema: &#krate::__private::Shape = #today;));
        ty.extend(quote!(.schema(#schema)));
    }
    if !record.aliases.is_empty() {
        let aliases = record.aliases.iter().map(|(alias, _)| alias);
        ty.extend(quote!(.aliases(&[#(#aliases),*])));
    }
    if record.retired {
        ty.extend(quote!(.retire()));
    }
    if !shape.older.is_empty() {
        let versions = shape
            .older
            .iter()
            .map(|(version, contents)| older_version(source, *version, contents, shapes));
        items.extend(quote! {
            const #older: &[#krate::__private::OlderVersion] = &[#(#versions),*];
        });
        ty.extend(quote!(.older(#older)));
    }
    if !record.from.is_empty() {
        let records = upcast::from_records(at);
        ty.extend(quote!(.from(#records)));
    }
    (items, ty)
}

fn older_version(source: &Source<'_>, version: u16, contents: &Contents, shapes: &Shapes<'_>) -> TokenStream {
    let krate = source.krate();
    let schema = shapes.schema(contents);
    quote!(#krate::__private::OlderVersion { version: #version, schema: #schema })
}

/// An impl that lets the rest of the program be checked although this type has mistakes.
pub(crate) fn fallback(source: &Source<'_>) -> TokenStream {
    // Serde refuses a union, so the impl would only add errors.
    if matches!(source.body, Body::Union(_)) {
        return TokenStream::new();
    }
    let krate = source.krate();
    let ident = source.ident;
    let methods = methods(&quote!(0), &TokenStream::new());
    let imp = record_impl(source, "", false, &quote!(&[]), &methods);
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let predicates = predicates(source);
    let params = source.generics.params.iter().map(tokens::without_default);
    let bounds = (!source.generics.params.is_empty()).then(
        || quote!(Self: #krate::__private::serde::Serialize + #krate::__private::serde::Deserialize<'de>),
    );
    quote! {
        #imp

        #[automatically_derived]
        impl<'de, #(#params),*> #krate::__private::WalDecode<'de> for #ident #ty_generics
        where #predicates #bounds {}
    }
}

/// `items` are what is not the same for every type.
pub(crate) fn record_impl(
    source: &Source<'_>,
    name: &str,
    is_family: bool,
    records: &TokenStream,
    items: &TokenStream,
) -> TokenStream {
    let krate = source.krate();
    let ident = source.ident;
    let (impl_generics, ty_generics, _) = source.generics.split_for_impl();
    let predicates = predicates(source);
    // With parameters that are refused, this bound keeps the refusal the only message about them.
    let bound =
        (!source.generics.params.is_empty()).then(|| quote!(Self: #krate::__private::serde::Serialize));
    quote! {
        #[automatically_derived]
        #[allow(deprecated, unreachable_patterns)]
        impl #impl_generics #krate::__private::WalRecord for #ident #ty_generics where #predicates #bound {
            const NAME: &'static ::core::primitive::str = #name;
            const RECORDS: &'static [#krate::__private::EventType] = #records;
            const FAMILY: ::core::primitive::bool = #is_family;

            #items
        }
    }
}

fn methods(index: &TokenStream, read_back: &TokenStream) -> TokenStream {
    quote! {
        #[inline]
        fn record_index(&self) -> ::core::primitive::usize {
            #index
        }

        #read_back
    }
}

/// What was encoded is read as the type, which may borrow from it.
pub(crate) fn read_back(source: &Source<'_>) -> TokenStream {
    let krate = source.krate();
    let ident = source.ident;
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let ty = tokens::living(quote!(#ident #ty_generics), "__wal");
    let written = tokens::local("written");
    quote! {
        fn read_back<'__wal, __C: #krate::__private::Codec>(
            #written: &#krate::__private::Written<'__wal, __C>,
        ) -> ::core::result::Result<(), #krate::__private::TypedError> {
            #written.read::<#ty>()
        }
    }
}

pub(crate) fn decode_impl(source: &Source<'_>, methods: &TokenStream) -> TokenStream {
    let krate = source.krate();
    let ident = source.ident;
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let predicates = predicates(source);
    let params = source.generics.params.iter();
    let borrowed = fields::borrowed(source);
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl<'de: #(#borrowed)+*, #(#params),*> #krate::__private::WalDecode<'de> for #ident #ty_generics
        where #predicates {
            #methods
        }
    }
}

fn decoding(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let today = today::decode_today(source, family);
    let older = upcast::decode_older(source, family);
    let other = family.other.map(|variant| decode_other(source, variant));
    quote! {
        #today
        #older
        #other
    }
}

fn decode_other(source: &Source<'_>, variant: &Variant<'_>) -> TokenStream {
    let krate = source.krate();
    let ident = variant.ident;
    let ty = variant.fields.list.first().map(|field| field.ty);
    let raw = tokens::local("raw");
    let span = ty.span();
    let taken =
        quote_spanned!(span=> <#ty as #krate::__private::Is<#krate::__private::UnknownEvent>>::from_it(#raw));
    quote! {
        fn decode_other(
            #raw: #krate::__private::UnknownEvent,
        ) -> ::core::result::Result<Self, #krate::__private::UnknownEvent> {
            ::core::result::Result::Ok(Self::#ident(#taken))
        }
    }
}

/// Retired variants hold what has no values.
fn retired(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let krate = source.krate();
    let retired = family.records.iter().filter(|record| record.retired);
    let checks = retired
        .flat_map(|record| record.fields.list.first())
        .map(|field| {
            let ty = tokens::owned(field.ty);
            quote_spanned! {field.ty.span()=>
                const _: fn(#krate::__private::Retired) -> #ty =
                    <#ty as #krate::__private::Is<#krate::__private::Retired>>::from_it;
            }
        });
    quote!(#(#checks)*)
}

/// Those of the type, each with a comma after it.
fn predicates(source: &Source<'_>) -> TokenStream {
    let clause = source.generics.where_clause.iter();
    let predicates = clause.flat_map(|clause| &clause.predicates);
    quote!(#(#predicates,)*)
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
