//! Types as tokens: what they mention, and what replaces it.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericArgument, GenericParam, Generics, PathArguments, Type};

/// A name for what generated code binds. A constant of the user's with that name would be taken for a pattern.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(&format!("__wal_{name}"), Span::mixed_site())
}

/// The type with every lifetime made `'static`, for a place where there is no other.
pub(crate) fn owned(ty: impl ToTokens) -> TokenStream {
    living(ty, "static")
}

/// The type with every lifetime made this one.
pub(crate) fn living(ty: impl ToTokens, lifetime: &str) -> TokenStream {
    with_lifetimes(ty, |_| lifetime.to_owned())
}

/// The same tokens with other names for their lifetimes.
pub(crate) fn with_lifetimes(tokens: impl ToTokens, name: impl Fn(&str) -> String) -> TokenStream {
    let mut after_quote = false;
    map(tokens.into_token_stream(), &mut |token, out| {
        let token = match token {
            TokenTree::Ident(ident) if after_quote => {
                Ident::new(&name(&ident.to_string()), ident.span()).into()
            }
            token => token,
        };
        after_quote = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        out.extend([token]);
    })
}

/// The lifetimes that a type mentions, without their quotes.
pub(crate) fn lifetimes(ty: impl ToTokens) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_quote = false;
    map(ty.into_token_stream(), &mut |token, _| match token {
        TokenTree::Ident(ident) if after_quote => {
            found.push(ident.to_string());
            after_quote = false;
        }
        token => after_quote = matches!(token, TokenTree::Punct(punct) if punct.as_char() == '\''),
    });
    found
}

/// The names that tokens mention.
pub(crate) fn names(ty: impl ToTokens) -> Vec<String> {
    let mut found = Vec::new();
    map(ty.into_token_stream(), &mut |token, _| {
        if let TokenTree::Ident(ident) = token {
            found.push(ident.to_string());
        }
    });
    found
}

/// Whether a type depends on the type parameters.
pub(crate) fn mentions_param(ty: &Type, generics: &Generics) -> bool {
    let names = names(ty);
    let mut params = generics.type_params();
    params.any(|param| names.contains(&param.ident.to_string()))
}

/// Whether a type depends on more than what its type parameters are: on a type that belongs to one, or on a number.
pub(crate) fn mentions_more(ty: &Type, generics: &Generics) -> bool {
    let texts = names_and_colons(ty);
    let is_param = |name: &str| generics.type_params().any(|param| param.ident == name);
    let mut pairs = texts.iter().zip(texts.iter().skip(1));
    let numbers: Vec<_> = generics
        .const_params()
        .map(|param| param.ident.to_string())
        .collect();
    pairs.any(|(name, next)| is_param(name) && (next == ":" || next == "as"))
        || texts.iter().any(|text| numbers.contains(text))
}

fn names_and_colons(ty: &Type) -> Vec<String> {
    let mut texts = Vec::new();
    map(ty.into_token_stream(), &mut |token, _| {
        texts.push(token.to_string())
    });
    texts
}

/// A parameter as an impl declares it.
pub(crate) fn without_default(param: &GenericParam) -> TokenStream {
    let mut param = param.clone();
    match &mut param {
        GenericParam::Type(ty) => ty.default = None,
        GenericParam::Const(value) => value.default = None,
        GenericParam::Lifetime(_) => {}
    }
    param.into_token_stream()
}

/// The type without the groups that a macro puts around what it was given.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        ty => ty,
    }
}

/// The arguments, without lifetimes, with which a type mentions `ident`, as text; one list for each mention.
pub(crate) fn arguments_of(ty: &Type, ident: &Ident) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect_arguments(ty.into_token_stream(), ident, &mut found);
    found
}

fn collect_arguments(tokens: TokenStream, ident: &Ident, found: &mut Vec<Vec<String>>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut in_path = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => collect_arguments(group.stream(), ident, found),
            TokenTree::Ident(name) if name == *ident && !in_path => {
                let inner = match tokens.peek() {
                    Some(TokenTree::Punct(punct)) if punct.as_char() == '<' => arguments(&mut tokens),
                    _ => TokenStream::new(),
                };
                let list = syn::punctuated::Punctuated::<GenericArgument, syn::Token![,]>::parse_terminated;
                let list = syn::parse::Parser::parse2(list, inner.clone()).unwrap_or_default();
                let texts = list
                    .iter()
                    .filter(|argument| !matches!(argument, GenericArgument::Lifetime(_)))
                    .map(|argument| argument.to_token_stream().to_string());
                found.push(texts.collect());
                collect_arguments(inner, ident, found);
            }
            TokenTree::Punct(punct) => in_path = matches!(punct.as_char(), ':' | '\''),
            _ => in_path = false,
        }
    }
}

/// Takes what stands between `<`, which is next, and the `>` that closes it.
fn arguments(tokens: &mut impl Iterator<Item = TokenTree>) -> TokenStream {
    let mut inner = Vec::new();
    let (mut open, mut after_dash) = (0_usize, false);
    for token in tokens {
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                '<' => open += 1,
                '>' if !after_dash => open -= 1,
                _ => {}
            }
            after_dash = punct.as_char() == '-';
        } else {
            after_dash = false;
        }
        inner.push(token);
        if open == 0 {
            break;
        }
    }
    inner.pop();
    inner.into_iter().skip(1).collect()
}

/// Whether serde borrows it without being told to: `&str`, `&[u8]`, and options of them.
pub(crate) fn is_borrowed(ty: &Type) -> bool {
    let word = |ty: &Type, word: &str| matches!(ty, Type::Path(ty) if ty.path.is_ident(word));
    match ty {
        Type::Group(group) => is_borrowed(&group.elem),
        Type::Paren(paren) => is_borrowed(&paren.elem),
        Type::Reference(reference) => match &*reference.elem {
            Type::Slice(slice) => word(&slice.elem, "u8"),
            elem => word(elem, "str"),
        },
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Option" => match &last.arguments {
                PathArguments::AngleBracketed(arguments) => arguments
                    .args
                    .iter()
                    .any(|argument| matches!(argument, GenericArgument::Type(ty) if is_borrowed(ty))),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    }
}

/// The type with `new` instead of `ident`, its generic arguments, and `Self`; nothing if it mentions neither.
pub(crate) fn replace_self(ty: &Type, ident: &Ident, new: &Ident) -> Option<TokenStream> {
    let mut found = false;
    let tokens = replace(
        ty.into_token_stream(),
        &[ident, &self_ident()],
        &mut |name, at_path| {
            if at_path {
                return None;
            }
            found = true;
            Some(Ident::new(&new.to_string(), name.span()).into_token_stream())
        },
    );
    found.then_some(tokens)
}

/// What holds a value of each type that it is given.
const HOLDERS: [&str; 26] = [
    "Arc",
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "Bound",
    "Box",
    "Cell",
    "Cow",
    "HashMap",
    "HashSet",
    "IndexMap",
    "IndexSet",
    "LinkedList",
    "Mutex",
    "Option",
    "Range",
    "RangeFrom",
    "RangeInclusive",
    "RangeTo",
    "Rc",
    "RefCell",
    "Result",
    "Reverse",
    "RwLock",
    "Vec",
    "VecDeque",
];

/// Whether a type that mentions the one it is part of is known to hold a value of it: what another type does with its
/// parameters is not known.
pub(crate) fn holds_self(ty: &Type, ident: &Ident) -> bool {
    let holds = |part: &Type| !mentions_self(part, ident) || holds_self(part, ident);
    match ty {
        Type::Group(group) => holds(&group.elem),
        Type::Paren(paren) => holds(&paren.elem),
        Type::Array(array) => holds(&array.elem),
        Type::Slice(slice) => holds(&slice.elem),
        Type::Reference(reference) => holds(&reference.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(holds),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last().filter(|_| path.qself.is_none()) else {
                return false;
            };
            if path.path.segments.len() == 1 && (last.ident == *ident || last.ident == "Self") {
                return true;
            }
            let PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return false;
            };
            HOLDERS.iter().any(|holder| last.ident == holder)
                && arguments.args.iter().all(|argument| match argument {
                    GenericArgument::Type(ty) => holds(ty),
                    _ => true,
                })
        }
        _ => false,
    }
}

/// Whether a type mentions the one it is part of.
pub(crate) fn mentions_self(ty: &Type, ident: &Ident) -> bool {
    replace_self(ty, ident, ident).is_some()
}

/// The type with the full type instead of `Self`, for use in another item.
pub(crate) fn without_self(ty: impl ToTokens, full: &TokenStream) -> TokenStream {
    replace(ty.into_token_stream(), &[&self_ident()], &mut |_, at_path| {
        Some(if at_path { quote!(<#full>) } else { full.clone() })
    })
}

fn self_ident() -> Ident {
    Ident::new("Self", Span::call_site())
}

/// What replaces a name; `None` keeps it. The second argument says whether it begins a path.
type Replacement<'a> = &'a mut dyn FnMut(&Ident, bool) -> Option<TokenStream>;

/// Replaces names that are not inside a path, with the arguments after them.
fn replace(tokens: TokenStream, names: &[&Ident], new: Replacement<'_>) -> TokenStream {
    let is =
        |token: Option<&TokenTree>, c: char| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == c);
    let mut out = TokenStream::new();
    let mut in_path = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if !in_path && names.contains(&&ident) => {
                match new(&ident, is(tokens.peek(), ':')) {
                    Some(new) => {
                        out.extend(new);
                        if is(tokens.peek(), '<') {
                            arguments(&mut tokens);
                        }
                    }
                    None => out.extend([TokenTree::from(ident)]),
                }
                in_path = false;
            }
            TokenTree::Group(group) => {
                out.extend([regroup(&group, replace(group.stream(), names, new))]);
                in_path = false;
            }
            token => {
                // `a: Type` has one colon, a path has two: the first of them is joined to the second.
                in_path = matches!(&token, TokenTree::Punct(p) if p.as_char() == ':')
                    || matches!(&token, TokenTree::Punct(p) if p.as_char() == '\'');
                out.extend([token]);
            }
        }
    }
    out
}

/// The type with its tokens at `span`, for one that was written in a string.
pub(crate) fn respan(ty: impl ToTokens, span: Span) -> TokenStream {
    map(ty.into_token_stream(), &mut |mut token, out| {
        token.set_span(span);
        out.extend([token]);
    })
}

fn map(tokens: TokenStream, each: &mut dyn FnMut(TokenTree, &mut TokenStream)) -> TokenStream {
    let mut out = TokenStream::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let inner = map(group.stream(), each);
                out.extend([regroup(&group, inner)]);
            }
            token => each(token, &mut out),
        }
    }
    out
}

fn regroup(group: &Group, stream: TokenStream) -> TokenTree {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    new.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(text: &str) -> Type {
        syn::parse_str(text).expect("a type")
    }

    fn text(tokens: impl ToTokens) -> String {
        tokens.into_token_stream().to_string().replace(' ', "")
    }

    #[test]
    fn lifetimes_are_found_and_made_static() {
        let borrowed = ty("Option<(&'a str, Cow<'b, [u8]>, [&'a u8; 2])>");
        assert_eq!(lifetimes(&borrowed), ["a", "b", "a"]);
        assert_eq!(
            text(owned(&borrowed)),
            "Option<(&'staticstr,Cow<'static,[u8]>,[&'staticu8;2])>"
        );
        assert!(lifetimes(ty("Vec<u8>")).is_empty());
    }

    #[test]
    fn a_type_that_holds_itself_is_found_under_its_own_name_only() {
        let tree = Ident::new("Tree", Span::call_site());
        let marker = Ident::new("M", Span::call_site());
        let cases = [
            ("Vec<Tree>", Some("Vec<M>")),
            ("Option<Box<Self>>", Some("Option<Box<M>>")),
            ("(Tree<T, Vec<Option<T>>>, u8)", Some("(M,u8)")),
            ("[Tree; 3]", Some("[M;3]")),
            ("other::Tree", None),
            ("[u8; Self::LEN]", None),
            ("[Self; Self::LEN]", Some("[M;Self::LEN]")),
            ("Tree2", None),
            ("Vec<Leaf>", None),
        ];
        for (from, to) in cases {
            let replaced = replace_self(&ty(from), &tree, &marker).map(text);
            assert_eq!(replaced.as_deref(), to, "{from}");
        }
        for held in [
            "Tree",
            "Option<Box<Self>>",
            "[(Tree<u8>, Id<u8>); 3]",
            "std::vec::Vec<Tree>",
        ] {
            assert!(holds_self(&ty(held), &tree), "{held}");
        }
        for unknown in ["Id<Tree>", "Vec<Id<Tree>>", "(Tree, Id<Tree>)", "<Tree as A>::B"] {
            assert!(!holds_self(&ty(unknown), &tree), "{unknown}");
        }
        let full = quote!(Tree<'static>);
        let without = without_self(ty("(Self, [u8; Self::LEN])"), &full);
        assert_eq!(text(without), "(Tree<'static>,[u8;<Tree<'static>>::LEN])");
    }
}
