//! Writes what `#[derive(WalSchema)]` makes: the shape of a type inside events, what it was in its earlier versions, and
//! how those are read.
//!
//! A type with `version` says itself what each version was. Any other is the same in all of them; but if it has type
//! parameters, or is written as another type, it has the versions of those.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Path, Type};

use crate::ast::{Body, Derive, Field, Source, parameter};
use crate::errors::Errors;
use crate::fields::{self, Part};
use crate::schema::{self, Replaced, Writer};
use crate::versions::{self, Versioned};
use crate::{steps, tokens};

/// The earlier versions that `since` and `changed` describe.
pub(crate) fn check(source: &Source<'_>, errors: &mut Errors) -> Vec<u16> {
    if source.derive == Derive::Record {
        return Vec::new();
    }
    let wal = &source.wal;
    if !wal.opaque.is_absent() {
        if let Some(span) = wal
            .version
            .span()
            .or(wal.from.first().map(|from| from.old.span()))
        {
            errors.at(
                span,
                "an opaque type has no versions: change its name when its bytes change",
            );
        }
        return Vec::new();
    }
    let (fields, variants) = match &source.body {
        Body::Struct(fields) => (&fields.list[..], &[][..]),
        Body::Enum(variants) => (&[][..], &variants[..]),
        Body::Union(_) => return Vec::new(),
    };
    versions::check(
        &Versioned {
            source,
            wal,
            fields,
            variants,
            ident: source.ident.span(),
        },
        errors,
    )
}

pub(crate) fn expand(source: &Source<'_>, older: &[u16]) -> TokenStream {
    let mut writer = Writer::new(source);
    let Some(today) = writer.body() else {
        return TokenStream::new();
    };
    let marker = writer.marker();
    let nested = Nested::new(source, older);
    let asserts = nested.asserts();
    // What depends on parameters is compared where these are known. Versions are known before shapes are.
    let (here, there) = match nested.is_generic() {
        false => (quote!(const _: () = { #asserts };), TokenStream::new()),
        true => (TokenStream::new(), asserts),
    };
    let imp = nested.schema(&there, &today, &nested.version());
    let versions = nested.older_schemas();
    let schema_in = nested.schema_in();
    let read_in = nested.read_in();
    quote! {
        #[allow(deprecated, long_running_const_eval)]
        const _: () = {
            #marker
            #here
            #imp
            #versions
            #schema_in
            #read_in
        };
    }
}

/// Impls that let the rest of the program be checked although this type has mistakes.
pub(crate) fn fallback(source: &Source<'_>) -> TokenStream {
    let nested = Nested {
        kind: Kind::Same,
        ..Nested::new(source, &[])
    };
    let krate = &nested.krate;
    // Holders that are right are not told that they are wrong.
    let version = source.wal.version.get().copied().unwrap_or(1);
    let version = nested.own_version(version);
    let today = quote!(&#krate::__private::Shape::Unit);
    let imp = nested.schema(&TokenStream::new(), &today, &version);
    let (schema_in, read_in) = (nested.schema_in(), nested.read_in());
    quote!(#imp #schema_in #read_in)
}

struct Nested<'a> {
    source: &'a Source<'a>,
    krate: Path,
    older: &'a [u16],
    kind: Kind<'a>,
}

/// Where the versions of a type come from.
enum Kind<'a> {
    /// It has none.
    Same,
    /// It says what they were.
    Own(u16),
    /// From what it is written as.
    Written(Replaced<'a, 'a>),
    /// From its type parameters.
    Parameters,
}

impl<'a> Nested<'a> {
    fn new(source: &'a Source<'a>, older: &'a [u16]) -> Self {
        let kind = match source.wal.version.get() {
            _ if source.derive == Derive::Record || !source.wal.opaque.is_absent() => Kind::Same,
            Some(version) if *version > 1 => Kind::Own(*version),
            _ => match schema::replaced(source) {
                // Such a field is the same in all versions, or leads back to this type.
                Some(Replaced::Transparent(field))
                    if !field.wal.opaque.is_absent()
                        || !field.wal.recursive.is_absent()
                        || source.holds_itself(field) =>
                {
                    Kind::Same
                }
                Some(replaced) => Kind::Written(replaced),
                None if source.passes_on() => Kind::Parameters,
                None => Kind::Same,
            },
        };
        Nested {
            source,
            krate: source.krate(),
            older,
            kind,
        }
    }

    /// The type in `from`, and the versions before this one: those that it reads.
    fn from(&self) -> Option<(&'a Type, u16)> {
        let Kind::Own(version) = self.kind else {
            return None;
        };
        let first = self.older.first().copied().unwrap_or(version);
        self.source.wal.from.last().map(|from| (&from.old, first))
    }

    /// `WalSchema`. The statements are for a constant.
    fn schema(&self, asserts: &TokenStream, today: &TokenStream, version: &TokenStream) -> TokenStream {
        let krate = &self.krate;
        let of = quote!(#krate::__private::WalSchema);
        let items = quote! {
            const SCHEMA: &'static #krate::__private::Shape = {
                #asserts
                Self::WRITE_WAL_RECURSIVE_ON_A_FIELD_THAT_LEADS_BACK
            };
            const WRITE_WAL_RECURSIVE_ON_A_FIELD_THAT_LEADS_BACK: &'static #krate::__private::Shape = #today;
            const VERSION: #krate::__private::Version = #version;
        };
        self.imp(&TokenStream::new(), &of, &self.described(), &items)
    }

    fn version(&self) -> TokenStream {
        let krate = &self.krate;
        match &self.kind {
            Kind::Same => quote!(#krate::__private::Version::NONE),
            Kind::Own(version) => self.own_version(*version),
            Kind::Written(replaced) => {
                let ty = written(replaced);
                quote_spanned!(ty.span()=> <#ty as #krate::__private::WalSchema>::VERSION)
            }
            Kind::Parameters => {
                let fields = self.source.body.fields();
                let fields = fields.filter(|field| self.is_passed_on(field));
                let versions = fields.flat_map(|field| match self.leads_back(field) {
                    false => vec![steps::version_of(self.source, field)],
                    true => self.versions_of_parameters(field),
                });
                quote!(#krate::__private::Version::together(&[#(#versions),*]))
            }
        }
    }

    /// What a field by way of which a type leads back to itself has of its parameters. To ask its type would be to ask
    /// this one.
    fn versions_of_parameters(&self, field: &Field<'_>) -> Vec<TokenStream> {
        let krate = &self.krate;
        let names = tokens::names(field.ty);
        let params = self.source.generics.type_params().map(|param| &param.ident);
        let params =
            params.filter(|param| self.source.wal.bound.is_absent() && names.contains(&param.to_string()));
        params
            .map(|param| quote!(<#param as #krate::__private::WalSchema>::VERSION))
            .collect()
    }

    /// A version that the type gives itself.
    fn own_version(&self, number: u16) -> TokenStream {
        let krate = &self.krate;
        let name = schema::path(self.source);
        quote!(#krate::__private::Version::new(#name, #number))
    }

    /// The shapes of earlier versions, each a constant: an expression with a `match` cannot make them.
    fn older_schemas(&self) -> TokenStream {
        if self.older.is_empty() {
            return TokenStream::new();
        }
        let krate = &self.krate;
        let names: Vec<_> = self
            .older
            .iter()
            .map(|version| format_ident!("V{version}"))
            .collect();
        let schemas = self.older.iter().map(|&version| {
            let mut writer = Writer::new(self.source);
            writer.version = Some(version);
            writer.body()
        });
        let items = quote!(#(const #names: &'static #krate::__private::Shape = #schemas;)*);
        let imp = self.imp(
            &TokenStream::new(),
            &quote!(__WalOlder),
            &self.described(),
            &items,
        );
        quote! {
            trait __WalOlder {
                #(const #names: &'static #krate::__private::Shape;)*
            }
            #imp
        }
    }

    fn schema_in(&self) -> TokenStream {
        let krate = &self.krate;
        let version = parameter();
        let of = quote!(#krate::__private::SchemaIn<#version>);
        let today = quote!(<Self as #krate::__private::WalSchema>::SCHEMA);
        let mut bounds = self.described();
        let schema = match &self.kind {
            Kind::Same => today,
            Kind::Own(_) => {
                let (numbers, names) = (
                    self.older,
                    self.older.iter().map(|version| format_ident!("V{version}")),
                );
                let from = self.from().map(|(old, first)| {
                    bounds.push(quote!(#old: #of));
                    quote!(_ if #version < #first => <#old as #of>::SCHEMA,)
                });
                quote! {
                    match #version {
                        #(#numbers => <Self as __WalOlder>::#names,)*
                        #from
                        _ => #today,
                    }
                }
            }
            Kind::Written(replaced) => {
                let ty = written(replaced);
                bounds.push(quote!(#ty: #of));
                quote!(<#ty as #of>::SCHEMA)
            }
            Kind::Parameters => {
                bounds.extend(self.source.passed_on().iter().map(|ty| quote!(#ty: #of)));
                let mut writer = Writer::new(self.source);
                writer.version = Some(1);
                writer.body().unwrap_or_default()
            }
        };
        let items = quote!(const SCHEMA: &'static #krate::__private::Shape = #schema;);
        let params = quote!(const #version: ::core::primitive::u16,);
        self.imp(&params, &of, &bounds, &items)
    }

    fn read_in(&self) -> TokenStream {
        let krate = &self.krate;
        let deserializer = deserializer();
        let version = parameter();
        let of = quote!(#krate::__private::ReadIn<'de, #version>);
        let serde = quote!(#krate::__private::serde);
        let mut bounds = vec![quote!(Self: #serde::Deserialize<'de>)];
        let body = match &self.kind {
            Kind::Same => None,
            Kind::Own(_) => Some(self.read_own(&of, &mut bounds)),
            Kind::Written(replaced) => Some(self.read_written(replaced, &of, &mut bounds)),
            Kind::Parameters => {
                bounds.extend(self.source.passed_on().iter().map(|ty| quote!(#ty: #of)));
                bounds.extend(fields::asked(self.source));
                let value = self.read(1);
                Some(quote!(::core::result::Result::Ok({ #value })))
            }
        };
        let items = body.map(|body| {
            quote! {
                fn read_in<__D: #serde::Deserializer<'de>>(
                    #deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    #body
                }
            }
        });
        let params = quote!(const #version: ::core::primitive::u16,);
        self.imp(&params, &of, &bounds, &items.unwrap_or_default())
    }

    /// Each version by the fields that it had, and what was before by the type in `from`.
    fn read_own(&self, of: &TokenStream, bounds: &mut Vec<TokenStream>) -> TokenStream {
        let krate = &self.krate;
        let deserializer = deserializer();
        let serde = quote!(#krate::__private::serde);
        let version = parameter();
        let numbers = self.older;
        let values = self.older.iter().map(|&version| self.read(version));
        bounds.extend(self.older.iter().flat_map(|&version| self.needs(version)));
        let from = self.from().map(|(old, first)| {
            bounds.push(quote!(#old: #of));
            let read = quote_spanned! {old.span()=>
                <Self as #krate::__private::FromEarlier<#old>>::from_earlier(<#old as #of>::read_in(#deserializer)?)
            };
            let custom = self.custom();
            quote!(_ if #version < #first => #read.map_err(#custom),)
        });
        quote! {
            match #version {
                #(#numbers => ::core::result::Result::Ok({ #values }),)*
                #from
                _ => #serde::Deserialize::deserialize(#deserializer),
            }
        }
    }

    /// As the type that is written, of which serde would make this one.
    fn read_written(
        &self,
        replaced: &Replaced<'_, '_>,
        of: &TokenStream,
        bounds: &mut Vec<TokenStream>,
    ) -> TokenStream {
        let ty = written(replaced);
        bounds.push(quote!(#ty: #of));
        let deserializer = deserializer();
        let read = quote_spanned!(ty.span()=> <#ty as #of>::read_in(#deserializer)?);
        match replaced {
            Replaced::Transparent(field) => {
                let values = fields::around(self.source, field, &read);
                quote!(::core::result::Result::Ok(Self { #values }))
            }
            Replaced::Into(_) if self.source.serde.has("try_from") => {
                let custom = self.custom();
                quote!(<Self as ::core::convert::TryFrom<#ty>>::try_from(#read).map_err(#custom))
            }
            Replaced::Into(_) => {
                quote!(::core::result::Result::Ok(<Self as ::core::convert::From<#ty>>::from(#read)))
            }
        }
    }

    /// What makes the error of a conversion one of the format.
    fn custom(&self) -> TokenStream {
        let krate = &self.krate;
        quote!(<__D::Error as #krate::__private::serde::de::Error>::custom)
    }

    fn read(&self, version: u16) -> TokenStream {
        let krate = &self.krate;
        let deserializer = deserializer();
        let reader = &quote!(#krate::__private::serde::Deserialize::deserialize(#deserializer)?);
        match &self.source.body {
            Body::Struct(fields) => {
                let part = Part {
                    source: self.source,
                    variant: None,
                    fields,
                    version,
                    is_today: false,
                };
                fields::read(&part, reader)
            }
            Body::Enum(variants) => fields::read_enum(self.source, variants, version, reader),
            Body::Union(_) => TokenStream::new(),
        }
    }

    fn needs(&self, version: u16) -> Vec<TokenStream> {
        let needs = |fields| fields::needs(self.source, fields, version);
        match &self.source.body {
            Body::Struct(fields) => needs(fields),
            Body::Enum(variants) => variants
                .iter()
                .flat_map(|variant| needs(&variant.fields))
                .collect(),
            Body::Union(_) => Vec::new(),
        }
    }

    /// What the compiler has to find out about the versions of other types, as statements.
    fn asserts(&self) -> TokenStream {
        let krate = &self.krate;
        let is_opaque = !self.source.wal.opaque.is_absent();
        let of_fields = match (&self.kind, schema::replaced(self.source)) {
            // What the derive of the event compares.
            _ if self.source.derive == Derive::Record || is_opaque => TokenStream::new(),
            (Kind::Written(_), _) => TokenStream::new(),
            (_, Some(Replaced::Into(ty))) => steps::of_written(self.source, &ty),
            (_, Some(Replaced::Transparent(field))) => self.asserts_of(field),
            (_, None) => self
                .source
                .body
                .fields()
                .map(|field| self.asserts_of(field))
                .collect(),
        };
        let from = self.from().map(|(old, first)| {
            let before = first - 1;
            let message = format!(
                "`from` takes version {before} of `{}`, and this type is another version: \
                 write `#[wal(version = {before})]` on it and say there what it was before, \
                 or give this one the version after it",
                self.source.ident
            );
            quote_spanned! {old.span()=>
                ::std::assert!(<#old as #krate::__private::WalSchema>::VERSION.number() == #before, #message);
            }
        });
        quote!(#of_fields #from)
    }

    /// A field that is passed on moves on with this type.
    fn asserts_of(&self, field: &Field<'_>) -> TokenStream {
        let krate = &self.krate;
        let Some(asserts) = steps::asserts(self.source, field) else {
            return TokenStream::new();
        };
        match (self.is_passed_on(field), self.leads_back(field)) {
            (false, _) => quote!({ #asserts }),
            (true, false) => TokenStream::new(),
            (true, true) => {
                let version = steps::version_of(self.source, field);
                quote!(if !#version.is(<Self as #krate::__private::WalSchema>::VERSION) { #asserts })
            }
        }
    }

    /// By way of other types, so that a constant of this one cannot ask for what it needs of itself.
    fn leads_back(&self, field: &Field<'_>) -> bool {
        !field.wal.recursive.is_absent() && !self.source.holds_itself(field)
    }

    fn is_passed_on(&self, field: &Field<'_>) -> bool {
        let is_shown = field.stored() && field.wal.opaque.is_absent();
        matches!(self.kind, Kind::Parameters) && is_shown && self.source.inner(field, 1).is_some()
    }

    fn is_generic(&self) -> bool {
        let mut params = self.source.generics.params.iter();
        params.any(|param| !matches!(param, GenericParam::Lifetime(_)))
    }

    /// What has to hold so that today's shape is known: every type parameter is part of it, unless `bound` says what is.
    fn described(&self) -> Vec<TokenStream> {
        let krate = &self.krate;
        match self.source.wal.bound.get() {
            Some(bound) => bound.iter().map(ToTokens::to_token_stream).collect(),
            None => {
                let params = self.source.generics.type_params().map(|param| &param.ident);
                params
                    .map(|param| quote!(#param: #krate::__private::WalSchema))
                    .collect()
            }
        }
    }

    /// An impl with a parameter more than the type has, and with bounds beside its own.
    fn imp(
        &self,
        more: &TokenStream,
        of: &TokenStream,
        bounds: &[TokenStream],
        items: &TokenStream,
    ) -> TokenStream {
        let ident = self.source.ident;
        let generics = &self.source.generics;
        let (_, ty_generics, _) = generics.split_for_impl();
        let lifetimes = generics.lifetimes();
        let others = generics.params.iter();
        let others = others.filter(|param| !matches!(param, GenericParam::Lifetime(_)));
        let others = others.map(tokens::without_default);
        let clause = generics.where_clause.iter();
        let predicates = clause.flat_map(|clause| &clause.predicates);
        let reads = tokens::lifetimes(of).contains(&"de".to_owned());
        let de = reads.then(|| {
            let borrowed = fields::borrowed(self.source);
            quote!('de: #(#borrowed)+*,)
        });
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl<#de #(#lifetimes,)* #more #(#others),*> #of for #ident #ty_generics
            where
                #(#predicates,)*
                #(#bounds,)*
            {
                #items
            }
        }
    }
}

fn deserializer() -> Ident {
    tokens::local("deserializer")
}

fn written<'s>(replaced: &'s Replaced<'_, '_>) -> &'s Type {
    match replaced {
        Replaced::Into(ty) => ty,
        Replaced::Transparent(field) => field.ty,
    }
}
