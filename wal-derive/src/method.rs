//! The methods of `WalDecode` that read a stored event: what they are called with, and their heads.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Ident, Path};

use crate::ast::Source;
use crate::tokens;

pub(crate) struct Method {
    pub krate: Path,
    /// The event in the version in which it was stored.
    pub stored: Ident,
    /// The index of its event type.
    pub index: Ident,
    pub codec: Ident,
}

impl Method {
    pub(crate) fn new(source: &Source<'_>) -> Self {
        Method {
            krate: source.krate(),
            stored: tokens::local("stored"),
            index: tokens::local("index"),
            codec: Ident::new("__C", Span::mixed_site()),
        }
    }

    /// `head` is what stands before the parameters.
    pub(crate) fn write(&self, head: &TokenStream, returns: &TokenStream, body: &TokenStream) -> TokenStream {
        let Method {
            krate,
            stored,
            index,
            codec,
        } = self;
        quote! {
            #head<#codec: #krate::__private::Codec>(
                #stored: &#krate::__private::StoredEvent<'de, #codec>,
                #index: ::core::primitive::usize,
            ) -> ::core::result::Result<#returns, #krate::__private::TypedError> {
                #body
            }
        }
    }
}
