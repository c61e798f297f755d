//! Where generated code finds `wal_db`, unless the type says it: under the name that `Cargo.toml` gives it. The compiler's
//! own words about a path that leads nowhere do not tell what to write.

use std::path::PathBuf;
use std::{env, fs};

use syn::Path;

/// Its path; or what is wrong with the dependencies of the crate that is compiled.
pub(crate) fn path() -> Result<Path, String> {
    let name = match manifest() {
        Some((path, text)) => name_in(&text, || workspace(&path))?,
        None => PACKAGE.to_owned(),
    };
    let path = syn::parse_str(&format!("::{}", name.replace('-', "_")));
    path.map_err(|_| format!("`{PACKAGE}` is called `{name}` in `Cargo.toml`, which is no name in Rust"))
}

const PACKAGE: &str = "wal-db";
const MANIFEST: &str = "Cargo.toml";

/// What says which dependencies there are. A script is its own manifest, and the package itself has the name.
///
/// It is read for every type: an editor expands the macros of many crates, and of edited ones, in one process.
fn manifest() -> Option<(PathBuf, String)> {
    if env::var("CARGO_PKG_NAME").is_ok_and(|package| package == PACKAGE) {
        return None;
    }
    let path = match env::var_os("CARGO_MANIFEST_PATH") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join(MANIFEST),
    };
    if path.file_name()? != MANIFEST {
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    Some((path, text))
}

/// The manifest of the workspace that has this one.
fn workspace(member: &std::path::Path) -> Option<String> {
    let above = member.ancestors().skip(1).map(|dir| dir.join(MANIFEST));
    let mut manifests = above.filter_map(|path| fs::read_to_string(path).ok());
    manifests.find(|text| {
        text.lines()
            .any(|line| line.trim_start().starts_with("[workspace"))
    })
}

/// The name of the dependency. If none here has it, the workspace may give it to one that is taken from there.
fn name_in(manifest: &str, workspace: impl Fn() -> Option<String>) -> Result<String, String> {
    let names = Names::of(manifest);
    if names.is_own {
        return Ok(PACKAGE.to_owned());
    }
    if let Some(name) = names.renamed.last() {
        return Ok(name.clone());
    }
    if !names.inherited.is_empty() {
        let given = workspace().map(|text| Names::of(&text)).unwrap_or_default();
        if let Some(name) = given
            .renamed
            .into_iter()
            .find(|name| names.inherited.contains(name))
        {
            return Ok(name);
        }
    }
    if manifest.contains(PACKAGE) || manifest.contains("wal_db") {
        return Ok(PACKAGE.to_owned());
    }
    Err(format!(
        "`Cargo.toml` does not name `{PACKAGE}`: add it to the dependencies, or say where it is: \
         `#[wal(crate = \"name\")]` if the workspace gives it another name, \
         `#[wal(crate = \"other_crate::wal_db\")]` if another crate hands it on"
    ))
}

/// The dependencies that a manifest names and that may be it.
#[derive(Default)]
struct Names {
    /// One has its own name.
    is_own: bool,
    /// Those that say that they are it.
    renamed: Vec<String>,
    /// Those of which the workspace says what they are.
    inherited: Vec<String>,
}

impl Names {
    fn of(manifest: &str) -> Self {
        let mut names = Names::default();
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
                (None, Table::Dependency(name)) if ["package", "workspace"].contains(&&*first_word(line)) => {
                    name.clone()
                }
                (None, _) => continue,
            };
            names.is_own |= key.replace('_', "-") == PACKAGE;
            if line.contains("package") && line.contains(&format!("\"{PACKAGE}\"")) {
                names.renamed.push(key);
            } else if !line.starts_with('[') && line.contains("workspace") {
                names.inherited.push(key);
            }
        }
        names
    }
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
    fn name_in(manifest: &str) -> Result<String, String> {
        super::name_in(manifest, || None)
    }

    #[test]
    fn a_crate_has_it_under_its_own_name() {
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
            assert_eq!(name_in(manifest).as_deref(), Ok("wal-db"), "{manifest}");
        }
    }

    #[test]
    fn a_crate_has_it_under_another_name() {
        for manifest in [
            "[dependencies]\nevent-log = { package = \"wal-db\", version = \"0.1\" }",
            "[dependencies]\n\"event-log\" = { version = \"0.1\", package=\"wal-db\" } # ours",
            "[dependencies.event-log]\nversion = \"0.1\"\npackage = \"wal-db\"",
            "[target.'cfg(unix)'.dependencies.event-log]\npackage = \"wal-db\"",
            "[dependencies]\nevent-log.package = \"wal-db\"\nevent-log.version = \"0.1\"",
        ] {
            assert_eq!(name_in(manifest).as_deref(), Ok("event-log"), "{manifest}");
        }
    }

    #[test]
    fn a_workspace_gives_it_another_name() {
        let workspace = |text: &str| {
            let text = format!("[workspace]\nmembers = [\"shop\"]\n{text}");
            move || Some(text.clone())
        };
        for given in [
            "[workspace.dependencies]\nserde = \"1\"\nevent-log = { package = \"wal-db\", version = \"0.1\" }",
            "[workspace.dependencies.event-log]\npackage = \"wal-db\"\nversion = \"0.1\"",
        ] {
            for member in [
                "[dependencies]\nserde.workspace = true\nevent-log.workspace = true",
                "[dev-dependencies]\nevent-log = { workspace = true, features = [\"testing\"] }",
                "[dependencies.event-log]\nworkspace = true",
            ] {
                let name = super::name_in(member, workspace(given));
                assert_eq!(name.as_deref(), Ok("event-log"), "{given} {member}");
            }
            let other = super::name_in("[dependencies]\nserde.workspace = true", workspace(given));
            other.expect_err("it is not taken from there");
        }
    }

    #[test]
    fn a_crate_that_does_not_have_it_is_told_so() {
        let problem = name_in("[package]\nname = \"shop\"\n[dependencies]\nframework = \"1\"");
        let problem = problem.expect_err("it is not there");
        assert!(
            problem.starts_with("`Cargo.toml` does not name `wal-db`"),
            "{problem}"
        );
    }
}
