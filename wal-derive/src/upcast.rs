//! Writes how records of earlier versions are read: from the fields that they had, and by the chain for `from`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Path};

use crate::ast::Source;
use crate::attr::Conversion;
use crate::check::{Family, Record};
use crate::fields::{self, Part};
use crate::method::Method;
use crate::tokens;

/// `WalDecode::decode_older`, if there is anything older.
pub(crate) fn decode_older(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let method = Method::new(source);
    let Method {
        krate,
        stored,
        index,
        codec,
    } = &method;
    let mut arms = TokenStream::new();
    for (at, record) in family.records.iter().enumerate() {
        for &version in &record.older {
            let part = Part {
                source,
                variant: record.variant,
                fields: record.fields,
                version,
                is_today: false,
            };
            let body = fields::read(&part, &quote!(#stored.fields()?));
            let one = quote!(#krate::__private::Upcast::One({ #body }));
            arms.extend(quote!((#at, #version) => ::core::result::Result::Ok(#one),));
        }
        for (nth, Conversion { old, split }) in record.from.iter().enumerate() {
            let read = quote_spanned!(old.span()=> #stored.older::<#old>()?);
            let converted = match split {
                Some((split, span)) => quote_spanned!(*span=> #read.split::<Self, _>(#split)),
                None => quote_spanned!(old.span()=> #read.convert::<Self, #codec>(#stored)?),
            };
            // The last one has all that are left.
            let is_before = (nth + 1 < record.from.len()).then(|| {
                let records = records_of(at, nth);
                quote!(if #krate::__private::begins_at(#records, #stored.version()))
            });
            arms.extend(quote!((#at, _) #is_before => ::core::result::Result::Ok(#converted),));
        }
    }
    if arms.is_empty() {
        return arms;
    }
    let body = quote! {
        match (#index, #stored.version()) {
            #arms
            _ => ::core::result::Result::Err(#stored.no_migration()),
        }
    };
    let returns = quote!(#krate::__private::Upcast<Self>);
    method.write(&quote!(fn decode_older), &returns, &body)
}

/// What must hold for the types in `from`, said at compile time where they are named, and the constants that the rest
/// uses of them.
pub(crate) fn check_from(source: &Source<'_>, family: &Family<'_>) -> TokenStream {
    let krate = source.krate();
    let mut items = TokenStream::new();
    if family.records.iter().any(|record| !record.from.is_empty()) {
        items.extend(quote!(#[allow(unused_imports)] use #krate::__private::NotRecord as _;));
    }
    for (at, record) in family.records.iter().enumerate() {
        for nth in 0..record.from.len() {
            items.extend(check_one(&krate, record, at, nth));
        }
        // The newest first.
        let records: Vec<_> = (0..record.from.len())
            .rev()
            .map(|nth| records_of(at, nth))
            .collect();
        let all = from_records(at);
        let value = match &records[..] {
            [] => continue,
            [only] => quote!(#only),
            several => quote! {
                &#krate::__private::concat::<_, { #(#several.len())+* }>(#krate::__private::NO_EVENT, &[#(#several),*])
            },
        };
        items.extend(quote!(const #all: &[#krate::__private::EventType] = #value;));
    }
    items
}

fn check_one(krate: &Path, record: &Record<'_>, at: usize, nth: usize) -> TokenStream {
    let old = &record.from[nth].old;
    let (name, before) = (&record.name, record.first() - 1);
    let ty = tokens::owned(old);
    let records = records_of(at, nth);
    let problem = problem_of(at, nth);
    // If the one before it is out of order, so is this one.
    let said = (nth > 0).then(|| {
        let before = problem_of(at, nth - 1);
        quote!(|| #before.is_version())
    });
    let is_last = nth + 1 == record.from.len();
    let on_it = match is_last {
        true => format!("`#[wal(name = \"{name}\", version = {before})]`"),
        false => format!("`#[wal(name = \"{name}\", version = N)]`"),
    };
    let is_struct =
        format!("`from` takes a struct: an earlier version of `{name}` is a type of its own, with {on_it}");
    let same_name = format!(
        "`from` takes an earlier version of `{name}`, and this type has another name: it needs {on_it}"
    );
    let (next, version) = if is_last {
        let version = format!(
            "`from` takes version {before} of `{name}`, and this type is another version: \
             each type of a chain is converted from the version before the first that it reads itself"
        );
        (quote!(#krate::__private::Next::Version(#before)), version)
    } else {
        let next = records_of(at, nth + 1);
        let version = "several `from` stand there from the oldest version to the newest, and the type after this one is \
                       not a later version, or reads this one itself";
        (quote!(#krate::__private::Next::Types(#next)), version.to_owned())
    };
    quote_spanned! {old.span()=>
        const #records: &[#krate::__private::EventType] = #krate::__private::Of::<#ty>::RECORDS;
        const #problem: #krate::__private::ChainProblem = #krate::__private::ChainProblem::of(
            #records, #krate::__private::Of::<#ty>::FAMILY, #name, #next,
        );
        const _: () = ::std::assert!(!#problem.is_family(), #is_struct);
        const _: () = ::std::assert!(!#problem.is_name(), #same_name);
        const _: () = ::std::assert!(!#problem.is_version() #said, #version);
    }
}

/// The constant with the event types of one type in `from`.
fn records_of(at: usize, nth: usize) -> Ident {
    format_ident!("__WAL_FROM_{at}_{nth}", span = Span::mixed_site())
}

/// The constant with what is wrong with that type.
fn problem_of(at: usize, nth: usize) -> Ident {
    format_ident!("__WAL_FROM_PROBLEM_{at}_{nth}", span = Span::mixed_site())
}

/// The constant with those of all of them.
pub(crate) fn from_records(at: usize) -> Ident {
    format_ident!("__WAL_FROM_{at}", span = Span::mixed_site())
}
