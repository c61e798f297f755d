//! An enum of families: each variant holds an event type or a family, and the derive leads every value to what the type
//! that it holds writes and reads. Of the enum itself nothing is stored.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::ast::{Body, Source, Style, Variant};
use crate::errors::Errors;
use crate::method::Method;
use crate::{check, expand, tokens};

/// The impls, or what is wrong.
pub(crate) fn derive(source: &Source<'_>, mut errors: Errors) -> TokenStream {
    let held = check(source, &mut errors);
    match errors.into_error() {
        None => expand(source, &held),
        Some(error) => {
            let mut tokens = error.into_compile_error();
            tokens.extend(expand::fallback(source));
            tokens
        }
    }
}

/// A variant and the type that it holds.
struct Held<'a> {
    ident: &'a Ident,
    ty: &'a Type,
}

fn check<'a>(source: &'a Source<'a>, errors: &mut Errors) -> Vec<Held<'a>> {
    check::check_generics(source, errors);
    let wal = &source.wal;
    let own = [wal.name.span(), wal.aliases.first().map(|(_, span)| *span)];
    for span in own.into_iter().flatten() {
        errors.at(
            span,
            "an enum of `families` is not stored, only what its variants hold is: a name or an alias belongs \
             on the type that a variant holds",
        );
    }
    let Body::Enum(variants) = &source.body else {
        return Vec::new();
    };
    if variants.is_empty() {
        errors.at(
            source.ident.span(),
            "an enum without variants has nothing to store",
        );
    }
    variants
        .iter()
        .filter_map(|variant| held(variant, errors))
        .collect()
}

fn held<'a>(variant: &'a Variant<'a>, errors: &mut Errors) -> Option<Held<'a>> {
    let ident = variant.ident;
    let on_field = variant.fields.list.iter().flat_map(|field| &field.wal.keys);
    for span in variant.wal.keys.iter().chain(on_field) {
        errors.at(
            *span,
            "a variant of an enum of `families` has no attributes of its own: they belong on the type that it holds",
        );
    }
    match &variant.fields.list[..] {
        [field] if variant.fields.style != Style::Named => Some(Held { ident, ty: field.ty }),
        _ => {
            errors.at(
                ident.span(),
                format_args!(
                    "a variant of an enum of `families` holds one event type or family and nothing else: write \
                     `{ident}(Type)`, with `#[derive(WalRecord)]` on the type"
                ),
            );
            None
        }
    }
}

/// The name of a constant for the variant at `at`.
fn constant(what: &str, at: usize) -> Ident {
    format_ident!("__WAL_{what}_{at}", span = Span::mixed_site())
}

/// Of those with its event types, and with how many are before them.
fn constants(at: usize) -> (Ident, Ident) {
    (constant("RECORDS", at), constant("BASE", at))
}

fn expand(source: &Source<'_>, held: &[Held<'_>]) -> TokenStream {
    let private = private(source);
    let all = format_ident!("__WAL_ALL", span = Span::mixed_site());
    let families = format_ident!("__WAL_FAMILIES", span = Span::mixed_site());
    let mut items = TokenStream::new();
    let (mut records, mut of_all) = (Vec::new(), Vec::new());
    let mut next = quote!(0);
    for (at, Held { ident, ty }) in held.iter().enumerate() {
        let (own, base) = constants(at);
        let owned = tokens::owned(ty);
        items.extend(quote_spanned! {ty.span()=>
            const #own: &[#private::EventType] = <#owned as #private::WalRecord>::RECORDS;
        });
        let known = constant("KNOWN", at);
        items.extend(quote! {
            const #base: ::core::primitive::usize = #next;
            const #known: &[#private::Known] = &#private::Known::all::<{ #private::Known::count(#own) }>(#own);
        });
        let label = ident.unraw().to_string();
        for (before, first) in held[..at].iter().enumerate() {
            let others = constant("KNOWN", before);
            let before = first.ident.unraw().to_string();
            // All of the call has the place of the type, so that the message does.
            let here = tokens::respan(&private, ty.span());
            items.extend(quote_spanned! {ty.span()=>
                const _: () = #here::check_apart((#before, #others), (#label, #known));
            });
        }
        next = quote!(#base + #own.len());
        of_all.push(quote_spanned!(ty.span()=> <#owned as #private::WalRecord>::FAMILIES));
        records.push(own);
    }
    items.extend(quote! {
        const #all: [#private::EventType; #next] = #private::concat(#private::NO_EVENT, &[#(#records),*]);
        const #families: [#private::Family; 0 #(+ #of_all.len())*] =
            #private::concat(#private::Family::NONE, &[#(#of_all),*]);
    });
    let imp = expand::record_impl(
        source,
        &source.ident.unraw().to_string(),
        true,
        &quote!(&#all),
        &methods(source, held, &all, &families),
    );
    let decode = decode_impl(source, held);
    quote! {
        #[allow(deprecated, long_running_const_eval)]
        const _: () = {
            #items
            #imp
            #decode
        };
    }
}

/// What is in the impl of `WalRecord` beside the constants of every type.
fn methods(source: &Source<'_>, held: &[Held<'_>], all: &Ident, families: &Ident) -> TokenStream {
    let private = private(source);
    let [event, index, serializer] = ["event", "index", "serializer"].map(tokens::local);
    let arms = |call: &dyn Fn(&Type, &Ident, &Ident) -> TokenStream| -> TokenStream {
        let arms = held.iter().enumerate().map(|(at, Held { ident, ty })| {
            let (records, base) = constants(at);
            let value = call(ty, &records, &base);
            quote!(Self::#ident(#event) => #value,)
        });
        arms.collect()
    };
    let positions = arms(&|ty, records, base| {
        quote_spanned! {ty.span()=>
            #private::position(<#ty as #private::WalRecord>::record_index(#event), #base, #records.len(), #all.len())
        }
    });
    let writes = arms(&|ty, _, base| {
        quote_spanned! {ty.span()=>
            <#ty as #private::WalRecord>::write_fields(#event, #index - #base, #serializer)
        }
    });
    let read_back = expand::read_back(source);
    quote! {
        const FAMILIES: &'static [#private::Family] = &#families;

        #[inline]
        fn record_index(&self) -> ::core::primitive::usize {
            match self { #positions }
        }

        #[inline(always)]
        fn write_fields<__S: #private::serde::Serializer>(
            &self,
            #index: ::core::primitive::usize,
            #serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            match self { #writes }
        }

        #read_back
    }
}

fn decode_impl(source: &Source<'_>, held: &[Held<'_>]) -> TokenStream {
    let private = private(source);
    let method = Method::new(source);
    let Method { stored, index, .. } = &method;
    let [raw, event, upcast] = ["raw", "event", "upcast"].map(tokens::local);
    let one_of = |call: &dyn Fn(&Held<'_>, &Ident) -> TokenStream| {
        let arms = held.iter().enumerate().map(|(at, of)| {
            let value = call(of, &constants(at).1);
            // The last one has all that are left.
            let is_before = (at + 1 < held.len()).then(|| {
                let (_, next) = constants(at + 1);
                quote!(if #index < #next)
            });
            quote!(_ #is_before => #value,)
        });
        quote!(match #index { #(#arms)* })
    };
    let today = one_of(&|Held { ident, ty }, base| {
        quote_spanned! {ty.span()=>
            <#ty as #private::WalDecode<'de>>::decode_today(#stored, #index - #base).map(Self::#ident)
        }
    });
    let older = one_of(&|Held { ident, ty }, base| {
        quote_spanned! {ty.span()=>
            <#ty as #private::WalDecode<'de>>::decode_older(#stored, #index - #base)
                .map(|#upcast| #upcast.map(Self::#ident))
        }
    });
    let others = held.iter().map(|Held { ident, ty }| {
        quote_spanned! {ty.span()=>
            let #raw = match <#ty as #private::WalDecode<'de>>::decode_other(#raw) {
                ::std::result::Result::Ok(#event) => {
                    return ::std::result::Result::Ok(Self::#ident(#event));
                }
                ::std::result::Result::Err(#raw) => #raw,
            };
        }
    });
    let today = method.write(&quote!(#[inline(always)] fn decode_today), &quote!(Self), &today);
    let older = method.write(&quote!(fn decode_older), &quote!(#private::Upcast<Self>), &older);
    expand::decode_impl(
        source,
        &quote! {
            #today
            #older

            fn decode_other(
                #raw: #private::UnknownEvent,
            ) -> ::core::result::Result<Self, #private::UnknownEvent> {
                #(#others)*
                ::core::result::Result::Err(#raw)
            }
        },
    )
}

fn private(source: &Source<'_>) -> TokenStream {
    let krate = source.krate();
    quote!(#krate::__private)
}
