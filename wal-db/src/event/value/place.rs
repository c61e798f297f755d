//! A shape inside of others, which say what the names in it stand for.

use std::rc::Rc;

use crate::event::schema::Shape;

/// So many names, one standing for the next, may lead to what a value looks like.
const MAX_NAMES: u32 = 128;

/// A shape, and what the names in it stand for.
#[derive(Clone)]
pub(crate) struct Place<'c> {
    pub(crate) shape: &'c Shape,
    scope: Option<Rc<Scope<'c>>>,
    /// How many shapes that were only names led here.
    names: u32,
}

/// A type that holds itself, and those around it.
struct Scope<'c> {
    name: &'c str,
    body: &'c Shape,
    outer: Option<Rc<Scope<'c>>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NoShape<'c> {
    #[error("its schema names `{0}` and does not say what that is")]
    Unknown(&'c str),
    #[error("its schema does not say how `{0}` is written: it was declared with `opaque` and without `wire`")]
    Opaque(&'c str),
    #[error("its schema leads from name to name and never to a value")]
    Endless,
}

impl<'c> Place<'c> {
    pub(crate) fn whole(shape: &'c Shape) -> Self {
        Place {
            shape,
            scope: None,
            names: 0,
        }
    }

    pub(crate) fn part(&self, shape: &'c Shape) -> Self {
        Place {
            shape,
            scope: self.scope.clone(),
            names: 0,
        }
    }

    /// The shape that this one stands for if it is only a name; `None` if it has values of its own.
    pub(crate) fn follow(&self) -> Result<Option<Self>, NoShape<'c>> {
        let (shape, scope): (&'c Shape, _) = match self.shape {
            Shape::Recursive { name, body } => {
                let outer = self.scope.clone();
                (body, Some(Rc::new(Scope { name, body, outer })))
            }
            Shape::Ref(name) => {
                let scope = self.find(name).ok_or(NoShape::Unknown(name))?;
                (scope.body, Some(scope))
            }
            Shape::Opaque { wire: Some(wire), .. } => (wire, self.scope.clone()),
            Shape::Later { shape, .. } => (shape(), self.scope.clone()),
            Shape::Opaque { name, wire: None } => return Err(NoShape::Opaque(name)),
            _ => return Ok(None),
        };
        if self.names == MAX_NAMES {
            return Err(NoShape::Endless);
        }
        let names = self.names + 1;
        Ok(Some(Place { shape, scope, names }))
    }

    fn find(&self, name: &str) -> Option<Rc<Scope<'c>>> {
        std::iter::successors(self.scope.as_ref(), |scope| scope.outer.as_ref())
            .find(|scope| scope.name == name)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(shape: &str) -> Result<String, String> {
        let shape: Shape = shape.parse().expect("a shape");
        let mut place = Place::whole(&shape);
        while let Some(next) = place.follow().map_err(|error| error.to_string())? {
            place = next;
        }
        Ok(place.shape.to_string())
    }

    #[test]
    fn names_lead_to_the_innermost_type_that_has_them() {
        assert_eq!(led("rec A rec B opaque \"o\" = u8").as_deref(), Ok("u8"));
        let shape: Shape = "rec A (rec A (@A, u8), @A)".parse().expect("a shape");
        let follow = |place: &Place<'_>| {
            place
                .follow()
                .expect("it leads on")
                .expect("a name")
                .shape
                .to_string()
        };
        let outer = Place::whole(&shape).follow().ok().flatten().expect("the outer");
        let Shape::Tuple(items) = outer.shape else {
            panic!("{}", outer.shape)
        };
        assert_eq!(follow(&outer.part(&items[1].shape)), outer.shape.to_string());
        let inner = outer
            .part(&items[0].shape)
            .follow()
            .ok()
            .flatten()
            .expect("the inner");
        let Shape::Tuple(items) = inner.shape else {
            panic!("{}", inner.shape)
        };
        assert_eq!(follow(&inner.part(&items[0].shape)), "(@A, u8)");
    }

    #[test]
    fn names_that_lead_nowhere_are_refused() {
        let cases = [
            ("@A", "its schema names `A` and"),
            ("opaque \"o\"", "its schema does not say how `o` is written"),
            ("rec A @A", "its schema leads from name to name"),
        ];
        for (shape, expected) in cases {
            let found = led(shape).expect_err("no shape");
            assert!(found.starts_with(expected), "{shape}: {found}");
        }
    }
}
