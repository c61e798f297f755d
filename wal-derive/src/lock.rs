//! Compares what is declared with `wal.lock`, the text file that holds the shape of every released version.
//!
//! Names, number and order of fields are compared here. What their types look like is known only when the program is
//! compiled, so for each field a constant is written that compares fingerprints, at the place of the field's type.

mod declared;

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use wal_shape::{LockLine, Shape, type_id};

use crate::ast::{Source, Style};
use crate::check::Family;
use crate::errors::Errors;
use crate::shapes::{Contents, Shapes, StoredField};

struct Declared {
    name: String,
    aliases: Vec<String>,
    version: u16,
    /// Of the version if it is written, else of what the event type is named after.
    span: Span,
    /// A chosen id and where it is written.
    id: Option<(u32, Span)>,
    is_variant: bool,
    /// A retired type is not compared: only its id stays taken.
    retired: bool,
    contents: Contents,
    /// The earlier versions that follow from `since`.
    older: Vec<(u16, Contents)>,
    /// The constant with the event types of those in `from`, and where the first of these is written.
    from: Option<(TokenStream, Span)>,
}

/// Compares all event types of one derive. The tokens belong beside its impls and the constants of `shapes`.
pub(crate) fn check(
    source: &Source<'_>,
    family: &Family<'_>,
    shapes: &Shapes<'_>,
    errors: &mut Errors,
) -> TokenStream {
    let Some(dir) = std::env::var_os("CARGO_MANIFEST_DIR") else {
        return TokenStream::new();
    };
    let file = match fs::read_to_string(Path::new(&dir).join("wal.lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return TokenStream::new(),
        Err(error) => {
            errors.at(
                source.ident.span(),
                format_args!("`wal.lock` cannot be read: {error}"),
            );
            return TokenStream::new();
        }
    };
    let declared = declared::all(source, family, shapes);
    let asserts = compare(&source.krate(), &file, &declared, source.ident.span(), errors);
    quote! {
        #asserts
        // Cargo builds again when the file changes.
        const _: &[::core::primitive::u8] =
            ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/wal.lock"));
    }
}

fn compare(
    krate: &syn::Path,
    file: &str,
    declared: &[Declared],
    at: Span,
    errors: &mut Errors,
) -> TokenStream {
    let mut lines = Vec::new();
    for line in LockLine::all(file) {
        // A line that says whose it is is reported there, and only there.
        let is_ours = |name: &str| declared.iter().any(|declared| declared.has_name(name));
        match line {
            Ok(line) => lines.push(line),
            Err(bad) if bad.name.as_deref().is_none_or(is_ours) => errors.at(at, &bad),
            Err(_) => {}
        }
    }
    let mut comparison = Comparison {
        krate,
        errors,
        asserts: TokenStream::new(),
    };
    for declared in declared {
        comparison.record(declared, &lines);
    }
    comparison.asserts
}

struct Comparison<'a> {
    krate: &'a syn::Path,
    errors: &'a mut Errors,
    asserts: TokenStream,
}

/// What was said about one event type already: the same field is often wrong in several versions.
#[derive(Default)]
struct Said {
    fields: HashSet<String>,
    /// With what was compared, because a field that is the same in two releases may have changed here between them.
    types: HashSet<(String, Shape, String)>,
}

impl Comparison<'_> {
    fn record(&mut self, declared: &Declared, all: &[LockLine]) {
        let mut lines: Vec<_> = all.iter().filter(|line| declared.has_name(&line.name)).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.version));
        self.twice(declared, &lines);
        self.id_of_another(declared, all);
        let Some(newest) = lines.first().filter(|_| !declared.retired) else {
            return;
        };
        if declared.went_down(&lines) {
            let (name, released, version) = (&newest.name, newest.version, declared.version);
            self.errors.at(
                declared.span,
                format_args!(
                    "`{name}` is released up to version {released}, so this cannot be version {version}: \
                     write `version = {released}` with the fields of that release, \
                     or `version = {}` with others",
                    u32::from(released) + 1
                ),
            );
            return;
        }
        if newest.version <= declared.version {
            self.id_has_changed(declared, newest);
        }
        let mut said = Said::default();
        for line in lines {
            let older = declared
                .older
                .iter()
                .find(|(version, _)| *version == line.version);
            if line.version == declared.version {
                self.contents(declared, line, &declared.contents, &mut said);
            } else if let Some((_, contents)) = older {
                self.contents(declared, line, contents, &mut said);
            } else if line.version < declared.version {
                self.not_read(declared, line);
            }
        }
    }

    fn twice(&mut self, declared: &Declared, lines: &[&LockLine]) {
        for (i, line) in lines.iter().enumerate() {
            let same = |other: &&&LockLine| {
                other.name == line.name && other.version == line.version && !other.says_the_same(line)
            };
            if let Some(first) = lines[..i].iter().find(same) {
                self.errors.at(
                    declared.span,
                    format_args!(
                        "`wal.lock` lines {} and {}: `{}` version {} stands there twice, in two forms; \
                         remove the one that was not released",
                        first.number, line.number, line.name, line.version
                    ),
                );
            }
        }
    }

    fn id_of_another(&mut self, declared: &Declared, all: &[LockLine]) {
        let (id, span) = declared.id();
        if let Some(other) = all
            .iter()
            .find(|line| line.type_id() == id && !declared.has_name(&line.name))
        {
            self.errors.at(
                span,
                format_args!(
                    "the type id {id:#010x} of `{}` belongs to `{}` in `wal.lock`: \
                     give the one that is in no log yet another id with `#[wal(id = N)]`",
                    declared.name, other.name
                ),
            );
        }
    }

    fn id_has_changed(&mut self, declared: &Declared, line: &LockLine) {
        let (id, span) = declared.id();
        let mut aliases = declared.aliases.iter().map(|alias| type_id(alias));
        let released = line.type_id();
        if released != id && !aliases.any(|id| id == released) {
            let todo = match line.id {
                Some(id) => format!("write `id = {id}`"),
                None => "write no `id`".to_owned(),
            };
            self.errors.at(
                span,
                format_args!(
                    "`{}` is released with the type id {released:#010x}, under which its records are found: {todo}",
                    line.name
                ),
            );
        }
    }

    /// A version that only the type in `from` can know.
    fn not_read(&mut self, declared: &Declared, line: &LockLine) {
        let (name, version) = (&line.name, line.version);
        let message = format!(
            "`{name}` version {version} is released and nothing reads it any more: \
             write `since` on the fields that were added after it, or keep the type as it was then, \
             `{}` with `version = {version}`, for a `from` that leads to it",
            declared.old_type(version)
        );
        let Some((from, span)) = &declared.from else {
            self.errors.at(declared.span, message);
            return;
        };
        let krate = self.krate;
        let panic = panic_at(*span, &message);
        self.asserts.extend(quote! {
            const _: () = {
                // A type with mistakes of its own has none.
                if !#from.is_empty() && !#krate::__private::reads(#from, #version) {
                    #panic
                }
            };
        });
    }

    fn contents(&mut self, declared: &Declared, line: &LockLine, contents: &Contents, said: &mut Said) {
        let fields = &contents.fields[..];
        match (contents.style, body(&line.shape)) {
            (Style::Unit, _) if line.shape == Shape::Unit => {}
            (Style::Newtype, _) => {
                for field in fields {
                    self.type_of(declared, line, field, &line.shape, said);
                }
            }
            (Style::Tuple, Shape::Tuple(locked)) => {
                let labels = (0..).map(|i: usize| i.to_string());
                let locked: Vec<_> = labels.zip(locked.iter().map(|item| &*item.shape)).collect();
                self.fields(declared, line, fields, &locked, said);
            }
            (Style::Named, Shape::Struct(locked)) => {
                let locked = locked.iter().map(|field| (field.name.to_string(), &*field.shape));
                self.fields(declared, line, fields, &locked.collect::<Vec<_>>(), said);
            }
            _ => self.errors.at(
                declared.span,
                format_args!(
                    "`{}` version {} is released as `{}`, which is not {}: {}",
                    line.name,
                    line.version,
                    line.shape,
                    contents.what(),
                    declared.instead(line.version, "bring that back")
                ),
            ),
        }
    }

    fn fields(
        &mut self,
        declared: &Declared,
        line: &LockLine,
        fields: &[StoredField],
        locked: &[(String, &Shape)],
        said: &mut Said,
    ) {
        let is_declared = |label: &str| fields.iter().any(|field| field.label == label);
        let mut gone: Vec<_> = locked.iter().filter(|(name, _)| !is_declared(name)).collect();
        let mut same_fields = gone.is_empty();
        for (i, field) in fields.iter().enumerate() {
            if let Some((_, shape)) = locked.iter().find(|(name, _)| *name == field.label) {
                self.type_of(declared, line, field, shape, said);
                continue;
            }
            same_fields = false;
            let renamed = locked
                .get(i)
                .filter(|(name, _)| fields.len() == locked.len() && !is_declared(name))
                .filter(|(name, _)| declared.field(name).is_none())
                .map(|(name, _)| name.as_str());
            gone.retain(|(name, _)| Some(name.as_str()) != renamed);
            self.unknown_field(declared, line, field, renamed, said);
        }
        for (name, _) in gone {
            if said.fields.insert(name.clone()) {
                let (span, message) = declared.missing_field(line, name);
                self.errors.at(span, message);
            }
        }
        let mut places = fields.iter().zip(locked);
        if let Some((field, _)) = places.find(|(field, (name, _))| same_fields && field.label != *name) {
            self.moved_field(declared, line, field, locked, said);
        }
    }

    /// A field that the release does not have; `renamed` is the one that stands in its place there.
    fn unknown_field(
        &mut self,
        declared: &Declared,
        line: &LockLine,
        field: &StoredField,
        renamed: Option<&str>,
        said: &mut Said,
    ) {
        if !said.fields.insert(field.label.clone()) {
            return;
        }
        let (name, version, label) = (&line.name, line.version, &field.label);
        let message = match renamed {
            Some(released) => format!(
                "`{name}` version {version} is released with the field `{released}` in the place of `{label}`: {}",
                declared.instead(
                    version,
                    &format!("write `#[serde(rename = \"{released}\")]` on it")
                )
            ),
            None => format!(
                "`{name}` version {version} is released without the field `{label}`: {}",
                declared.add_field(line)
            ),
        };
        self.errors.at(field.span, message);
    }

    fn moved_field(
        &mut self,
        declared: &Declared,
        line: &LockLine,
        field: &StoredField,
        locked: &[(String, &Shape)],
        said: &mut Said,
    ) {
        if said.fields.insert(field.label.clone()) {
            let order: Vec<_> = locked.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!(
                "`{}` version {} is released with its fields in the order {}, in which they are stored: {}",
                line.name,
                line.version,
                order.join(", "),
                declared.instead(line.version, "write them in that order")
            );
            self.errors.at(field.span, message);
        }
    }

    /// A constant that does not compile if the field's type has another shape.
    fn type_of(
        &mut self,
        declared: &Declared,
        line: &LockLine,
        field: &StoredField,
        shape: &Shape,
        said: &mut Said,
    ) {
        let schema = &field.schema;
        if !said
            .types
            .insert((field.label.clone(), shape.clone(), schema.to_string()))
        {
            return;
        }
        let subject = match declared.contents.style {
            Style::Newtype => String::new(),
            _ => format!("the field `{}` as ", field.label),
        };
        let message = format!(
            "`{}` version {} is released with {subject}`{}`, and this is another type: {}",
            line.name,
            line.version,
            shortened(shape),
            declared.instead_of_type(line.version, field, shape)
        );
        // A newtype that holds itself: the shape of its field begins after `rec Name`.
        let (whole, body) = (shape.fingerprint(), body(shape).fingerprint());
        let krate = self.krate;
        let panic = panic_at(field.type_span, &message);
        self.asserts.extend(quote! {
            const _: () = {
                const SCHEMA: &#krate::__private::Shape = #schema;
                // What is looked up while the program runs is compared by `check_lock!`.
                if !SCHEMA.is_open() && SCHEMA.fingerprint() != #whole && SCHEMA.fingerprint() != #body {
                    #panic
                }
            };
        });
    }
}

/// Whether a type with fields or variants is in it.
fn has_declared_types(shape: &Shape) -> bool {
    match shape {
        Shape::Struct(_) | Shape::Enum(_) | Shape::Recursive { .. } => true,
        Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => has_declared_types(inner),
        Shape::Map(key, value) => has_declared_types(key) || has_declared_types(value),
        Shape::Tuple(items) => items.iter().any(|item| has_declared_types(&item.shape)),
        _ => false,
    }
}

/// What comes after `rec Name` in the shape of a type that holds itself.
fn body(shape: &Shape) -> &Shape {
    match shape {
        Shape::Recursive { body, .. } => body,
        shape => shape,
    }
}

/// A message that nobody sees costs time as well, and one of pages helps nobody: `check_lock!` names the difference.
fn shortened(shape: &Shape) -> String {
    let mut text = shape.to_string();
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}

/// Only what the compiler points at has the place of the mistake: the rest would be linted as the user's own.
fn panic_at(span: Span, message: &str) -> TokenStream {
    quote_spanned!(span=> ::std::panic!("{}", #message))
}

impl Declared {
    fn has_name(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    fn id(&self) -> (u32, Span) {
        self.id.unwrap_or_else(|| (type_id(&self.name), self.span))
    }

    /// A struct may well be an earlier version: the `from` of a later one. Then it has the fields of that version. A
    /// variant is always today's.
    fn went_down(&self, newest_first: &[&LockLine]) -> bool {
        let newest = newest_first.first().map_or(0, |line| line.version);
        let own = newest_first.iter().find(|line| line.version == self.version);
        newest > self.version
            && (self.is_variant || own.is_some_and(|line| !self.contents.has_fields_of(body(&line.shape))))
    }

    fn place(&self) -> &'static str {
        if self.is_variant { "variant" } else { "type" }
    }

    /// A name for the type as it was: `bank.name_changed` version 2 is `NameChangedV2`.
    fn old_type(&self, version: u16) -> String {
        let mut ident = String::new();
        let last = self.name.rsplit('.').next().unwrap_or_default();
        for word in last.split(['_', '-']) {
            let mut chars = word.chars();
            ident.extend(chars.next().map(|first| first.to_ascii_uppercase()));
            ident.push_str(chars.as_str());
        }
        format!("{ident}V{version}")
    }

    fn keep_old(&self, version: u16) -> String {
        let old = self.old_type(version);
        let next = self.next(version);
        format!(
            "keep the released form as a struct `{old}` with `version = {version}` \
             and write `version = {next}, from = {old}` on the {}",
            self.place()
        )
    }

    /// What to do about a version that is not as released: undo the change if it is today's, or keep both.
    fn instead(&self, version: u16, undo: &str) -> String {
        let keep_old = self.keep_old(version);
        if version == self.version {
            format!("{undo}, or {keep_old}")
        } else {
            keep_old
        }
    }

    /// The same about the type of a field. A type in it may have a version for what is new.
    fn instead_of_type(&self, version: u16, field: &StoredField, shape: &Shape) -> String {
        if !has_declared_types(shape) {
            return self.instead(version, "bring that back");
        }
        let next = u32::from(version) + 1;
        let step = match field.has_steps {
            true => "see that `changed` says when".to_owned(),
            false => format!("write `#[wal(changed({next}))]` here"),
        };
        let undo = if version == self.version {
            "bring that back, "
        } else {
            ""
        };
        format!(
            "{undo}give the type that has changed a version that says what is new and {step}, or {}",
            self.keep_old(version)
        )
    }

    fn field(&self, label: &str) -> Option<&StoredField> {
        let mut fields = self.contents.fields.iter();
        fields.find(|field| field.label == label && self.contents.style != Style::Newtype)
    }

    /// A field of the release that its version does not have here, and where to say so.
    fn missing_field(&self, line: &LockLine, name: &str) -> (Span, String) {
        let version = line.version;
        let released = format!(
            "`{}` version {version} is released with the field `{name}`",
            line.name
        );
        match self.field(name) {
            Some(field) if version > 1 => (
                field.span,
                format!("{released}: write `since = {version}` on it, or the earlier version that added it"),
            ),
            Some(field) => (field.span, format!("{released}: remove its `since`")),
            None => (
                self.span,
                format!("{released}: {}", self.instead(version, "bring it back")),
            ),
        }
    }

    fn add_field(&self, line: &LockLine) -> String {
        let since = u32::from(line.version) + 1;
        let mut todo = format!("write `#[wal(since = {since}, default)]` on it");
        if since > u32::from(self.version) {
            todo.push_str(&format!(" and `version = {since}` on the {}", self.place()));
        }
        todo
    }

    fn next(&self, version: u16) -> u32 {
        u32::from(self.version).max(u32::from(version) + 1)
    }
}

impl Contents {
    fn what(&self) -> &'static str {
        match self.style {
            Style::Unit => "a unit",
            Style::Newtype => "a single value",
            Style::Tuple => "a tuple",
            Style::Named => "a struct with named fields",
        }
    }

    fn has_fields_of(&self, locked: &Shape) -> bool {
        match (self.style, locked) {
            (Style::Newtype, _) => true,
            (Style::Unit, locked) => !matches!(locked, Shape::Tuple(_) | Shape::Struct(_)),
            (Style::Tuple, Shape::Tuple(locked)) => self.fields.len() == locked.len(),
            (Style::Named, Shape::Struct(locked)) => self
                .fields
                .iter()
                .map(|field| &*field.label)
                .eq(locked.iter().map(|field| &*field.name)),
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "lock/tests.rs"]
mod tests;
