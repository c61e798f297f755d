//! The schema of a type, as an expression: what `#[derive(WalSchema)]` writes, and what the fields of an event are.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Ident, Path, Type};

use crate::ast::{self, Body, Field, Fields, Source, Style, Variant};
use crate::errors::Errors;
use crate::serde_attr::{self, SerdeAttrs};
use crate::tokens;

/// Writes expressions for one type. All of them are of type `&'static Shape`.
pub(crate) struct Writer<'a> {
    source: &'a Source<'a>,
    pub krate: Path,
    pub ident: &'a Ident,
    /// The version that is described, if it is not today's.
    pub version: Option<u16>,
    /// Stands in for the type inside itself.
    pub marker: Ident,
    pub recursive: bool,
    /// The full type, for expressions outside its impls: there is no `Self`, and no lifetime but `'static`.
    outside: Option<TokenStream>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(source: &'a Source<'a>) -> Self {
        Writer {
            source,
            version: None,
            krate: source.krate(),
            ident: source.ident,
            marker: marker(),
            recursive: false,
            outside: None,
        }
    }

    /// For expressions in items of their own.
    pub(crate) fn outside(source: &'a Source<'a>) -> Self {
        let (_, ty_generics, _) = source.generics.split_for_impl();
        let ident = source.ident;
        Writer {
            outside: Some(tokens::owned(quote!(#ident #ty_generics))),
            ..Self::new(source)
        }
    }

    /// Of a type that implements `WalSchema`. The compiler points at the type if it does not.
    pub(crate) fn of_type(&self, ty: &TokenStream, span: Span) -> TokenStream {
        let krate = &self.krate;
        let ty = self.anywhere(ty);
        quote_spanned!(span=> <#ty as #krate::__private::WalSchema>::SCHEMA)
    }

    /// The same of a type in an earlier version.
    pub(crate) fn of_type_in(&self, ty: &TokenStream, version: &TokenStream, span: Span) -> TokenStream {
        let krate = &self.krate;
        let ty = self.anywhere(ty);
        quote_spanned!(span=> <#ty as #krate::__private::SchemaIn<#version>>::SCHEMA)
    }

    /// The type as it is named where the expressions are.
    fn anywhere(&self, ty: &TokenStream) -> TokenStream {
        match &self.outside {
            Some(full) => tokens::owned(tokens::without_self(ty, full)),
            None => ty.clone(),
        }
    }

    /// Of a type that is known by name only.
    pub(crate) fn opaque(&self, name: &str, wire: Option<&Type>) -> TokenStream {
        let krate = &self.krate;
        let wire = match wire {
            Some(wire) => {
                let wire = self.of_type(&quote!(#wire), wire.span());
                quote!(::core::option::Option::Some(#krate::__private::Part::Static(#wire)))
            }
            None => quote!(::core::option::Option::None),
        };
        quote! {
            &#krate::__private::Shape::Opaque {
                name: #krate::__private::Part::Static(#name),
                wire: #wire,
            }
        }
    }

    /// Of a field. If what the field is part of is the whole of the type, `is_whole`, the type itself is a marker in it
    /// where the field is known to hold it.
    pub(crate) fn field(&mut self, field: &Field<'_>, is_whole: bool) -> TokenStream {
        if let Some(name) = field.wal.opaque.get() {
            return self.opaque(name, field.wal.wire.get());
        }
        let ty = &field.ty.to_token_stream();
        let replaced = tokens::replace_self(field.ty, self.ident, &self.marker);
        let replaced = replaced.filter(|_| is_whole && self.source.holds_itself(field));
        let inner = self.version.and_then(|version| self.source.inner(field, version));
        let is_later = !field.wal.recursive.is_absent() && self.outside.is_none() && replaced.is_none();
        self.recursive |= replaced.is_some();
        let ty = replaced.as_ref().unwrap_or(ty);
        let schema = match inner {
            Some(inner) => self.of_type_in(ty, &inner, field.ty.span()),
            None => self.of_type(ty, field.ty.span()),
        };
        if is_later { self.later(ty, &schema) } else { schema }
    }

    /// Of a type that leads back to this one by way of others.
    fn later(&self, ty: &TokenStream, schema: &TokenStream) -> TokenStream {
        let krate = &self.krate;
        quote! {
            const {
                &#krate::__private::Shape::Later {
                    name: ::core::any::type_name::<#ty>,
                    shape: || #schema,
                }
            }
        }
    }

    pub(crate) fn contents(&self, style: Style, fields: &[(&str, TokenStream)]) -> TokenStream {
        let krate = &self.krate;
        let labels = fields.iter().map(|(label, _)| label);
        let schemas = fields.iter().map(|(_, schema)| schema);
        match (style, fields) {
            (Style::Unit, _) => quote!(&#krate::__private::Shape::Unit),
            (Style::Newtype, [(_, schema)]) => schema.clone(),
            (Style::Newtype | Style::Tuple, _) => quote! {
                &#krate::__private::Shape::Tuple(#krate::__private::Part::Static(&[
                    #(#krate::__private::ShapeItem::new(#schemas)),*
                ]))
            },
            (Style::Named, _) => quote! {
                &#krate::__private::Shape::Struct(#krate::__private::Part::Static(&[
                    #(#krate::__private::ShapeField::new(#labels, #schemas)),*
                ]))
            },
        }
    }

    /// Wraps the schema of the whole type, if it holds itself.
    pub(crate) fn whole(&self, body: TokenStream) -> TokenStream {
        if !self.recursive {
            return body;
        }
        let krate = &self.krate;
        // Its text says it by place.
        let name = path(self.source);
        quote! {
            &#krate::__private::Shape::Recursive {
                name: #krate::__private::Part::Static(#name),
                body: #krate::__private::Part::Static(#body),
            }
        }
    }

    /// The item that stands in for the type inside itself, if it is needed.
    pub(crate) fn marker(&self) -> TokenStream {
        if !self.recursive {
            return TokenStream::new();
        }
        let (krate, marker, name) = (&self.krate, &self.marker, path(self.source));
        let version = ast::parameter();
        quote! {
            #[derive(
                ::core::clone::Clone, ::core::marker::Copy, ::core::cmp::PartialEq, ::core::cmp::Eq,
                ::core::cmp::PartialOrd, ::core::cmp::Ord, ::core::hash::Hash,
            )]
            struct #marker;

            impl #krate::__private::WalSchema for #marker {
                const SCHEMA: &'static #krate::__private::Shape =
                    &#krate::__private::Shape::Ref(#krate::__private::Part::Static(#name));
            }

            impl<const #version: ::core::primitive::u16> #krate::__private::SchemaIn<#version> for #marker {
                const SCHEMA: &'static #krate::__private::Shape =
                    <#marker as #krate::__private::WalSchema>::SCHEMA;
            }
        }
    }

    /// Of the whole type. Nothing for a union.
    pub(crate) fn body(&mut self) -> Option<TokenStream> {
        let source = self.source;
        let body = match (source.wal.opaque.get(), replaced(source)) {
            (Some(name), _) => self.opaque(name, source.wal.wire.get()),
            (None, Some(Replaced::Into(ty))) => self.of_type(&quote!(#ty), ty.span()),
            (None, Some(Replaced::Transparent(field))) => self.field(field, true),
            (None, None) => match &source.body {
                Body::Struct(fields) => self.fields(fields),
                Body::Enum(variants) => self.variants(variants),
                Body::Union(_) => return None,
            },
        };
        Some(self.whole(body))
    }

    fn fields(&mut self, fields: &Fields<'_>) -> TokenStream {
        let declared: Vec<_> = match self.version {
            Some(version) => fields.in_version(version).collect(),
            None => fields.list.iter().collect(),
        };
        let stored = declared.into_iter().filter(|field| field.stored());
        let list: Vec<_> = stored
            .map(|field| (field.label.as_str(), self.field(field, true)))
            .collect();
        self.contents(self.style(fields), &list)
    }

    fn style(&self, fields: &Fields<'_>) -> Style {
        self.version
            .map_or(fields.style, |version| fields.style_in(version))
    }

    fn variants(&mut self, variants: &[Variant<'_>]) -> TokenStream {
        let version = self.version.unwrap_or(u16::MAX);
        let variants: Vec<_> = variants
            .iter()
            .filter(|variant| variant.since() <= version)
            .collect();
        let labels = variants.iter().map(|variant| &variant.label);
        let fields: Vec<_> = variants
            .iter()
            .map(|variant| {
                let fields = self.fields(&variant.fields);
                let declared = variant.fields.in_version(version);
                let stored = declared.filter(|field| field.stored()).count();
                if self.style(&variant.fields) == Style::Newtype && stored == 1 {
                    let krate = &self.krate;
                    return quote!(#krate::__private::Shape::single(#fields));
                }
                fields
            })
            .collect();
        let krate = &self.krate;
        quote! {
            &#krate::__private::Shape::Enum(#krate::__private::Part::Static(&[
                #(#krate::__private::ShapeVariant::new(#labels, const { #fields })),*
            ]))
        }
    }
}

/// What the constants call the type.
pub(crate) fn path(source: &Source<'_>) -> TokenStream {
    let ident = source.ident.unraw().to_string();
    quote!(::core::concat!(::core::module_path!(), "::", #ident))
}

/// The item that stands in for a type inside itself.
pub(crate) fn marker() -> Ident {
    Ident::new("__WalSelf", Span::mixed_site())
}

/// The type that is written instead of the fields: that of `#[serde(into = "Type")]`, or the only one of a
/// transparent struct.
pub(crate) enum Replaced<'s, 'a> {
    Into(Box<Type>),
    Transparent(&'s Field<'a>),
}

pub(crate) fn replaced<'s, 'a>(source: &'s Source<'a>) -> Option<Replaced<'s, 'a>> {
    if let Some(into) = source.serde.text("into") {
        let mut ty: Type = syn::parse_str(into).ok()?;
        if let Some(span) = source.serde.span("into") {
            ty = syn::parse2(tokens::respan(&ty, span)).ok()?;
        }
        return Some(Replaced::Into(Box::new(ty)));
    }
    let Body::Struct(fields) = &source.body else {
        return None;
    };
    if !source.serde.has("transparent") {
        return None;
    }
    // As serde chooses it; that there is exactly one is serde's to say.
    let is_phantom = |field: &Field<'_>| match tokens::ungrouped(field.ty) {
        Type::Path(ty) => ty
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "PhantomData"),
        _ => false,
    };
    fields
        .list
        .iter()
        .find(|field| field.stored() && !is_phantom(field))
        .map(Replaced::Transparent)
}

pub(crate) fn check(source: &Source<'_>, errors: &mut Errors) {
    let wires = source.body.fields().map(|field| &field.wal.wire);
    for wire in wires.chain([&source.wal.wire]) {
        check_wire(wire.get(), source, errors);
    }
    if !source.wal.opaque.is_absent() {
        return;
    }
    if let Some(span) = source.wal.wire.span() {
        errors.at(span, WIRE_ALONE);
    }
    serde_attr::check_type(&source.serde, false, errors);
    check_recursion(source, errors);
    match &source.body {
        Body::Struct(fields) => {
            if fields.style == Style::Newtype {
                serde_attr::check_newtype(&fields.list[0].serde, errors);
            }
            check_fields(fields, errors);
        }
        Body::Enum(variants) => {
            for variant in variants {
                serde_attr::check_variant(&variant.serde, errors);
                check_fields(&variant.fields, errors);
            }
            check_names(
                "variant",
                variants
                    .iter()
                    .map(|variant| (variant.label.as_str(), &variant.serde, variant.ident.span())),
                errors,
            );
        }
        Body::Union(span) => errors.at(
            *span,
            "a union cannot be stored: nothing says which of its fields is the one to write",
        ),
    }
}

const WIRE_ALONE: &str = "`wire` says what an opaque type is written as: add `opaque = \"name@1\"`";

/// An opaque type is compared by its name, which is the same for every parameter.
fn check_wire(wire: Option<&Type>, source: &Source<'_>, errors: &mut Errors) {
    if let Some(wire) = wire.filter(|wire| tokens::mentions_param(wire, source.generics)) {
        errors.at(
            wire.span(),
            "an opaque type is known by its name, and `wire` may not depend on a type parameter: \
             make a type of your own for each, with a name of its own",
        );
    }
}

/// What holds for the fields of an event and of a type inside one.
pub(crate) fn check_fields(fields: &Fields<'_>, errors: &mut Errors) {
    fields.list.iter().for_each(|field| check_field(field, errors));
    let stored = fields.list.iter().filter(|field| field.stored());
    let names = stored.map(|field| (field.label.as_str(), &field.serde, field.span()));
    check_names("field", names, errors);
}

/// A name that stands twice is read as the first of the two.
fn check_names<'f>(
    what: &str,
    parts: impl Iterator<Item = (&'f str, &'f SerdeAttrs, Span)>,
    errors: &mut Errors,
) {
    let mut names: Vec<String> = Vec::new();
    for (label, serde, span) in parts {
        let mut own: Vec<String> = serde.texts("alias").map(str::to_owned).collect();
        own.retain(|alias| alias != label);
        own.extend((!label.is_empty()).then(|| label.to_owned()));
        if let Some(taken) = own.iter().find(|name| names.contains(name)) {
            errors.at(
                span,
                format_args!(
                    "another {what} is called `{taken}` as well, so one of them would be read as the other: \
                     give it a name of its own"
                ),
            );
        }
        names.extend(own);
    }
}

/// The text of a type that holds itself says the same wherever it does, so it must be the same type.
fn check_recursion(source: &Source<'_>, errors: &mut Errors) {
    let own: Vec<String> = source
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            syn::GenericParam::Type(param) => Some(param.ident.to_string()),
            syn::GenericParam::Const(param) => Some(param.ident.to_string()),
            syn::GenericParam::Lifetime(_) => None,
        })
        .collect();
    if own.is_empty() {
        return;
    }
    let held = |field: &&Field<'_>| {
        let is_recursive = !field.wal.recursive.is_absent() || tokens::holds_self(field.ty, source.ident);
        field.wal.opaque.is_absent() && is_recursive
    };
    for field in source.body.fields().filter(held) {
        if tokens::arguments_of(field.ty, source.ident)
            .iter()
            .any(|arguments| *arguments != own)
        {
            errors.at(
                field.ty.span(),
                "a type that holds itself with other parameters has no finite schema: \
                 add `#[wal(opaque = \"name@1\")]` to the field, or hold a type of another name",
            );
        }
    }
}

fn check_field(field: &Field<'_>, errors: &mut Errors) {
    check_versions(field, errors);
    serde_attr::check_field(&field.serde, !field.wal.opaque.is_absent(), errors);
    if let (true, Some(span)) = (field.wal.opaque.is_absent(), field.wal.wire.span()) {
        errors.at(span, WIRE_ALONE);
    }
}

fn check_versions(field: &Field<'_>, errors: &mut Errors) {
    let wal = &field.wal;
    let added = !wal.since.is_absent();
    if let (true, Some(span)) = (wal.default.is_absent(), wal.since.span()) {
        errors.at(
            span,
            "nothing says what the field is in records from before it was there: \
             add `default`, or `default = VALUE`",
        );
    }
    if let (false, Some(span)) = (added, wal.default.span()) {
        errors.at(
            span,
            "`default` says what a field is in records from before it was there: \
             add `since = N`, the first version that has it",
        );
    }
    if added && !field.stored() {
        errors.at(
            wal.since.span().unwrap_or(field.ty.span()),
            "a skipped field is not stored in any version, so it has no `since`",
        );
    }
    let Some(span) = wal.changed.span() else { return };
    if !field.stored() {
        errors.at(
            span,
            "a skipped field is not stored in any version, so nothing in it changes",
        );
    }
    if !wal.opaque.is_absent() {
        errors.at(
            span,
            "an opaque type has no versions: change its name when its bytes change, in a new version that is \
             converted from the type it was before with `#[wal(from = Old)]`",
        );
    }
}

/// A check that `WalRecord` is derived, too. Nothing for a type with parameters that it refuses: there is no such type
/// to name.
pub(crate) fn is_record(source: &Source<'_>) -> Option<TokenStream> {
    if source.generics.type_params().next().is_some() || source.generics.const_params().next().is_some() {
        return None;
    }
    let (krate, ident) = (source.krate(), source.ident);
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let ty = tokens::owned(quote!(#ident #ty_generics));
    Some(quote_spanned! {ident.span()=>
        #[allow(deprecated)]
        const _: &::std::primitive::str = <#ty as #krate::__private::WalRecord>::NAME;
    })
}
