//! Writes how the fields of one version are read: as a hidden struct that serde reads, from which the type is put
//! together.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Path};

use crate::ast::{Field, Source, Style};
use crate::attr::DefaultValue;
use crate::check::Record;
use crate::shapes::{since, style_in};
use crate::tokens;

/// The statements that read the fields of a version, and the value with them and the defaults of those that came later.
pub(crate) fn read(source: &Source<'_>, record: &Record<'_>, version: u16, stored: &Ident) -> TokenStream {
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
            skipped(field)
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
        Self #variant { #(#values),* }
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
    let attrs = container_attrs(source, record, version);
    quote! {
        #[derive(#serde::Deserialize)]
        #[serde(crate = #path #attrs)]
        #[allow(dead_code, deprecated, non_snake_case)]
        struct #name #generics #body
    }
}

/// What decides the names in formats that have them, and in errors.
fn container_attrs(source: &Source<'_>, record: &Record<'_>, version: u16) -> TokenStream {
    let ident = source.ident;
    let (label, what) = match record.variant {
        None => (source.label(), format!("struct {ident}")),
        Some(variant) => (
            variant.label.clone(),
            format!("struct variant {ident}::{}", variant.ident),
        ),
    };
    let what = if version == record.version {
        what
    } else {
        format!("{what} in version {version}")
    };
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
    quote!(, rename = #label, expecting = #what #rule #deny)
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

/// What serde would make of a field that is not stored.
fn skipped(field: &Field<'_>) -> TokenStream {
    let path = field.serde.text("default").map(syn::parse_str::<Path>);
    match path {
        Some(Ok(path)) => quote!(#path()),
        _ => quote!(::core::default::Default::default()),
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
