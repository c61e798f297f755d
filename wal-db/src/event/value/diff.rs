//! Where two values differ, part by part.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use super::{
    Value,
    unordered::{named, same, unordered},
};

/// A part in which two values differ; from [`Value::diff`].
///
/// It displays as `cents.7: 100 -> 90`, as `cents.8: added 5`, or as `cents.9: removed 0`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The fields, keys and positions that lead there; empty if the values differ as a whole.
    pub path: Vec<String>,
    /// What it was; `None` if it was not there.
    pub before: Option<Value>,
    /// What it is; `None` if it is not there any more.
    pub after: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{before} -> {after}"),
            (Some(before), None) => write!(f, "removed {before}"),
            (None, Some(after)) => write!(f, "added {after}"),
            (None, None) => Ok(()),
        }
    }
}

impl Value {
    /// The parts in which another value differs from this one, in the order in which they stand.
    ///
    /// Fields are compared by name, and entries of maps by key, wherever they stand. Of two lists, what is the same at the
    /// beginning and at the end is left out, and the rest is compared by position. So an element that was put in or taken
    /// out is one difference, and a queue that has moved on differs in every place. Two different variants differ as a
    /// whole. All NaNs count as equal. The elements of a set without an order, as a `HashSet`, are compared in the order in
    /// which they are stored: equal sets may differ.
    ///
    /// ```
    /// use wal_db::schema::Value;
    ///
    /// let stock = |apples, pears: Option<u128>| {
    ///     let mut fruit = vec![(Value::Str("apples".into()), Value::Unsigned(apples))];
    ///     fruit.extend(pears.map(|pears| (Value::Str("pears".into()), Value::Unsigned(pears))));
    ///     Value::Struct(vec![("stock".into(), Value::Map(fruit))])
    /// };
    /// let differences = stock(7, None).diff(&stock(6, Some(2)));
    /// let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
    /// assert_eq!(shown, ["stock.apples: 7 -> 6", "stock.pears: added 2"]);
    /// ```
    #[must_use]
    pub fn diff(&self, after: &Value) -> Vec<Difference> {
        let mut found = Found::default();
        found.compare(self, after);
        found.differences
    }

    /// As [`diff`](Self::diff), without lists whose elements are the same in another order.
    #[cfg(feature = "testing")]
    pub(crate) fn diff_but_order(&self, after: &Value) -> Vec<Difference> {
        let mut found = Found {
            ignores_order: true,
            ..Found::default()
        };
        found.compare(self, after);
        found.differences
    }
}

#[derive(Default)]
struct Found {
    path: Vec<String>,
    differences: Vec<Difference>,
    ignores_order: bool,
}

/// What an entry is found by, its name in a path, and its value.
type Entry<'v> = (String, String, &'v Value);

impl Found {
    fn note(&mut self, before: Option<&Value>, after: Option<&Value>) {
        self.differences.push(Difference {
            path: self.path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        });
    }

    /// Compares a part that one of them may not have.
    fn part(&mut self, step: impl Into<String>, before: Option<&Value>, after: Option<&Value>) {
        self.path.push(step.into());
        match (before, after) {
            (Some(before), Some(after)) => self.compare(before, after),
            (before, after) => self.note(before, after),
        }
        self.path.pop();
    }

    fn compare(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Option(Some(before)), Value::Option(Some(after)))
            | (Value::Newtype(before), Value::Newtype(after)) => self.compare(before, after),
            (Value::Variant(name, before), Value::Variant(other, after)) if name == other => {
                self.compare(before, after);
            }
            (Value::List(before), Value::List(after)) => self.lists(before, after),
            (Value::Tuple(before), Value::Tuple(after)) if before.len() == after.len() => {
                for (at, (before, after)) in before.iter().zip(after).enumerate() {
                    self.part(at.to_string(), Some(before), Some(after));
                }
            }
            (Value::Struct(before), Value::Struct(after)) => {
                let [before, after] = [before, after].map(|fields| {
                    let fields = fields.iter();
                    let fields = fields.map(|(name, value)| (name.to_string(), name.to_string(), value));
                    fields.collect()
                });
                self.entries(before, after);
            }
            (Value::Map(before), Value::Map(after)) => {
                let [before, after] = [before, after].map(|entries| {
                    let entries = entries.iter();
                    let entries = entries.map(|(key, value)| (key.to_string(), named(key), value));
                    entries.collect()
                });
                self.entries(before, after);
            }
            (before, after) if same(before, after) => {}
            (before, after) => self.note(Some(before), Some(after)),
        }
    }

    /// A map may have a key more than once.
    fn entries(&mut self, before: Vec<Entry<'_>>, after: Vec<Entry<'_>>) {
        let mut others: HashMap<String, VecDeque<(String, &Value)>> = HashMap::new();
        let mut keys = Vec::new();
        for (key, name, value) in after {
            keys.push(key.clone());
            others.entry(key).or_default().push_back((name, value));
        }
        for (key, name, value) in before {
            let other = others.get_mut(&key).and_then(VecDeque::pop_front);
            self.part(name, Some(value), other.map(|(_, value)| value));
        }
        for key in keys {
            if let Some((name, value)) = others.get_mut(&key).and_then(VecDeque::pop_front) {
                self.part(name, None, Some(value));
            }
        }
    }

    fn lists(&mut self, before: &[Value], after: &[Value]) {
        let sorted = |items: &[Value]| unordered(&Value::List(items.to_vec()));
        if self.ignores_order && before.len() == after.len() && sorted(before) == sorted(after) {
            return;
        }
        let equal = |(a, b): &(&Value, &Value)| a == b || a.diff(b).is_empty();
        let first = before.iter().zip(after).take_while(equal).count();
        let (rest, others) = (&before[first..], &after[first..]);
        let last = rest
            .iter()
            .rev()
            .zip(others.iter().rev())
            .take_while(equal)
            .count();
        let (rest, others) = (&rest[..rest.len() - last], &others[..others.len() - last]);
        for at in 0..rest.len().max(others.len()) {
            self.part((first + at).to_string(), rest.get(at), others.get(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(numbers: &[i128]) -> Value {
        Value::List(numbers.iter().map(|number| Value::Signed(*number)).collect())
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        let entries = entries.iter();
        Value::Map(
            entries
                .map(|(key, value)| (Value::Str((*key).into()), value.clone()))
                .collect(),
        )
    }

    fn shown(before: &Value, after: &Value) -> Vec<String> {
        let differences = before.diff(after);
        differences.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_differ_in_their_smallest_parts() {
        let number = Value::Signed;
        let [before, after] = [(1, "a"), (2, "b")].map(|(own, name)| {
            let inner = Value::Struct(vec![("n".into(), number(own)), ("same".into(), Value::Unit)]);
            let variant = Value::Variant("In".into(), Box::new(inner));
            let tuple = Value::Tuple(vec![Value::Bool(true), Value::Str(name.into())]);
            Value::Struct(vec![
                ("kind".into(), Value::Option(Some(Box::new(variant)))),
                ("pair".into(), tuple),
            ])
        });
        assert_eq!(
            shown(&before, &after),
            ["kind.n: 1 -> 2", "pair.1: \"a\" -> \"b\""]
        );
        assert!(before.diff(&before).is_empty());
        assert_eq!(shown(&number(1), &Value::Unit), ["1 -> ()"]);
        let none = Value::Option(None);
        let some = Value::Option(Some(Box::new(number(1))));
        assert_eq!(shown(&none, &some), ["None -> Some(1)"]);
        let [one, other] = ["One", "Other"].map(|name| Value::Variant(name.into(), Box::new(number(1))));
        assert_eq!(shown(&one, &other), ["One(1) -> Other(1)"]);
        let nan = Value::F64(f64::NAN);
        assert!(nan.diff(&nan).is_empty());
        assert_eq!(shown(&nan, &Value::F64(0.0)), ["NaN -> 0.0"]);
    }

    #[test]
    fn entries_are_compared_wherever_they_stand() {
        let n = Value::Signed;
        let before = map(&[("a", n(1)), ("b", n(2)), ("c", n(3))]);
        let after = map(&[("d", n(4)), ("c", n(3)), ("a", n(9))]);
        assert_eq!(
            shown(&before, &after),
            ["a: 1 -> 9", "b: removed 2", "d: added 4"]
        );
        let moved = map(&[("c", n(3)), ("a", n(1)), ("b", n(2))]);
        assert!(before.diff(&moved).is_empty());
        // In a list, too.
        let [one, other] = [&before, &moved].map(|map| Value::List(vec![map.clone()]));
        assert!(one.diff(&other).is_empty());
        let longer = Value::List(vec![n(0), moved.clone()]);
        assert_eq!(shown(&one, &longer), ["0: added 0"]);
    }

    #[test]
    fn a_key_may_be_there_twice_and_text_is_no_number() {
        let n = Value::Signed;
        let twice = map(&[("a", n(1)), ("a", n(2))]);
        assert!(twice.diff(&twice).is_empty());
        assert_eq!(shown(&map(&[("a", n(2))]), &twice), ["a: 2 -> 1", "a: added 2"]);
        let text = map(&[("1", n(5))]);
        let number = Value::Map(vec![(n(1), n(5))]);
        assert_eq!(shown(&text, &number), ["1: removed 5", "1: added 5"]);
    }

    #[test]
    fn what_was_put_into_a_list_or_taken_out_is_all_that_differs() {
        let before = list(&[1, 2, 3, 4]);
        for (after, expected) in [
            (&[1, 2, 9, 3, 4][..], &["2: added 9"][..]),
            (&[1, 4], &["1: removed 2", "2: removed 3"]),
            (&[0, 1, 2, 3, 4], &["0: added 0"]),
            (&[1, 2, 3, 4, 5], &["4: added 5"]),
            (&[1, 7, 8, 9, 4], &["1: 2 -> 7", "2: 3 -> 8", "3: added 9"]),
            (&[1, 1, 2, 3, 4], &["1: added 1"]),
            (
                &[],
                &["0: removed 1", "1: removed 2", "2: removed 3", "3: removed 4"],
            ),
        ] {
            assert_eq!(shown(&before, &list(after)), expected, "{after:?}");
        }
    }
}
