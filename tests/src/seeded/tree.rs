//! A copy of the project with all mistakes in it: the real sources, and what the patches put into them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Says what and where.
pub type Failed = String;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Below the root of the project, and of a copy.
const SOURCES: &str = "wal-db/src";
const PATCHES: &str = "tests/seeded/patches";

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failed {
    move |error| format!("{}: {error}", path.display())
}

/// Every file below a folder, by its path from there, but for what was built.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>, Failed> {
    let mut found = BTreeSet::new();
    let mut to_do = vec![PathBuf::new()];
    while let Some(short) = to_do.pop() {
        let path = folder.join(&short);
        for entry in fs::read_dir(&path).map_err(failed(&path))? {
            let entry = entry.map_err(failed(&path))?;
            let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed(&path))?);
            let short = short.join(&name);
            if name == "target" || name == ".git" {
                continue;
            }
            if kind.is_dir() {
                to_do.push(short);
            } else if kind.is_file() {
                found.insert(short);
            }
        }
    }
    Ok(found)
}

/// The patch of a source file, and back.
fn patch_name(source: &Path) -> String {
    let parts: Vec<_> = source.iter().map(|part| part.to_string_lossy()).collect();
    format!("{}.patch", parts.join("."))
}

fn source_of(patch: &Path) -> Option<PathBuf> {
    let name = patch.file_name()?.to_str()?.strip_suffix(".rs.patch")?;
    Some(PathBuf::from(format!("{}.rs", name.replace('.', "/"))))
}

/// A source file; empty if the mistakes bring it.
fn source(short: &Path) -> String {
    fs::read_to_string(root().join(SOURCES).join(short)).unwrap_or_default()
}

/// The sources with mistakes in them, by their paths from `wal-db/src`.
#[derive(Debug, Default)]
pub struct Patched {
    /// Those whose patches apply.
    pub sources: BTreeMap<PathBuf, String>,
    /// What is wrong with the other patches.
    pub failed: Vec<Failed>,
}

/// Applies the patches to the sources of today.
///
/// # Errors
/// Of the file system.
pub fn patched() -> Result<Patched, Failed> {
    let folder = root().join(PATCHES);
    let mut patched = Patched::default();
    for name in files(&folder)? {
        let path = folder.join(&name);
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        let of = source_of(&name).ok_or_else(|| format!("{} is no patch of a source", path.display()))?;
        let applied = diffy::Patch::from_str(&text)
            .map_err(|error| error.to_string())
            .and_then(|patch| diffy::apply(&source(&of), &patch).map_err(|error| error.to_string()));
        match applied {
            Ok(applied) => drop(patched.sources.insert(of, applied)),
            Err(error) => patched.failed.push(format!(
                "{PATCHES}/{} does not apply to {SOURCES}/{}: {error}; tests/src/seeded/mod.rs says what to do",
                name.display(),
                of.display()
            )),
        }
    }
    Ok(patched)
}

/// Writes a copy of the project to `tree`, with these sources in it. A file that is as it should be is not touched, so that
/// it is not built again.
///
/// # Errors
/// Of the file system.
pub fn write(tree: &Path, patched: &Patched) -> Result<(), Failed> {
    let mut wanted = files(&root())?;
    let with_mistakes = patched.sources.keys();
    wanted.extend(with_mistakes.map(|short| Path::new(SOURCES).join(short)));
    for short in &wanted {
        let source = short.strip_prefix(SOURCES).ok();
        let from = root().join(short);
        let content = match source.and_then(|short| patched.sources.get(short)) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(&from).map_err(failed(&from))?,
        };
        let to = tree.join(short);
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        let folder = to.parent().unwrap_or(tree);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        fs::write(&to, content).map_err(failed(&to))?;
    }
    for gone in files(tree)?.difference(&wanted) {
        let path = tree.join(gone);
        fs::remove_file(&path).map_err(failed(&path))?;
    }
    Ok(())
}

/// Makes the patches anew from the sources of a copy.
///
/// # Errors
/// Of the file system.
pub fn save(tree: &Path) -> Result<(), Failed> {
    let folder = root().join(PATCHES);
    let mut saved = BTreeSet::new();
    let sources = tree.join(SOURCES);
    for short in files(&sources)? {
        let path = sources.join(&short);
        let with_mistakes = fs::read_to_string(&path).map_err(failed(&path))?;
        let original = source(&short);
        if with_mistakes == original {
            continue;
        }
        let patch = diffy::create_patch(&original, &with_mistakes).to_string();
        let name = patch_name(&short);
        let path = folder.join(&name);
        fs::write(&path, patch).map_err(failed(&path))?;
        saved.insert(PathBuf::from(name));
    }
    for gone in files(&folder)?.difference(&saved) {
        let path = folder.join(gone);
        fs::remove_file(&path).map_err(failed(&path))?;
    }
    Ok(())
}
