//! The places in an event, by the names that `check_history!` documents.

use std::rc::Rc;

use crate::event::{
    probe::{NoShape, Place},
    schema::Shape,
};

/// A place in an event.
#[derive(Clone)]
pub(super) struct Named<'a> {
    place: Place<'a>,
    /// The steps to it, joined by dots; `None` in what an opaque type is written as.
    pub(super) name: Option<Rc<str>>,
    /// The types around it that hold themselves, and what each is called where it begins.
    around: Vec<(&'a Shape, Option<Rc<str>>)>,
}

/// Whether a name is this one, or that of something in it.
pub(super) fn is_of(name: &str, whole: &str) -> bool {
    let rest = name.strip_prefix(whole);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A name of a place that is not there.
pub(super) struct NoPlace {
    /// The place to which its first steps lead; the event itself has no name.
    pub(super) reached: String,
    /// The places in that.
    pub(super) there: Vec<String>,
}

impl<'a> Named<'a> {
    /// The event itself.
    pub(super) fn event(shape: &'a Shape) -> Self {
        Named {
            place: Place::whole(shape),
            name: Some(Rc::from("")),
            around: Vec::new(),
        }
        .with_its_only_field()
    }

    pub(super) fn shape(&self) -> &'a Shape {
        self.place.shape
    }

    /// A part of it, of this shape.
    pub(super) fn part(&self, shape: &'a Shape, step: &str) -> Self {
        let name = self.name.as_deref().map(|name| match name {
            "" => Rc::from(step),
            name => Rc::from(format!("{name}.{step}")),
        });
        Named {
            place: self.place.part(shape),
            name,
            around: self.around.clone(),
        }
    }

    /// The same place with the shape that is meant, if a name stands there. Inside a type that holds itself, places are
    /// called as where it begins.
    pub(super) fn follow(&self) -> Result<Option<Self>, NoShape<'a>> {
        let Some(place) = self.place.follow()? else {
            return Ok(None);
        };
        let body = place.shape;
        let mut followed = Named {
            place,
            ..self.clone()
        };
        match self.shape() {
            Shape::Recursive { .. } => followed.around.push((body, self.name.clone())),
            Shape::Ref(_) => {
                let mut around = self.around.iter().rev();
                if let Some((_, name)) = around.find(|(other, _)| std::ptr::eq(*other, body)) {
                    followed.name.clone_from(name);
                }
            }
            Shape::Opaque { .. } => followed.name = None,
            _ => {}
        }
        Ok(Some(followed.with_its_only_field()))
    }

    /// The parts of it that have names of their own. Those of a type that holds itself are where it begins.
    fn parts(&self) -> Vec<Self> {
        let part = |step: &str, shape: &'a Shape| self.part(shape, step);
        match self.shape() {
            Shape::Struct(fields) => fields
                .iter()
                .map(|field| part(&field.name, &field.shape))
                .collect(),
            Shape::Tuple(items) => {
                let items = items.iter().enumerate();
                items
                    .map(|(at, item)| part(&at.to_string(), &item.shape))
                    .collect()
            }
            Shape::Enum(variants) => {
                let variants = variants.iter().filter(|variant| *variant.fields != Shape::Unit);
                variants
                    .map(|variant| part(&variant.name, &variant.fields))
                    .collect()
            }
            Shape::Option(inner) => vec![part("some", inner)],
            Shape::Seq(element) | Shape::Array(element, _) => vec![part("[]", element)],
            Shape::Map(key, value) => vec![part("key", key), part("value", value)],
            Shape::Recursive { .. } | Shape::Later { .. } => match self.follow() {
                Ok(Some(body)) if body.name == self.name => body.parts(),
                Ok(Some(only)) => vec![only],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Whether a place in the event is called so. If none is: how far the name leads, and what there is.
    pub(super) fn find(shape: &'a Shape, wanted: &str) -> Result<(), NoPlace> {
        let event = Named::event(shape);
        match event.name() {
            "" => event.lead(wanted),
            _ => Named::among(vec![event], wanted, ""),
        }
    }

    fn lead(&self, wanted: &str) -> Result<(), NoPlace> {
        match self.name() == wanted {
            true => Ok(()),
            false => Named::among(self.parts(), wanted, self.name()),
        }
    }

    /// There may be dots in a name, so several parts may lead there.
    fn among(parts: Vec<Self>, wanted: &str, reached: &str) -> Result<(), NoPlace> {
        let mut none = NoPlace {
            reached: reached.to_owned(),
            there: parts.iter().map(|part| part.name().to_owned()).collect(),
        };
        for part in parts {
            if is_of(wanted, part.name()) {
                match part.lead(wanted) {
                    Ok(()) => return Ok(()),
                    Err(further) => none = further,
                }
            }
        }
        Err(none)
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// An event that is no struct and no tuple is one field.
    fn with_its_only_field(self) -> Self {
        let has_fields = match self.shape() {
            Shape::Unit | Shape::Struct(_) | Shape::Tuple(_) => true,
            Shape::Recursive { .. } | Shape::Ref(_) | Shape::Later { .. } => true, // not known yet
            _ => false,
        };
        let name = match self.name {
            Some(name) if name.is_empty() && !has_fields => Some(Rc::from("0")),
            name => name,
        };
        Named { name, ..self }
    }
}
