//! Names in another case: those that serde gives fields and variants, and those of event types.

/// A value of `rename_all`, as serde's derive applies it: fields are taken to be in snake case, variants in camel case
/// that begins with a capital. Serde itself reports an unknown rule.
pub(crate) struct Rule<'a>(pub &'a str);

impl Rule<'_> {
    pub(crate) fn field(&self, name: &str) -> String {
        let pascal = || {
            let mut pascal = String::with_capacity(name.len());
            let mut capital = true;
            for c in name.chars() {
                if c == '_' {
                    capital = true;
                } else if capital {
                    pascal.push(c.to_ascii_uppercase());
                    capital = false;
                } else {
                    pascal.push(c);
                }
            }
            pascal
        };
        match self.0 {
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => name.to_ascii_uppercase(),
            "PascalCase" => pascal(),
            "camelCase" => first_lower(&pascal()),
            "kebab-case" => name.replace('_', "-"),
            "SCREAMING-KEBAB-CASE" => name.to_ascii_uppercase().replace('_', "-"),
            _ => name.to_owned(),
        }
    }

    pub(crate) fn variant(&self, name: &str) -> String {
        let snake = || {
            let mut snake = String::with_capacity(name.len() + 4);
            for (i, c) in name.char_indices() {
                if i > 0 && c.is_uppercase() {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
            }
            snake
        };
        match self.0 {
            "lowercase" => name.to_ascii_lowercase(),
            "UPPERCASE" => name.to_ascii_uppercase(),
            "camelCase" => first_lower(name),
            "snake_case" => snake(),
            "SCREAMING_SNAKE_CASE" => snake().to_ascii_uppercase(),
            "kebab-case" => snake().replace('_', "-"),
            "SCREAMING-KEBAB-CASE" => snake().to_ascii_uppercase().replace('_', "-"),
            _ => name.to_owned(),
        }
    }
}

fn first_lower(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// `HTTPRequestSent2` is `http_request_sent2`. Names are stored, so this must never change.
pub(crate) fn snake_case(ident: &str) -> String {
    let chars: Vec<char> = ident.chars().collect();
    let mut snake = String::with_capacity(ident.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        let follows_word = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let ends_acronym =
            i > 0 && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (follows_word || ends_acronym) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As serde_derive 1.0.229 names them.
    #[test]
    fn rules_are_those_of_serde() {
        let cases = [
            ("lowercase", "very_tasty", "verytasty"),
            ("UPPERCASE", "VERY_TASTY", "VERYTASTY"),
            ("PascalCase", "VeryTasty", "VeryTasty"),
            ("camelCase", "veryTasty", "veryTasty"),
            ("snake_case", "very_tasty", "very_tasty"),
            ("SCREAMING_SNAKE_CASE", "VERY_TASTY", "VERY_TASTY"),
            ("kebab-case", "very-tasty", "very-tasty"),
            ("SCREAMING-KEBAB-CASE", "VERY-TASTY", "VERY-TASTY"),
        ];
        for (rule, field, variant) in cases {
            assert_eq!(Rule(rule).field("very_tasty"), field, "{rule}");
            assert_eq!(Rule(rule).variant("VeryTasty"), variant, "{rule}");
        }
    }

    #[test]
    fn snake_case_of_variants() {
        let cases = [
            ("Opened", "opened"),
            ("NameChanged", "name_changed"),
            ("HTTPRequestSent2", "http_request_sent2"),
            ("V2Added", "v2_added"),
            ("A", "a"),
            ("AB", "ab"),
            ("already_snake", "already_snake"),
            ("SCREAMING_CASE", "screaming_case"),
        ];
        for (ident, expected) in cases {
            assert_eq!(snake_case(ident), expected);
        }
    }
}
