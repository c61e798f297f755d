//! Names and ids are how a record finds its variant again, so each must be its own.

use proc_macro2::Span;
use syn::Ident;
use wal_shape::type_id;

use crate::check::Record;
use crate::errors::Errors;

#[derive(Default)]
pub(crate) struct Names<'a>(Vec<Taken<'a>>);

struct Taken<'a> {
    name: String,
    id: u32,
    by: &'a Ident,
}

impl<'a> Names<'a> {
    /// Adds the names of an event type, former ones too.
    pub(crate) fn add(&mut self, record: &Record<'_>, by: &'a Ident, errors: &mut Errors) {
        let id_span = record.wal.id.span().unwrap_or(record.span);
        self.add_one(&record.name, record.type_id(), (record.span, id_span), by, errors);
        for (alias, span) in &record.aliases {
            self.add_one(alias, type_id(alias), (*span, *span), by, errors);
        }
    }

    fn add_one(
        &mut self,
        name: &str,
        id: u32,
        (name_span, id_span): (Span, Span),
        by: &'a Ident,
        errors: &mut Errors,
    ) {
        if let Some(taken) = self.0.iter().find(|taken| taken.name == name) {
            if taken.by == by {
                errors.at(name_span, format_args!("`{by}` has the name `{name}` already"));
            } else {
                errors.at(
                    name_span,
                    format_args!("the name `{name}` is taken by the variant `{}`", taken.by),
                );
            }
        } else if let Some(taken) = self.0.iter().find(|taken| taken.id == id && taken.by != by) {
            errors.at(
                id_span,
                format_args!(
                    "the type id {id:#010x} of `{name}` is taken by the variant `{}`: \
                     give the one that is in no log yet another id with `#[wal(id = N)]`",
                    taken.by
                ),
            );
        } else {
            self.0.push(Taken {
                name: name.to_owned(),
                id,
                by,
            });
        }
    }
}
