//! Writes how the fields of one version are read: as a hidden struct that serde reads, from which the type is put
//! together.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Lifetime, Path};

use crate::ast::{Body, Field, Source, Style};
use crate::attr::DefaultValue;
use crate::check::Record;
use crate::shapes::{since, style_in};
use crate::tokens;

/// The statements that read the fields of a version, and the value with them and the defaults of those that came later.
pub(crate) fn read(source: &Source<'_>, record: &Record<'_>, version: u16, stored: &Ident) -> TokenStream {
    let krate = source.krate();
    let name = format_ident!("__WalV{version}", span = Span::mixed_site());
    let old = tokens::local("old");
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
    let of = |field: &Field<'_>| tokens::without_self(field.ty, &full);
    let lifetimes: Vec<String> = declared()
        .flat_map(|field| tokens::lifetimes(of(field)))
        .collect();
    let fields = declared().map(|field| {
        let attrs = field
            .source
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("serde"));
        let label = field.source.ident.as_ref().map(|ident| quote!(#ident:));
        let ty = of(field);
        quote!(#(#attrs)* #label #ty)
    });
    let (params, predicates) = generics(source, &lifetimes);
    let body = match style_in(record, version) {
        Style::Named => quote!(#predicates { #(#fields),* }),
        Style::Unit => quote!(;),
        Style::Newtype | Style::Tuple => quote!((#(#fields),*) #predicates;),
    };
    let bound = bound(source, &lifetimes);
    let serde = quote!(#krate::__private::serde);
    let path = serde.to_string();
    let attrs = container_attrs(source, record, version);
    quote! {
        #[derive(#serde::Deserialize)]
        #[serde(crate = #path #attrs #bound)]
        #[allow(dead_code, deprecated, non_snake_case, clippy::all)]
        struct #name #params #body
    }
}

/// What decides the names in formats that have them, and in errors.
fn container_attrs(source: &Source<'_>, record: &Record<'_>, version: u16) -> TokenStream {
    let ident = source.ident;
    let (on_type, on_variant) = match style_in(record, version) {
        Style::Named => ("struct", "struct variant"),
        Style::Newtype | Style::Tuple => ("tuple struct", "tuple variant"),
        Style::Unit => ("unit struct", "unit variant"),
    };
    let (label, what) = match record.variant {
        None => (source.label(), format!("{on_type} {ident}")),
        Some(variant) => (
            variant.label.clone(),
            format!("{on_variant} {ident}::{}", variant.ident),
        ),
    };
    let what = match source.serde.text("expecting") {
        Some(what) => what.to_owned(),
        None if version == record.version => what,
        None => format!("{what} in version {version}"),
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

/// The parameters of the type that the fields need, and what it says of them.
fn generics(source: &Source<'_>, lifetimes: &[String]) -> (TokenStream, TokenStream) {
    let is_used = |lifetime: &Lifetime| lifetimes.contains(&lifetime.ident.to_string());
    let params = source
        .generics
        .lifetimes()
        .filter(|param| is_used(&param.lifetime));
    let params: Vec<_> = params
        .map(|param| {
            let lifetime = &param.lifetime;
            let bounds = param.bounds.iter().filter(|bound| is_used(bound));
            quote!(#lifetime: #(#bounds)+*)
        })
        .collect();
    if params.is_empty() {
        return (TokenStream::new(), TokenStream::new());
    }
    let clause = source.generics.where_clause.iter();
    let predicates: Vec<_> = clause
        .flat_map(|clause| &clause.predicates)
        .filter(|predicate| {
            tokens::lifetimes(predicate)
                .iter()
                .all(|name| lifetimes.contains(name))
        })
        .collect();
    (quote!(<#(#params),*>), quote!(where #(#predicates),*))
}

/// Serde finds out by itself what a field borrows; but what is borrowed by any variant is, for the whole type.
fn bound(source: &Source<'_>, lifetimes: &[String]) -> Option<TokenStream> {
    let borrowed = borrowed(source);
    let used = borrowed
        .iter()
        .filter(|lifetime| lifetimes.contains(&lifetime.ident.to_string()));
    let bounds: Vec<_> = used.map(|lifetime| format!("'de: {lifetime}")).collect();
    let bounds = bounds.join(", ");
    (!bounds.is_empty()).then(|| quote!(, bound(deserialize = #bounds)))
}

/// The lifetimes of what the type borrows from the record, as serde's derive finds them.
pub(crate) fn borrowed(source: &Source<'_>) -> Vec<Lifetime> {
    let mut names = Vec::new();
    let mut add = |field: &Field<'_>, on_variant: bool| {
        if !field.stored() {
            return;
        }
        if on_variant || field.serde.has("borrow") || tokens::is_borrowed(field.ty) {
            names.extend(tokens::lifetimes(field.ty));
        }
    };
    match &source.body {
        Body::Struct(fields) => fields.list.iter().for_each(|field| add(field, false)),
        Body::Enum(variants) => {
            for variant in variants {
                let on_variant = variant.serde.has("borrow");
                variant.fields.list.iter().for_each(|f| add(f, on_variant));
            }
        }
        Body::Union(_) => {}
    }
    let own = source.generics.lifetimes().map(|param| &param.lifetime);
    own.filter(|lifetime| names.contains(&lifetime.ident.to_string()))
        .cloned()
        .collect()
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
            quote_spanned!(lit.span()=> ::std::convert::Into::<#ty>::into(#lit))
        }
        (Some(DefaultValue::Expr(expr)), _) => expr.clone(),
        (_, span) => {
            let span = span.unwrap_or(ty.span());
            quote_spanned!(span=> <#ty as ::std::default::Default>::default())
        }
    }
}
