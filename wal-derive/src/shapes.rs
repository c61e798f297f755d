//! What the event types look like, version by version: constants for the schemas of fields, and how they are put
//! together. It is what goes into the event types, and what `wal.lock` is compared with.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;

use crate::ast::{Body, Source, Style};
use crate::check::{Family, Record};
use crate::schema::{self, Replaced, Writer};

pub(crate) struct Shapes<'a> {
    /// Items for the block that holds the impls.
    pub items: TokenStream,
    /// One for each event type, in order.
    pub records: Vec<RecordShapes>,
    writer: Writer<'a>,
}

pub(crate) struct RecordShapes {
    /// Nothing for a retired type, whose shape is not known any more.
    pub today: Option<Contents>,
    /// Earlier versions that `since` describes, in order.
    pub older: Vec<(u16, Contents)>,
}

/// The stored fields of one version.
#[derive(Clone)]
pub(crate) struct Contents {
    pub style: Style,
    pub fields: Vec<StoredField>,
}

#[derive(Clone)]
pub(crate) struct StoredField {
    /// The name that serde gives it, or its position.
    pub label: String,
    /// An expression of type `&'static Shape`, a constant in the block that holds the impls.
    pub schema: TokenStream,
    /// Where the field is named, or its type if it has no name.
    pub span: Span,
    pub type_span: Span,
    /// Whether it says when its type has changed.
    pub has_steps: bool,
}

impl<'a> Shapes<'a> {
    pub(crate) fn of(source: &'a Source<'a>, family: &Family<'a>) -> Self {
        let mut shapes = Shapes {
            items: TokenStream::new(),
            records: Vec::with_capacity(family.records.len()),
            writer: Writer::outside(source),
        };
        for (index, record) in family.records.iter().enumerate() {
            let shape = match schema::replaced(source) {
                _ if record.retired => RecordShapes {
                    today: None,
                    older: Vec::new(),
                },
                Some(replaced) => shapes.of_replaced(replaced, index),
                None => shapes.of_fields(source, record, index),
            };
            shapes.records.push(shape);
        }
        shapes
    }

    pub(crate) fn schema(&self, contents: &Contents) -> TokenStream {
        let fields: Vec<_> = contents
            .fields
            .iter()
            .map(|part| (&*part.label, part.schema.clone()))
            .collect();
        self.writer.whole(self.writer.contents(contents.style, &fields))
    }

    /// The item that stands for the type inside itself.
    pub(crate) fn marker(&self) -> TokenStream {
        self.writer.marker()
    }

    /// Another type is written instead of the fields.
    fn of_replaced(&mut self, replaced: Replaced<'a, 'a>, index: usize) -> RecordShapes {
        let (schema, span) = match &replaced {
            Replaced::Into(ty) => (self.writer.of_type(&quote!(#ty), ty.span()), ty.span()),
            Replaced::Transparent(field) => (self.writer.field(field, true), field.ty.span()),
        };
        let part = StoredField {
            label: "0".to_owned(),
            schema: self.constant(schema, format_args!("{index}_0")),
            span,
            type_span: span,
            has_steps: false,
        };
        RecordShapes {
            today: Some(Contents {
                style: Style::Newtype,
                fields: vec![part],
            }),
            older: Vec::new(),
        }
    }

    fn of_fields(&mut self, source: &Source<'a>, record: &Record<'a>, index: usize) -> RecordShapes {
        let is_whole = matches!(source.body, Body::Struct(_));
        let mut parts = Vec::with_capacity(record.fields.list.len());
        for (at, field) in record.fields.list.iter().enumerate() {
            if field.stored() {
                let schema = self.writer.field(field, is_whole);
                let part = StoredField {
                    label: field.label.clone(),
                    schema: self.constant(schema, format_args!("{index}_{at}")),
                    span: field.span(),
                    type_span: field.ty.span(),
                    has_steps: !field.wal.changed.is_absent(),
                };
                let mut inner: Vec<_> = record.older.iter().filter_map(|v| field.inner(*v)).collect();
                inner.dedup();
                let older: Vec<_> = inner
                    .into_iter()
                    .map(|version| {
                        let ty = field.ty.to_token_stream();
                        let schema = self
                            .writer
                            .of_type_in(&ty, &version.to_token_stream(), field.ty.span());
                        (
                            version,
                            self.constant(schema, format_args!("{index}_{at}_{version}")),
                        )
                    })
                    .collect();
                parts.push((field, part, older));
            }
        }
        let contents = |version: u16, style: Style| {
            let stored = parts.iter().filter(|(field, ..)| field.since() <= version);
            let mut fields: Vec<_> = stored
                .map(|(field, part, older)| {
                    let mut older = older
                        .iter()
                        .filter(|(inner, _)| field.inner(version) == Some(*inner));
                    StoredField {
                        schema: older.next().map_or(&part.schema, |(_, schema)| schema).clone(),
                        ..part.clone()
                    }
                })
                .collect();
            if style != Style::Named {
                (0..)
                    .zip(&mut fields)
                    .for_each(|(place, field): (usize, _)| field.label = place.to_string());
            }
            Contents { style, fields }
        };
        let older = record
            .older
            .iter()
            .map(|&version| (version, contents(version, record.fields.style_in(version))));
        RecordShapes {
            today: Some(contents(record.version, record.fields.style)),
            older: older.collect(),
        }
    }

    /// One constant for each field and version of its type, so that what is wrong with its type is said once.
    fn constant(&mut self, schema: TokenStream, name: impl std::fmt::Display) -> TokenStream {
        let krate = &self.writer.krate;
        let name = format_ident!("__WAL_{}", name.to_string(), span = Span::mixed_site());
        self.items
            .extend(quote!(const #name: &#krate::__private::Shape = #schema;));
        quote!(#name)
    }
}
