//! Writes how records of earlier versions are read: hidden structs for `since`, and the chain for `from`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Path};

use crate::ast::{Field, Source, Style};
use crate::attr::DefaultValue;
use crate::check::{Family, Record};
use crate::shapes::{since, style_in};
use crate::tokens;

/// `WalDecode::decode_older`, if there is anything older.
pub(crate) fn decode_older(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let krate = source.krate();
    let stored = Ident::new("stored", Span::mixed_site());
    let index = Ident::new("index", Span::mixed_site());
    let codec = Ident::new("__C", Span::mixed_site());
    let mut arms = TokenStream::new();
    for (at, record) in family.records.iter().enumerate() {
        for &version in &record.older {
            let body = read_older(source, record, version, &stored);
            arms.extend(quote!((#at, #version) => { #body }));
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
    quote! {
        fn decode_older<#codec: #krate::__private::Codec>(
            #stored: &#krate::__private::Stored<'de, #codec>,
            #index: ::core::primitive::usize,
        ) -> ::core::result::Result<#krate::__private::Upcast<Self>, #krate::__private::TypedError> {
            match (#index, #stored.version()) {
                #arms
                _ => ::core::result::Result::Err(#stored.no_migration()),
            }
        }
    }
}

/// Reads the fields of an earlier version, and takes the defaults of those that came later.
fn read_older(source: &Source<'_>, record: &Record<'_>, version: u16, stored: &Ident) -> TokenStream {
    let krate = source.krate();
    let name = format_ident!("__WalV{version}", span = Span::mixed_site());
    let old = Ident::new("old", Span::mixed_site());
    let hidden = hidden_struct(source, record, version, &name, &krate);
    let style = style_in(record, version);
    let mut position = 0_usize;
    let values = record.fields.list.iter().map(|field| {
        let member = &field.member;
        let value = if since(field) > version {
            default(field)
        } else if style == Style::Unit {
            quote!(::core::default::Default::default())
        } else {
            let from = match &field.source.ident {
                Some(ident) => ident.to_token_stream(),
                None => syn::Index::from(position).into_token_stream(),
            };
            position += 1;
            quote!(#old.#from)
        };
        quote!(#member: #value)
    });
    let variant = record
        .variant
        .map(|variant| variant.ident)
        .map(|ident| quote!(::#ident));
    quote! {
        #hidden
        let #old: #name = #stored.fields()?;
        ::core::result::Result::Ok(#krate::__private::Upcast::One(Self #variant { #(#values),* }))
    }
}

/// The fields that were there, as serde is to read them.
fn hidden_struct(
    source: &Source<'_>,
    record: &Record<'_>,
    version: u16,
    name: &Ident,
    krate: &Path,
) -> TokenStream {
    let ident = source.ident;
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let full = quote!(#ident #ty_generics);
    let declared = || record.fields.list.iter().filter(|f| since(f) <= version);
    let fields = declared().map(|field| {
        let attrs = field
            .source
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("serde"));
        let label = field.source.ident.as_ref().map(|ident| quote!(#ident:));
        let ty = tokens::without_self(field.ty, &full);
        quote!(#(#attrs)* #label #ty)
    });
    let generics = lifetimes(source, declared());
    let body = match style_in(record, version) {
        Style::Named => quote!({ #(#fields),* }),
        Style::Unit => quote!(;),
        Style::Newtype | Style::Tuple => quote!((#(#fields),*);),
    };
    let serde = quote!(#krate::__private::serde);
    let path = serde.to_string();
    let attrs = container_attrs(source, record);
    quote! {
        #[derive(#serde::Deserialize)]
        #[serde(crate = #path #attrs)]
        #[allow(dead_code, deprecated)]
        struct #name #generics #body
    }
}

/// What decides the names of fields in formats that have them.
fn container_attrs(source: &Source<'_>, record: &Record<'_>) -> TokenStream {
    let rule = match record.variant {
        None => source.serde.text("rename_all"),
        Some(variant) => variant
            .serde
            .text("rename_all")
            .or(source.serde.text("rename_all_fields")),
    };
    let rule = rule.map(|rule| quote!(, rename_all = #rule));
    let deny = source
        .serde
        .has("deny_unknown_fields")
        .then(|| quote!(, deny_unknown_fields));
    quote!(#rule #deny)
}

/// The lifetimes of the type that the fields need.
fn lifetimes<'a>(source: &Source<'_>, fields: impl Iterator<Item = &'a Field<'a>>) -> TokenStream {
    let used: Vec<String> = fields.flat_map(|field| tokens::lifetimes(field.ty)).collect();
    let params = source.generics.params.iter().filter_map(|param| match param {
        GenericParam::Lifetime(param) if used.contains(&param.lifetime.ident.to_string()) => {
            let lifetime = &param.lifetime;
            let bounds = param
                .bounds
                .iter()
                .filter(|bound| used.contains(&bound.ident.to_string()));
            Some(quote!(#lifetime: #(#bounds)+*))
        }
        _ => None,
    });
    let params: Vec<_> = params.collect();
    if params.is_empty() {
        TokenStream::new()
    } else {
        quote!(<#(#params),*>)
    }
}

fn default(field: &Field<'_>) -> TokenStream {
    let ty = field.ty;
    match (field.wal.default.get(), field.wal.default.span()) {
        (Some(DefaultValue::Text(lit)), _) => {
            quote_spanned!(lit.span()=> ::core::convert::Into::<#ty>::into(#lit))
        }
        (Some(DefaultValue::Expr(expr)), _) => expr.clone(),
        (_, span) => {
            let span = span.unwrap_or(ty.span());
            quote_spanned!(span=> <#ty as ::core::default::Default>::default())
        }
    }
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
            const #records: &[#krate::__private::RecordType] =
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

/// The constant with the record types of the type in `from`.
pub(crate) fn from_records(index: usize) -> Ident {
    format_ident!("__WAL_FROM_{index}", span = Span::mixed_site())
}
