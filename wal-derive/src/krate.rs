//! Whether generated code finds `::wal_db`. A crate that has it under another name has to say so, and the compiler's own
//! words about a path that leads nowhere do not tell how.

use std::path::PathBuf;
use std::{env, fs};

/// What is wrong with the dependencies of the crate that is compiled. Nothing where no `Cargo.toml` says what they are.
pub(crate) fn problem() -> Option<String> {
    if env::var("CARGO_PKG_NAME").is_ok_and(|package| package == PACKAGE) {
        return None;
    }
    let path = match env::var_os("CARGO_MANIFEST_PATH") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join(MANIFEST),
    };
    // A script is its own manifest.
    if path.file_name()? != MANIFEST {
        return None;
    }
    problem_in(&fs::read_to_string(path).ok()?)
}

const PACKAGE: &str = "wal-db";
const MANIFEST: &str = "Cargo.toml";

fn problem_in(manifest: &str) -> Option<String> {
    let mut renamed = None;
    let mut table = Table::Other;
    let lines = manifest.lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with('#')) {
        let key = match (line.strip_prefix('['), &table) {
            (Some(header), _) => {
                table = Table::of(header);
                match &table {
                    Table::Dependency(name) => name.clone(),
                    _ => continue,
                }
            }
            (None, Table::Dependencies) => first_word(line),
            (None, Table::Dependency(name)) if first_word(line) == "package" => name.clone(),
            (None, _) => continue,
        };
        if key.replace('_', "-") == PACKAGE {
            return None;
        }
        if line.contains("package") && line.contains(&format!("\"{PACKAGE}\"")) {
            renamed = Some(key);
        }
    }
    if let Some(name) = renamed {
        let path = name.replace('-', "_");
        return Some(format!(
            "`{PACKAGE}` is called `{name}` in `Cargo.toml`: say so with `#[wal(crate = \"{path}\")]`"
        ));
    }
    let is_named = manifest.contains(PACKAGE) || manifest.contains("wal_db");
    (!is_named).then(|| {
        format!(
            "`Cargo.toml` has no `{PACKAGE}` under that name: add it to the dependencies, or say where it is, as with \
             `#[wal(crate = \"other_crate::wal_db\")]` if another crate hands it on"
        )
    })
}

enum Table {
    /// Its keys are dependencies.
    Dependencies,
    /// It is one of them.
    Dependency(String),
    Other,
}

impl Table {
    /// `target.'cfg(unix)'.dependencies]`, `dependencies.wal-db]`.
    fn of(header: &str) -> Self {
        let header = header.trim_end_matches(|c| c != ']').trim_end_matches(']');
        let mut words = header.rsplit('.').map(plain);
        let is_list = |word: Option<String>| word.is_some_and(|word| word.ends_with("dependencies"));
        let last = words.next().unwrap_or_default();
        if is_list(Some(last.clone())) {
            Table::Dependencies
        } else if is_list(words.next()) {
            Table::Dependency(last)
        } else {
            Table::Other
        }
    }
}

/// `events` of `events = { package = "wal-db" }` and of `events.package = "wal-db"`.
fn first_word(line: &str) -> String {
    plain(line.split(['=', '.']).next().unwrap_or_default())
}

fn plain(word: &str) -> String {
    word.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::problem_in;

    #[test]
    fn a_crate_that_has_it_under_its_own_name_is_told_nothing() {
        for manifest in [
            "[dependencies]\nwal-db = \"0.1\"",
            "[dependencies]\nserde = \"1\"\nwal-db.workspace = true",
            "[dependencies]\n\"wal-db\" = { path = \"..\" }",
            "[dependencies]\nwal_db = { package = \"wal-db\", path = \"..\" }",
            "[dependencies.wal-db]\nversion = \"0.1\"",
            "[target.'cfg(unix)'.dev-dependencies]\nwal-db = \"0.1\"",
            "[dependencies]\nold = { package = \"wal-db\", version = \"0.0.9\" }\nwal-db = \"0.1\"",
            // As far as a line can be read.
            "dependencies = { wal-db = \"0.1\" }",
            "dependencies.wal-db = \"0.1\"",
        ] {
            assert_eq!(problem_in(manifest), None, "{manifest}");
        }
    }

    #[test]
    fn another_name_is_told() {
        for manifest in [
            "[dependencies]\nevent-log = { package = \"wal-db\", version = \"0.1\" }",
            "[dependencies]\n\"event-log\" = { version = \"0.1\", package=\"wal-db\" } # ours",
            "[dependencies.event-log]\nversion = \"0.1\"\npackage = \"wal-db\"",
            "[target.'cfg(unix)'.dependencies.event-log]\npackage = \"wal-db\"",
            "[dependencies]\nevent-log.package = \"wal-db\"\nevent-log.version = \"0.1\"",
        ] {
            let problem = problem_in(manifest).expect(manifest);
            assert!(problem.contains("is called `event-log`"), "{problem}");
            assert!(problem.ends_with("`#[wal(crate = \"event_log\")]`"), "{problem}");
        }
    }

    #[test]
    fn a_crate_that_does_not_have_it_is_told_so() {
        let problem = problem_in("[package]\nname = \"shop\"\n[dependencies]\nframework = \"1\"");
        let problem = problem.expect("it is not there");
        assert!(problem.starts_with("`Cargo.toml` has no `wal-db`"), "{problem}");
    }
}
