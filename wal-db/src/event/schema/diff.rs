//! The difference of two shapes, for people.

use super::Shape;

/// What differs, a sentence for each place; none if the shapes are equal. `stored_in` is what holds the first shape.
pub(crate) fn differences(stored: &Shape, program: &Shape, stored_in: &str) -> Vec<String> {
    let mut found = Found {
        stored_in,
        lines: Vec::new(),
    };
    let (stored, program) = (stored.told(), program.told());
    let is_field = [&stored, &program].into_iter().all(is_field);
    found.compare(if is_field { "0" } else { "" }, &stored, &program);
    found.lines
}

/// Whether it is the only field of the event that has it: that is no struct and no tuple.
fn is_field(shape: &Shape) -> bool {
    match shape {
        Shape::Recursive { body, .. } => is_field(body),
        Shape::Unit | Shape::Struct(_) | Shape::Tuple(_) => false,
        _ => true,
    }
}

type Named<'a> = [(&'a str, &'a Shape)];

struct Found<'a> {
    stored_in: &'a str,
    lines: Vec<String>,
}

impl Found<'_> {
    fn compare(&mut self, path: &str, stored: &Shape, program: &Shape) {
        match (stored, program) {
            (stored, program) if stored == program => {}
            (Shape::Struct(stored), Shape::Struct(program)) => {
                let [stored, program] = [stored, program].map(|fields| {
                    let fields = fields.iter();
                    fields
                        .map(|field| (&*field.name, &*field.shape))
                        .collect::<Vec<_>>()
                });
                self.named(path, "field", &stored, &program);
            }
            (Shape::Enum(stored), Shape::Enum(program)) => {
                let [stored, program] = [stored, program].map(|variants| {
                    let variants = variants.iter();
                    variants
                        .map(|variant| (&*variant.name, &*variant.fields))
                        .collect::<Vec<_>>()
                });
                self.named(path, "variant", &stored, &program);
            }
            (Shape::Tuple(stored), Shape::Tuple(program)) if stored.len() == program.len() => {
                for (i, (stored, program)) in stored.iter().zip(program.iter()).enumerate() {
                    self.compare(&join(path, &i.to_string()), &stored.shape, &program.shape);
                }
            }
            (Shape::Option(stored), Shape::Option(program)) => {
                self.compare(&join(path, "some"), stored, program);
            }
            (Shape::Seq(stored), Shape::Seq(program)) => self.compare(&join(path, "[]"), stored, program),
            (Shape::Array(stored, n), Shape::Array(program, m)) if n == m => {
                self.compare(&join(path, "[]"), stored, program);
            }
            (Shape::Map(key, value), Shape::Map(program_key, program_value)) => {
                self.compare(&join(path, "key"), key, program_key);
                self.compare(&join(path, "value"), value, program_value);
            }
            // By name: what is said of how it is written may be mended.
            (Shape::Opaque { name, .. }, Shape::Opaque { name: same, .. }) if name == same => {}
            (Shape::Recursive { body: stored, .. }, Shape::Recursive { body: program, .. }) => {
                self.compare(path, stored, program);
            }
            (stored, program) => {
                let text = format!(
                    "is `{stored}` in {} and `{program}` in this program",
                    self.stored_in
                );
                self.line(path, &text);
            }
        }
    }

    /// Those that both have are compared, then what is missing, new, or moved is named.
    fn named(&mut self, path: &str, what: &str, stored: &Named<'_>, program: &Named<'_>) {
        let find = |list: &Named<'_>, name: &str| list.iter().position(|(other, _)| *other == name);
        let before = self.lines.len();
        for (name, shape) in stored {
            let path = join(path, name);
            match find(program, name) {
                Some(at) => self.compare(&path, shape, program[at].1),
                None => {
                    let text = format!("is a {what} in {} and not in this program", self.stored_in);
                    self.line(&path, &text);
                }
            }
        }
        for (name, _) in program.iter().filter(|(name, _)| find(stored, name).is_none()) {
            let text = format!("is a {what} in this program and not in {}", self.stored_in);
            self.line(&join(path, name), &text);
        }
        let order = |list: &Named<'_>| list.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if self.lines.len() == before && order(stored) != order(program) {
            let text = format!(
                "has the {what}s in the order {} in {} and {} in this program",
                order(stored),
                self.stored_in,
                order(program)
            );
            self.line(path, &text);
        }
    }

    fn line(&mut self, path: &str, text: &str) {
        self.lines.push(match path {
            "" => format!("it {text}"),
            path => format!("`{path}` {text}"),
        });
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_has_a_line_with_its_place() {
        let cases: [(&str, &str, &[&str]); 19] = [
            ("{a: u8, b: [str]}", "{a: u8, b: [str]}", &[]),
            ("u8", "u16", &["`0` is `u8` in the log and `u16` in this program"]),
            (
                "{a: u8, b: {c: u32}, d: str}",
                "{a: u8, b: {c: u64}, e: str}",
                &[
                    "`b.c` is `u32` in the log and `u64` in this program",
                    "`d` is a field in the log and not in this program",
                    "`e` is a field in this program and not in the log",
                ],
            ),
            (
                "u8",
                "{a: u8}",
                &["it is `u8` in the log and `{a: u8}` in this program"],
            ),
            (
                "(u8, u8)",
                "(u8, u16)",
                &["`1` is `u8` in the log and `u16` in this program"],
            ),
            (
                "(u8, u8)",
                "(u8,)",
                &["it is `(u8, u8)` in the log and `(u8,)` in this program"],
            ),
            (
                "{a: u8, b: u8}",
                "{b: u8, a: u8}",
                &["it has the fields in the order a, b in the log and b, a in this program"],
            ),
            (
                "{a: enum {X, Y(u8)}}",
                "{a: enum {Y(u8), X}}",
                &["`a` has the variants in the order X, Y in the log and Y, X in this program"],
            ),
            (
                "{a: [{b: map<str, option<u8>>}]}",
                "{a: [{b: map<str, option<i8>>}]}",
                &["`a.[].b.value.some` is `u8` in the log and `i8` in this program"],
            ),
            (
                "map<u8, unit>",
                "map<u16, unit>",
                &["`0.key` is `u8` in the log and `u16` in this program"],
            ),
            (
                "enum {X, Y(u8)}",
                "enum {X, Y(u16), Z}",
                &[
                    "`0.Y` is `u8` in the log and `u16` in this program",
                    "`0.Z` is a variant in this program and not in the log",
                ],
            ),
            (
                "rec T {t: option<@T>, n: u8}",
                "rec U {t: option<@U>, n: u16}",
                &["`n` is `u8` in the log and `u16` in this program"],
            ),
            (
                "rec T [@T]",
                "[u8]",
                &["`0` is `rec 0 [@0]` in the log and `[u8]` in this program"],
            ),
            (
                "rec T (rec U (@T, @U), @T)",
                "rec T (rec U (@U, @U), @T)",
                &["`0.0` is `@0` in the log and `@1` in this program"],
            ),
            ("rec T {t: [@T]}", "rec U {t: [@U]}", &[]),
            ("{a: opaque \"o\" = u8}", "{a: opaque \"o\"}", &[]),
            (
                "{a: opaque \"o\" = u8}",
                "{a: opaque \"p\" = u8}",
                &["`a` is `opaque \"o\" = u8` in the log and `opaque \"p\" = u8` in this program"],
            ),
            (
                "[u8; 4]",
                "[i8; 4]",
                &["`0.[]` is `u8` in the log and `i8` in this program"],
            ),
            (
                "[u8; 4]",
                "[u8; 5]",
                &["`0` is `[u8; 4]` in the log and `[u8; 5]` in this program"],
            ),
        ];
        for (log, program, expected) in cases {
            let [stored, now] = [log, program].map(|text| text.parse::<Shape>().expect("a shape"));
            assert_eq!(
                differences(&stored, &now, "the log"),
                expected,
                "{log} and {program}"
            );
        }
    }
}
