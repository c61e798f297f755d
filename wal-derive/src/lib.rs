//! `#[derive(WalRecord)]` and `#[derive(WalSchema)]` for `wal-db`, which re-exports them and documents them at the
//! traits of the same names.
//!
//! A small compiler: `ast` collects what the type says, with `attr` and `serde_attr` for the attributes; `check` judges
//! it and makes the event types, with `versions` for what is older and `unique` for names; `shapes` describes them,
//! with `schema` for the expressions; `lock` compares them with what was released; `expand` writes the impls, with
//! `upcast` for what is older. An enum of families is checked and written by `families`. Mistakes are gathered on the way, so that one build shows all of them.
//!
//! Tokens at a place of the user's are of its edition. In that of 2015 `::core` is not found there, and `::std` is.

mod ast;
mod attr;
mod case;
mod check;
mod entry;
mod errors;
mod expand;
mod families;
mod fields;
mod krate;
mod lock;
mod method;
mod nested;
mod schema;
mod serde_attr;
mod shapes;
mod steps;
mod today;
mod tokens;
mod unique;
mod upcast;
mod versions;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use ast::Derive;
use errors::Errors;
use shapes::Shapes;

/// Makes a struct an event type, or an enum a family of them. See the trait `wal_db::WalRecord`.
#[proc_macro_derive(WalRecord, attributes(wal))]
pub fn derive_wal_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    written(input, record)
}

/// Describes a type that is part of events. See the trait `wal_db::WalSchema`.
#[proc_macro_derive(WalSchema, attributes(wal))]
pub fn derive_wal_schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    written(input, schema)
}

/// What a derive writes. An error is all that is said if nothing else can be.
fn written(
    input: proc_macro::TokenStream,
    derive: fn(&DeriveInput) -> syn::Result<TokenStream>,
) -> proc_macro::TokenStream {
    let written = parse(input).and_then(|input| derive(&input));
    written.unwrap_or_else(syn::Error::into_compile_error).into()
}

fn record(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let mut source = ast::read(input, Derive::Record, &mut errors);
    find_wal_db(&mut source)?;
    if !source.wal.families.is_absent() {
        return Ok(families::derive(&source, errors));
    }
    let family = check::check(&source, &mut errors);
    let shapes = Shapes::of(&source, &family);
    // A mistake in a name or a version would be another in the comparison.
    let lock = if errors.is_empty() {
        lock::check(&source, &family, &shapes, &mut errors)
    } else {
        TokenStream::new()
    };
    Ok(match errors.into_error() {
        None => expand::record(&source, &family, &shapes, lock),
        // The impl beside the errors keeps every use of the type from being an error of its own.
        Some(error) => {
            let mut tokens = error.into_compile_error();
            tokens.extend(expand::fallback(&source));
            tokens
        }
    })
}

fn schema(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    // A name belongs to `WalRecord`, whose derive stands beside this one then and reports what both would.
    let is_record = ast::is_record(input);
    let derive = if is_record { Derive::Record } else { Derive::Schema };
    let mut source = ast::read(input, derive, &mut errors);
    match find_wal_db(&mut source) {
        // The other derive says it of both.
        Err(_) if is_record => return Ok(TokenStream::new()),
        found => found?,
    }
    schema::check(&source, &mut errors);
    let older = nested::check(&source, &mut errors);
    let beside = is_record.then(|| schema::is_record(&source)).flatten();
    Ok(match (errors.into_error(), beside) {
        (None, beside) => {
            let mut tokens = nested::expand(&source, &older);
            tokens.extend(beside);
            tokens
        }
        (Some(_), Some(mut beside)) => {
            beside.extend(nested::fallback(&source));
            beside
        }
        (Some(error), None) => {
            let mut tokens = error.into_compile_error();
            tokens.extend(nested::fallback(&source));
            tokens
        }
    })
}

/// What is generated reads from a lifetime `'de`, so one of the type's own with that name is called otherwise in it.
fn parse(input: proc_macro::TokenStream) -> syn::Result<DeriveInput> {
    let input: DeriveInput = syn::parse(input)?;
    if input
        .generics
        .lifetimes()
        .all(|param| param.lifetime.ident != "de")
    {
        return Ok(input);
    }
    syn::parse2(tokens::with_lifetimes(&input, |name| match name {
        "de" => "__wal_own_de".to_owned(),
        other => other.to_owned(),
    }))
}

/// Sets the path of `wal_db`, unless the type does. If none is found, that is the only error.
fn find_wal_db(source: &mut ast::Source<'_>) -> syn::Result<()> {
    if source.wal.krate.is_none() {
        let path = krate::path().map_err(|problem| syn::Error::new(source.ident.span(), problem))?;
        source.wal.krate = Some(path);
    }
    Ok(())
}
