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
