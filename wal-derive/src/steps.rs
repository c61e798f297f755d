//! Compares `changed` with the versions that the type of a field has, which the compiler knows and the derive does not.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::ast::{Body, Derive, Field, Source, Variant};
use crate::schema::marker;
use crate::tokens;

/// Constants that do not compile if the steps of an event's field are too few or too many.
pub(crate) fn check<'f, 'a: 'f>(
    source: &Source<'a>,
    fields: impl Iterator<Item = &'f Field<'a>>,
) -> TokenStream {
    let checks = fields.filter_map(|field| asserts(source, field));
    quote!(#(const _: () = { #checks };)*)
}

/// The statements, for a constant.
pub(crate) fn asserts(source: &Source<'_>, field: &Field<'_>) -> Option<TokenStream> {
    if !field.stored() || !field.wal.opaque.is_absent() {
        return None;
    }
    let holder = holder(source, field);
    let steps = field.wal.changed.get().map_or(&[][..], |steps| &steps[..]);
    let known = steps.len() + 1;
    let next = known + 1;
    let list: String = steps.iter().map(|step| format!("{step}, ")).collect();
    let several = format!(
        "several types with versions are in this field, and a version of `{holder}` cannot say which of them changed: \
         give each a field of its own"
    );
    let fewer = format!(
        "a type in this field has changed: write `#[wal(changed({list}N))]`, where N is the version of `{holder}` \
         from which on it holds version {next} of it, and so on for later ones"
    );
    let unversioned = format!(
        "`changed` says that a type in this field has version {known}, and none has versions: \
         write `#[wal(version = {known})]` on it and say there what is new, or remove `changed`"
    );
    let more = format!(
        "`changed` says that a type in this field has version {known}, and it has fewer: \
         write `#[wal(version = {known})]` on it and say there what is new, or give `changed` one step for each \
         version after the first"
    );
    let span = field.ty.span();
    let version = version_of(source, field);
    let local = tokens::local("version");
    // The type itself is in the field, and moves on as well.
    let fewer = match source.derive == Derive::Schema && source.holds_itself(field) {
        true => &several,
        false => &fewer,
    };
    let compare = (!steps.is_empty()).then(|| {
        quote_spanned! {span=>
            ::std::assert!(#local != 1, #unversioned);
            ::std::assert!(#local as ::std::primitive::usize >= #known, #more);
        }
    });
    Some(quote_spanned! {span=>
        let #local = #version.number();
        ::std::assert!(#local != 0, #several);
        #compare
        ::std::assert!(#local as ::std::primitive::usize <= #known, #fewer);
    })
}

/// What has the version that the steps are of: in a family each variant does.
fn holder(source: &Source<'_>, field: &Field<'_>) -> String {
    let has_it = |variant: &&Variant<'_>| variant.fields.list.iter().any(|own| std::ptr::eq(own, field));
    let whole = source.ident;
    let variants = match &source.body {
        Body::Enum(variants) if source.derive == Derive::Record => &variants[..],
        _ => &[],
    };
    match variants.iter().find(has_it) {
        Some(variant) => format!("{whole}::{}", variant.ident),
        None => whole.to_string(),
    }
}

/// The same of the type that is written instead of all fields: nothing can say when that has changed.
pub(crate) fn of_written(source: &Source<'_>, ty: &Type) -> TokenStream {
    let message = format!(
        "what is written instead of the fields has versions, and nothing says in which version of `{}` it changed: \
         write a type without versions, and after a change another one",
        source.ident
    );
    let version = version_of_type(source, ty, ty.to_token_stream());
    quote_spanned!(ty.span()=> ::std::assert!(#version.number() == 1, #message);)
}

/// The version of what a field holds. A type that holds itself has its own there, which is no matter of the field.
pub(crate) fn version_of(source: &Source<'_>, field: &Field<'_>) -> TokenStream {
    let is_whole = source.derive == Derive::Schema || matches!(source.body, Body::Struct(_));
    let is_whole = is_whole && source.holds_itself(field);
    let ty = match tokens::replace_self(field.ty, source.ident, &marker()) {
        Some(replaced) if is_whole => replaced,
        _ => field.ty.to_token_stream(),
    };
    version_of_type(source, field.ty, ty)
}

fn version_of_type(source: &Source<'_>, at: &Type, ty: TokenStream) -> TokenStream {
    let krate = source.krate();
    let ident = source.ident;
    let (_, ty_generics, _) = source.generics.split_for_impl();
    let ty = tokens::owned(tokens::without_self(ty, &quote!(#ident #ty_generics)));
    quote_spanned!(at.span()=> <#ty as #krate::__private::WalSchema>::VERSION)
}
