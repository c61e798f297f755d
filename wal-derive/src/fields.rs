//! Writes how the fields of one version are read: as a hidden type that serde reads, from which the type is put
//! together.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Lifetime, Path, Token, TypeParamBound, WherePredicate};

use crate::ast::{Body, Field, Fields, Source, Style, Variant, parameter};
use crate::attr::DefaultValue;
use crate::tokens;

/// A struct, or a variant whose fields are read alone, in one version.
pub(crate) struct Part<'s, 'a> {
    pub source: &'s Source<'a>,
    pub variant: Option<&'s Variant<'a>>,
    pub fields: &'s Fields<'a>,
    pub version: u16,
    pub is_today: bool,
}

/// The statements that read the fields of a version, and the value with them and the defaults of those that came later.
/// `reader` is what the hidden struct is read by.
pub(crate) fn read(part: &Part<'_, '_>, reader: &TokenStream) -> TokenStream {
    let name = hidden(part.version);
    let old = tokens::local("old");
    let item = hidden_struct(part, &name);
    let values = values(part.fields, part.version, |field, position| {
        let from = match &field.source.ident {
            Some(ident) => ident.to_token_stream(),
            None => syn::Index::from(position).into_token_stream(),
        };
        quote!(#old.#from)
    });
    let variant = part.variant.map(|variant| variant.ident);
    let variant = variant.map(|ident| quote!(::#ident));
    let args = arguments(part.source, &[(part.fields, part.version)]);
    quote! {
        #item
        let #old: #name #args = #reader;
        Self #variant { #values }
    }
}

/// The same for an enum inside events: which variant it is stands before its fields.
pub(crate) fn read_enum(
    source: &Source<'_>,
    variants: &[Variant<'_>],
    version: u16,
    reader: &TokenStream,
) -> TokenStream {
    let name = hidden(version);
    let had: Vec<_> = variants
        .iter()
        .filter(|variant| variant.since() <= version)
        .collect();
    let item = hidden_enum(source, &had, version, &name);
    let arms = had.iter().map(|variant| {
        let ident = variant.ident;
        let fields = &variant.fields;
        let value = |position: usize| tokens::local(&format!("value{position}"));
        let values = values(fields, version, |_, position| value(position).into_token_stream());
        let bound = fields.in_version(version).enumerate().map(|(at, field)| {
            let value = value(at);
            match &field.source.ident {
                Some(ident) => quote!(#ident: #value),
                None => quote!(#value),
            }
        });
        let pattern = match fields.style_in(version) {
            Style::Named => quote!({ #(#bound),* }),
            Style::Unit => TokenStream::new(),
            Style::Newtype | Style::Tuple => quote!((#(#bound),*)),
        };
        quote!(#name::#ident #pattern => Self::#ident { #values },)
    });
    let parts: Vec<_> = had.iter().map(|variant| (&variant.fields, version)).collect();
    let args = arguments(source, &parts);
    let old = tokens::local("old");
    quote! {
        #item
        let #old: #name #args = #reader;
        match #old { #(#arms)* }
    }
}

/// The fields of a struct that is written as one of them.
pub(crate) fn around(source: &Source<'_>, field: &Field<'_>, value: &TokenStream) -> TokenStream {
    let Body::Struct(fields) = &source.body else {
        return TokenStream::new();
    };
    let values = fields.list.iter().map(|other| {
        let member = &other.member;
        let value = if other.member == field.member {
            value.clone()
        } else {
            skipped(other)
        };
        quote!(#member: #value)
    });
    quote!(#(#values),*)
}

fn hidden(version: u16) -> Ident {
    format_ident!("__WalV{version}", span = Span::mixed_site())
}

/// The fields of today, from those that the version had.
fn values(fields: &Fields<'_>, version: u16, read: impl Fn(&Field<'_>, usize) -> TokenStream) -> TokenStream {
    let style = fields.style_in(version);
    let mut position = 0_usize;
    let values = fields.list.iter().map(|field| {
        let member = &field.member;
        let value = if field.since() > version {
            default(field)
        } else if style == Style::Unit {
            skipped(field)
        } else {
            position += 1;
            read(field, position - 1)
        };
        quote!(#member: #value)
    });
    quote!(#(#values),*)
}

/// The fields that were there, as serde is to read them.
fn hidden_struct(part: &Part<'_, '_>, name: &Ident) -> TokenStream {
    let (source, version) = (part.source, part.version);
    let fields = declared(source, part.fields, version);
    let (params, predicates, bound) = generics(source, &[(part.fields, version)]);
    let body = match part.fields.style_in(version) {
        Style::Named => quote!(#predicates { #(#fields),* }),
        Style::Unit => quote!(;),
        Style::Newtype | Style::Tuple => quote!((#(#fields),*) #predicates;),
    };
    let attrs = container_attrs(part);
    item(
        source,
        &quote!(#attrs #bound),
        &quote!(struct #name #params #body),
    )
}

fn hidden_enum(source: &Source<'_>, variants: &[&Variant<'_>], version: u16, name: &Ident) -> TokenStream {
    let parts: Vec<_> = variants
        .iter()
        .map(|variant| (&variant.fields, version))
        .collect();
    let (params, predicates, bound) = generics(source, &parts);
    let variants = variants.iter().map(|variant| {
        let attrs = serde_attrs(variant.attrs);
        let ident = variant.ident;
        let fields = declared(source, &variant.fields, version);
        match variant.fields.style_in(version) {
            Style::Named => quote!(#(#attrs)* #ident { #(#fields),* }),
            Style::Unit => quote!(#(#attrs)* #ident),
            Style::Newtype | Style::Tuple => quote!(#(#attrs)* #ident(#(#fields),*)),
        }
    });
    let label = source.label();
    let what = expecting(source, format!("enum {}", source.ident), Some(version));
    let rules = ["rename_all", "rename_all_fields"].into_iter().filter_map(|key| {
        let rule = source.serde.text(key)?;
        let key = Ident::new(key, Span::call_site());
        Some(quote!(, #key = #rule))
    });
    let deny = deny_unknown_fields(source);
    let attrs = quote!(, rename = #label, expecting = #what #(#rules)* #deny #bound);
    let body = quote!(enum #name #params #predicates { #(#variants),* });
    item(source, &attrs, &body)
}

fn item(source: &Source<'_>, attrs: &TokenStream, item: &TokenStream) -> TokenStream {
    let krate = source.krate();
    let serde = quote!(#krate::__private::serde);
    let path = serde.to_string();
    quote! {
        #[derive(#serde::Deserialize)]
        #[serde(crate = #path #attrs)]
        #[allow(dead_code, deprecated, non_snake_case, clippy::all)]
        #item
    }
}

fn serde_attrs(attrs: &[syn::Attribute]) -> impl Iterator<Item = &syn::Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("serde"))
}

/// The fields of a version as they are declared in a hidden type.
fn declared(source: &Source<'_>, fields: &Fields<'_>, version: u16) -> Vec<TokenStream> {
    let krate = source.krate();
    let field = |field: &Field<'_>| {
        let attrs = serde_attrs(&field.source.attrs);
        let label = field.source.ident.as_ref().map(|ident| quote!(#ident:));
        let ty = type_of(source, field);
        let inner = source.inner(field, version).map(|inner| {
            let path = quote!(#krate::__private::read_in::<#inner, _, _>).to_string();
            quote!(#[serde(deserialize_with = #path)])
        });
        quote!(#(#attrs)* #inner #label #ty)
    };
    fields.in_version(version).map(field).collect()
}

fn type_of(source: &Source<'_>, field: &Field<'_>) -> TokenStream {
    let ident = source.ident;
    let (_, ty_generics, _) = source.generics.split_for_impl();
    tokens::without_self(field.ty, &quote!(#ident #ty_generics))
}

/// What decides the names in formats that have them, and in errors.
fn container_attrs(part: &Part<'_, '_>) -> TokenStream {
    let source = part.source;
    let ident = source.ident;
    let (on_type, on_variant) = match part.fields.style_in(part.version) {
        Style::Named => ("struct", "struct variant"),
        Style::Newtype | Style::Tuple => ("tuple struct", "tuple variant"),
        Style::Unit => ("unit struct", "unit variant"),
    };
    let (label, what) = match part.variant {
        None => (source.label(), format!("{on_type} {ident}")),
        Some(variant) => (
            variant.label.clone(),
            format!("{on_variant} {ident}::{}", variant.ident),
        ),
    };
    let what = expecting(source, what, (!part.is_today).then_some(part.version));
    let rule = match part.variant {
        None => source.serde.text("rename_all"),
        Some(variant) => variant
            .serde
            .text("rename_all")
            .or(source.serde.text("rename_all_fields")),
    };
    let rule = rule.map(|rule| quote!(, rename_all = #rule));
    let deny = deny_unknown_fields(source);
    quote!(, rename = #label, expecting = #what #rule #deny)
}

fn expecting(source: &Source<'_>, what: String, older: Option<u16>) -> String {
    match (source.serde.text("expecting"), older) {
        (Some(what), _) => what.to_owned(),
        (None, Some(version)) => format!("{what} in version {version}"),
        (None, None) => what,
    }
}

fn deny_unknown_fields(source: &Source<'_>) -> Option<TokenStream> {
    let denies = source.serde.has("deny_unknown_fields");
    denies.then(|| quote!(, deny_unknown_fields))
}

/// What the fields of a hidden type mention of the parameters of the type.
struct Mentioned {
    lifetimes: Vec<String>,
    names: Vec<String>,
}

impl Mentioned {
    fn of(source: &Source<'_>, parts: &[(&Fields<'_>, u16)]) -> Self {
        let fields = parts
            .iter()
            .flat_map(|(fields, version)| fields.in_version(*version));
        let types: TokenStream = fields.map(|field| type_of(source, field)).collect();
        Mentioned {
            lifetimes: tokens::lifetimes(&types),
            names: tokens::names(&types),
        }
    }

    fn lifetime(&self, lifetime: &Lifetime) -> bool {
        self.lifetimes.contains(&lifetime.ident.to_string())
    }

    fn has(&self, param: &GenericParam) -> bool {
        match param {
            GenericParam::Lifetime(param) => self.lifetime(&param.lifetime),
            GenericParam::Type(param) => self.names.contains(&param.ident.to_string()),
            GenericParam::Const(param) => self.names.contains(&param.ident.to_string()),
        }
    }
}

/// The parameters of the type that a hidden type needs, as arguments.
fn arguments(source: &Source<'_>, parts: &[(&Fields<'_>, u16)]) -> TokenStream {
    let mentioned = Mentioned::of(source, parts);
    let params = source.generics.params.iter().filter(|param| mentioned.has(param));
    let arguments: Vec<_> = params
        .map(|param| match param {
            GenericParam::Lifetime(param) => param.lifetime.to_token_stream(),
            GenericParam::Type(param) => param.ident.to_token_stream(),
            GenericParam::Const(param) => param.ident.to_token_stream(),
        })
        .collect();
    if arguments.is_empty() {
        return TokenStream::new();
    }
    let version = source.passes_on().then(parameter).into_iter();
    quote!(<#(#arguments,)* #(#version)*>)
}

/// The same as parameters, what the type says of them, and what serde is to say of them.
fn generics(source: &Source<'_>, parts: &[(&Fields<'_>, u16)]) -> (TokenStream, TokenStream, TokenStream) {
    let mentioned = Mentioned::of(source, parts);
    let params = source.generics.params.iter().filter(|param| mentioned.has(param));
    let params: Vec<_> = params
        .map(|param| match param {
            GenericParam::Lifetime(param) => {
                let lifetime = &param.lifetime;
                let bounds = param.bounds.iter().filter(|bound| mentioned.lifetime(bound));
                quote!(#lifetime: #(#bounds)+*)
            }
            param => tokens::without_default(param),
        })
        .collect();
    if params.is_empty() {
        return Default::default();
    }
    let left_out = source
        .generics
        .params
        .iter()
        .filter(|param| !mentioned.has(param));
    let left_out: Vec<_> = left_out
        .filter_map(|param| match param {
            GenericParam::Lifetime(_) => None,
            GenericParam::Type(param) => Some(param.ident.to_string()),
            GenericParam::Const(param) => Some(param.ident.to_string()),
        })
        .collect();
    let clause = source.generics.where_clause.iter();
    let predicates: Vec<_> = clause
        .flat_map(|clause| &clause.predicates)
        .filter(|predicate| {
            let lifetimes = tokens::lifetimes(predicate);
            lifetimes.iter().all(|name| mentioned.lifetimes.contains(name))
                && !tokens::names(predicate)
                    .iter()
                    .any(|name| left_out.contains(name))
        })
        .collect();
    let bound = bound(source, &mentioned, parts);
    let version = source.passes_on().then(parameter).into_iter();
    let params = quote!(<#(#params,)* #(const #version: ::core::primitive::u16)*>);
    (params, quote!(where #(#predicates),*), bound)
}

/// Serde finds out by itself what a field borrows; but what is borrowed by any variant is, for the whole type. What it
/// thinks that parameters have to be is not always right, so with those each field says what it needs.
fn bound(source: &Source<'_>, mentioned: &Mentioned, parts: &[(&Fields<'_>, u16)]) -> TokenStream {
    let borrowed = borrowed(source);
    let used = borrowed.iter().filter(|lifetime| mentioned.lifetime(lifetime));
    let mut bounds: Vec<_> = used.map(|lifetime| format!("'de: {lifetime}")).collect();
    if source.passes_on() {
        let (krate, version) = (source.krate(), parameter());
        let read = quote!(#krate::__private::ReadIn<'de, #version>);
        bounds.extend(source.passed_on().iter().map(|ty| quote!(#ty: #read).to_string()));
        bounds.extend(asked(source).iter().map(ToString::to_string));
    } else {
        let needed = parts
            .iter()
            .flat_map(|(fields, version)| needs(source, fields, *version));
        bounds.extend(needed.map(|needed| needed.to_string()));
    }
    let bounds = bounds.join(", ");
    if bounds.is_empty() {
        return TokenStream::new();
    }
    quote!(, bound(deserialize = #bounds))
}

/// What has to hold for fields with type parameters so that a version can be read.
pub(crate) fn needs(source: &Source<'_>, fields: &Fields<'_>, version: u16) -> Vec<TokenStream> {
    let krate = source.krate();
    let stored = fields.in_version(version).filter(|field| field.stored());
    // What holds the type itself can be read if the type can.
    let generic = stored
        .filter(|field| tokens::mentions_param(field.ty, source.generics) && !source.holds_itself(field));
    let needed = generic.map(|field| {
        let ty = type_of(source, field);
        match source.inner(field, version) {
            Some(inner) => quote!(#ty: #krate::__private::ReadIn<'de, #inner>),
            None => quote!(#ty: #krate::__private::serde::Deserialize<'de>),
        }
    });
    needed.chain(asked(source)).collect()
}

/// What serde asks of type parameters beside reading them: that what is not stored can be made, and what `bound` says.
pub(crate) fn asked(source: &Source<'_>) -> Vec<TokenStream> {
    let skipped = source.body.fields().filter(|field| !field.stored());
    let generic = skipped.filter(|field| {
        tokens::mentions_param(field.ty, source.generics) && field.serde.text("default").is_none()
    });
    let types = generic.map(|field| type_of(source, field));
    let made = types.map(|ty| quote!(#ty: ::core::default::Default));
    let bound = source.serde.read_bound().unwrap_or_default();
    let parse = Punctuated::<WherePredicate, Token![,]>::parse_terminated;
    let said = parse.parse_str(bound).unwrap_or_default();
    made.chain(said.into_iter().filter_map(without_reading)).collect()
}

/// A bound, if it is more than that a type can be read.
fn without_reading(predicate: WherePredicate) -> Option<TokenStream> {
    let WherePredicate::Type(mut predicate) = predicate else {
        return None;
    };
    let is_other = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| !last.ident.to_string().starts_with("Deserialize")),
        _ => false,
    };
    predicate.bounds = predicate.bounds.into_iter().filter(is_other).collect();
    (!predicate.bounds.is_empty()).then(|| predicate.to_token_stream())
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
