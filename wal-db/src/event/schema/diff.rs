//! The difference of two shapes, for people.

use super::Shape;

/// What differs, a line for each place; empty if nothing does.
pub(crate) fn differences(log: &Shape, program: &Shape) -> String {
    let mut lines = String::new();
    compare("", log, program, &mut lines);
    lines
}

fn compare(path: &str, log: &Shape, program: &Shape, lines: &mut String) {
    match (log, program) {
        (log, program) if log == program => {}
        (Shape::Struct(log), Shape::Struct(program)) => {
            let old: Vec<_> = log
                .iter()
                .map(|field| (field.name.as_str(), &field.shape))
                .collect();
            let new: Vec<_> = program
                .iter()
                .map(|field| (field.name.as_str(), &field.shape))
                .collect();
            named(path, "field", &old, &new, lines);
        }
        (Shape::Enum(log), Shape::Enum(program)) => {
            let old: Vec<_> = log
                .iter()
                .map(|variant| (variant.name.as_str(), &variant.fields))
                .collect();
            let new: Vec<_> = program
                .iter()
                .map(|variant| (variant.name.as_str(), &variant.fields))
                .collect();
            named(path, "variant", &old, &new, lines);
        }
        (Shape::Tuple(log), Shape::Tuple(program)) if log.len() == program.len() => {
            for (i, (log, program)) in log.iter().zip(program).enumerate() {
                compare(&join(path, &i.to_string()), log, program, lines);
            }
        }
        (Shape::Option(log), Shape::Option(program)) => compare(&join(path, "some"), log, program, lines),
        (Shape::Seq(log), Shape::Seq(program)) => compare(&join(path, "[]"), log, program, lines),
        (Shape::Map(log, log_value), Shape::Map(program, program_value)) => {
            compare(&join(path, "key"), log, program, lines);
            compare(&join(path, "value"), log_value, program_value, lines);
        }
        (Shape::Recursive { body: log, .. }, Shape::Recursive { body: program, .. }) if log != program => {
            compare(path, log, program, lines);
        }
        (log, program) => line(
            lines,
            path,
            &format!("is `{log}` in the log and `{program}` in this program"),
        ),
    }
}

/// Fields or variants: those that both have are compared, then what is missing, new, or moved is named.
fn named(path: &str, what: &str, old: &[(&str, &Shape)], new: &[(&str, &Shape)], lines: &mut String) {
    let find = |list: &[(&str, &Shape)], name: &str| list.iter().position(|(other, _)| *other == name);
    let before = lines.len();
    for (name, log) in old {
        match find(new, name) {
            Some(at) => compare(&join(path, name), log, new[at].1, lines),
            None => line(
                lines,
                &join(path, name),
                &format!("is a {what} in the log and not in this program"),
            ),
        }
    }
    for (name, _) in new.iter().filter(|(name, _)| find(old, name).is_none()) {
        line(
            lines,
            &join(path, name),
            &format!("is a {what} in this program and not in the log"),
        );
    }
    if lines.len() == before {
        let order =
            |list: &[(&str, &Shape)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        line(
            lines,
            path,
            &format!(
                "has the {what}s in the order {} in the log and {} in this program",
                order(old),
                order(new)
            ),
        );
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn line(lines: &mut String, path: &str, text: &str) {
    lines.push_str("\n  ");
    if path.is_empty() {
        lines.push_str("it");
    } else {
        lines.push('`');
        lines.push_str(path);
        lines.push('`');
    }
    lines.push(' ');
    lines.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(log: &str, program: &str) -> String {
        let shape = |text: &str| text.parse::<Shape>().expect("a shape");
        differences(&shape(log), &shape(program))
    }

    #[test]
    fn equal_shapes_do_not_differ() {
        assert_eq!(diff("{a: u8, b: [str]}", "{a: u8, b: [str]}"), "");
    }

    #[test]
    fn each_difference_has_a_line_with_its_path() {
        assert_eq!(
            diff("{a: u8, b: {c: u32}, d: str}", "{a: u8, b: {c: u64}, e: str}"),
            "\n  `b.c` is `u32` in the log and `u64` in this program\
             \n  `d` is a field in the log and not in this program\
             \n  `e` is a field in this program and not in the log"
        );
        assert_eq!(
            diff("[option<u8>]", "[option<i8>]"),
            "\n  `[].some` is `u8` in the log and `i8` in this program"
        );
        assert_eq!(
            diff("enum {A, B(u8)}", "enum {B(u8), A}"),
            "\n  it has the variants in the order A, B in the log and B, A in this program"
        );
        assert_eq!(
            diff("u8", "u16"),
            "\n  it is `u8` in the log and `u16` in this program"
        );
    }
}
