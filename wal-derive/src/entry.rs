//! One `key` or `key = value` of a `#[wal(...)]` attribute, before anything is known about the key.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Lit, LitInt, LitStr, Path, Token, Type};

pub(crate) struct Entry {
    pub path: Path,
    value: Value,
}

enum Value {
    None,
    /// The keys that take a type take it without quotes.
    Type(Box<Type>),
    Tokens(TokenStream),
    /// In parentheses, without `=`.
    List(TokenStream),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.call(Path::parse_mod_style)?;
        let takes_type = path.is_ident("from") || path.is_ident("wire");
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if takes_type && !input.peek(LitStr) {
                Value::Type(Box::new(input.parse()?))
            } else {
                Value::Tokens(expression(input)?)
            }
        } else if input.peek(syn::token::Paren) {
            let list;
            syn::parenthesized!(list in input);
            Value::List(list.parse()?)
        } else {
            Value::None
        };
        Ok(Entry { path, value })
    }
}

/// An expression as far as this build of `syn` knows them, else everything up to the next comma: the compiler says what
/// is wrong with it.
fn expression(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let ahead = input.fork();
    if let Ok(expr) = ahead.parse::<Expr>()
        && (ahead.is_empty() || ahead.peek(Token![,]) || matches!(expr, Expr::Lit(_)))
    {
        input.advance_to(&ahead);
        return Ok(expr.into_token_stream());
    }
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    if tokens.is_empty() {
        return Err(input.error("expected a value"));
    }
    Ok(tokens)
}

impl Entry {
    /// Nothing for a path of several segments.
    pub(crate) fn key(&self) -> String {
        self.path
            .get_ident()
            .map(|ident| ident.unraw().to_string())
            .unwrap_or_default()
    }

    pub(crate) fn key_span(&self) -> Span {
        self.path.span()
    }

    pub(crate) fn has_value(&self) -> bool {
        !matches!(self.value, Value::None)
    }

    pub(crate) fn string(&self) -> syn::Result<LitStr> {
        match self.literal() {
            Some(Lit::Str(lit)) => Ok(lit),
            _ => Err(self.takes("a string", "\"...\"")),
        }
    }

    pub(crate) fn integer(&self) -> syn::Result<LitInt> {
        match self.literal() {
            Some(Lit::Int(lit)) => Ok(lit),
            _ => Err(self.takes("a number", "N")),
        }
    }

    /// A list of numbers in parentheses.
    pub(crate) fn integers(&self) -> syn::Result<(Vec<LitInt>, Span)> {
        let refused = || {
            let example = "changed(3, 5)";
            Error::new(
                self.key_span(),
                format!("`changed` takes the versions in parentheses: `{example}`"),
            )
        };
        let Value::List(list) = &self.value else {
            return Err(refused());
        };
        let parse = Punctuated::<LitInt, Token![,]>::parse_terminated;
        let list = parse.parse2(list.clone()).map_err(|_| refused())?;
        if list.is_empty() {
            return Err(refused());
        }
        Ok((list.into_iter().collect(), self.key_span()))
    }

    pub(crate) fn ty(&self) -> syn::Result<(Type, Span)> {
        match &self.value {
            Value::Type(ty) => Ok(((**ty).clone(), ty.span())),
            _ => Err(self.takes("a type, without quotes", "Type")),
        }
    }

    pub(crate) fn expr(&self, example: &str) -> syn::Result<(TokenStream, Span)> {
        match &self.value {
            Value::Tokens(tokens) => Ok((tokens.clone(), tokens.span())),
            _ => Err(self.takes("a value", example)),
        }
    }

    /// The key stands alone.
    pub(crate) fn flag(&self) -> syn::Result<Span> {
        match self.value {
            Value::None => Ok(self.key_span()),
            _ => Err(Error::new_spanned(
                self,
                format_args!("`{0}` takes no value: `#[wal({0})]`", self.key()),
            )),
        }
    }

    pub(crate) fn takes(&self, what: &str, example: &str) -> Error {
        let key = self.key();
        Error::new_spanned(self, format_args!("`{key}` takes {what}: `{key} = {example}`"))
    }

    fn literal(&self) -> Option<Lit> {
        match &self.value {
            Value::Tokens(tokens) => syn::parse2(tokens.clone()).ok(),
            _ => None,
        }
    }
}

impl ToTokens for Entry {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.path.to_tokens(tokens);
        match &self.value {
            Value::None => {}
            Value::Type(ty) => ty.to_tokens(tokens),
            Value::Tokens(value) | Value::List(value) => value.to_tokens(tokens),
        }
    }
}
