//! `#[derive(WalRecord)]` for `wal-db`, which re-exports it and documents it at the trait of the same name.
//!
//! A small compiler: `ast` collects what the type says, with `attr` for the attributes; `check` judges it and
//! makes the record types; `expand` writes the impl. Mistakes are gathered on the way, so that one build
//! shows all of them.

mod ast;
mod attr;
mod check;
mod errors;
mod expand;
#[allow(dead_code)] // until the derive asks it
mod lock;
mod name;
mod serde_attr;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use errors::Errors;

/// Makes a struct a record type, or an enum a family of them. See the trait `wal_db::WalRecord`.
#[proc_macro_derive(WalRecord, attributes(wal))]
pub fn derive_wal_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let source = ast::read(&input, &mut errors);
    let family = check::check(&source, &mut errors);
    match errors.into_error() {
        None => expand::record(&source, &family),
        // The impl beside the errors keeps every use of the type from being an error of its own.
        Some(error) => {
            let mut tokens = error.into_compile_error();
            tokens.extend(expand::fallback(&source));
            tokens
        }
    }
    .into()
}
