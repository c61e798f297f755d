//! What is released, and what the program's types are now.

use std::fs;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use wal_db::__private::{StoredEvent, Upcast};
use wal_db::testing::{CheckFailed, DeclaredType, LockMode, check_lock};
use wal_db::{
    WalRecord,
    codec::Codec,
    event::{EventType, TypedError, WalDecode},
    schema::{Part, Shape, ShapeField},
};
use wal_tests::record;

use super::{LOCKED, MOVED_1, MOVED_2, Moved, dir_with, history, moved, text};

fn lock_of(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("wal.lock")).expect("there is a lock")
}

fn lock(dir: &TempDir, types: &[DeclaredType], mode: LockMode) -> Result<Vec<String>, CheckFailed> {
    check_lock(dir.path(), types, &[], mode)
}

const MOVED: &[DeclaredType] = &[DeclaredType::of::<Moved>()];

#[test]
fn what_is_new_is_added_once_and_what_is_there_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = text(lock(&dir, MOVED, LockMode::Check));
    for part in [
        "`moved` version 1 is not in",
        "`moved` version 2 is not in",
        "WAL_LOCK=update cargo test",
    ] {
        assert!(missing.contains(part), "{missing}");
    }
    assert!(!dir.path().join("wal.lock").exists(), "checking writes nothing");

    let added = lock(&dir, MOVED, LockMode::Update).expect("added");
    assert_eq!(added.join("\n") + "\n", LOCKED);
    let file = lock_of(&dir);
    assert!(file.starts_with("# ") && file.ends_with(LOCKED), "{file}");
    assert_eq!(lock(&dir, MOVED, LockMode::Check), Ok(vec![]));
    assert_eq!(lock(&dir, MOVED, LockMode::Update), Ok(vec![]));
    assert_eq!(lock_of(&dir), file);

    let dir = dir_with("# ours\nmoved 1 {from: u64, to: u64}");
    let added = lock(&dir, MOVED, LockMode::Update).expect("added");
    assert_eq!(added.len(), 1);
    assert_eq!(lock_of(&dir), format!("# ours\n{LOCKED}"));
}

#[test]
fn what_is_released_differently_is_shown_and_nothing_is_added() {
    let released = "moved 1 {from: u64, to: u32}\n";
    let dir = dir_with(released);
    let expected = "`moved` version 1 has another shape than in `wal.lock` line 1:\n    \
                    `to` is `u32` in `wal.lock` and `u64` in this program";
    let found = text(lock(&dir, MOVED, LockMode::Check));
    assert!(found.starts_with(expected), "{found}");
    let refused = text(lock(&dir, MOVED, LockMode::Update));
    assert!(
        refused.starts_with(expected) && refused.contains("nothing was added"),
        "{refused}"
    );
    assert_eq!(lock_of(&dir), released);
    for broken in ["moved one\n", "moved 1 {}\nmoved 1 unit\n", "<<<<<<< ours\n"] {
        let dir = dir_with(broken);
        let refused = text(lock(&dir, MOVED, LockMode::Update));
        assert!(refused.starts_with("`wal.lock` line "), "{refused}");
        assert_eq!(lock_of(&dir), broken);
    }
}

#[test]
fn versions_and_ids_are_compared() {
    let went_down = text(lock(
        &dir_with(&format!("{LOCKED}moved 3 unit")),
        MOVED,
        LockMode::Check,
    ));
    assert_eq!(
        went_down,
        "`moved` version 3 is released, and the type is version 2 now: a version never goes down"
    );
    let other_id = text(lock(
        &dir_with("moved 2 id=7 {from: u64, to: u64, note: str}"),
        MOVED,
        LockMode::Check,
    ));
    assert!(
        other_id.contains("is released with the type id 0x00000007"),
        "{other_id}"
    );
    let id = EventType::new("moved", 1).id;
    let taken = text(lock(
        &dir_with(&format!("{LOCKED}gone 1 id={id} unit")),
        MOVED,
        LockMode::Check,
    ));
    assert!(taken.contains("which belongs to `gone`"), "{taken}");
}

moved!(
    MovedChosen,
    |stored| Err(stored.no_migration()),
    EventType::with_id(7, "moved.by", 2).aliases(&["moved"])
);

#[test]
fn chosen_ids_and_former_names_are_part_of_it() {
    let types = &[DeclaredType::of::<MovedChosen>()];
    let dir = tempfile::tempdir().expect("a directory");
    let added = lock(&dir, types, LockMode::Update).expect("added");
    assert_eq!(added[0], "moved.by 1 id=7 {from: u64, to: u64}");
    assert_eq!(lock(&dir_with(LOCKED), types, LockMode::Check), Ok(vec![]));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Door {
    Opened { by: String },
    Locked,
}

const OPENED: &Shape = &Shape::Struct(Part::Static(&[ShapeField::new("by", &Shape::Str)]));

impl WalRecord for Door {
    const NAME: &'static str = "door";
    const RECORDS: &'static [EventType] = &[
        EventType::new("door.opened", 2)
            .schema(OPENED)
            .from(&[EventType::new("door.opened", 1).schema(&Shape::Unit)]),
        EventType::new("door.locked", 1).retire(),
    ];
    const FAMILY: bool = true;

    fn record_index(&self) -> usize {
        match self {
            Door::Opened { .. } => 0,
            Door::Locked => 1,
        }
    }
}

impl<'de> WalDecode<'de> for Door {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let () = stored.fields()?;
        Ok(Upcast::Many(Vec::new()))
    }
}

#[test]
fn families_their_retired_and_their_lost_variants() {
    let types = &[DeclaredType::of::<Door>()];
    let released = "door.opened 1 unit\ndoor.opened 2 {by: str}\ndoor.locked 1 (u8, u8)\n";
    assert_eq!(lock(&dir_with(released), types, LockMode::Check), Ok(vec![]));
    assert_eq!(
        text(lock(
            &dir_with(&format!(
                "{released}door.shut 1 unit\ndoor.shut 2 u8\ndoors.x 1 u8"
            )),
            types,
            LockMode::Check
        )),
        "`door.shut` is released and `door` has no such variant: bring it back, \
         give its new name the `alias` `door.shut`, or retire it with `#[wal(retired)]`; if it has moved to a type \
         that is checked elsewhere, list it here as `others [\"door.shut\"]`"
    );
    let lost = text(lock(
        &dir_with("door.opened 3 unit\ndoor.opened 2 {by: str}\ndoor.opened 1 unit"),
        types,
        LockMode::Check,
    ));
    assert!(lost.contains("`door.opened` version 3 is released"), "{lost}");
    // One old event is any number of new ones: nothing to compare, but it has to be read.
    assert_eq!(history::<Door>(released, &[]), Ok(()));
    let unread = text(history::<Door>("door.opened 1 u8", &[]));
    assert!(
        unread.starts_with("`door.opened` version 1, read as version 2: "),
        "{unread}"
    );
}

#[test]
fn a_type_without_a_schema_cannot_be_compared() {
    #[derive(Serialize, Deserialize)]
    struct Plain;
    record!(Plain, EventType::new("plain", 1));
    let found = text(lock(
        &dir_with(""),
        &[DeclaredType::of::<Plain>()],
        LockMode::Update,
    ));
    assert!(found.contains("`plain` has no schema"), "{found}");
}

#[test]
fn two_types_with_one_name_are_not_locked() {
    #[derive(serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "copied")]
    struct Original(u64);

    #[derive(serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "pasted", alias = "copied")]
    struct Copy(u64);

    let dir = tempfile::tempdir().expect("a directory");
    let types = [DeclaredType::of::<Original>(), DeclaredType::of::<Copy>()];
    let error = check_lock(dir.path(), &types, &[], LockMode::Update).expect_err("one name");
    assert!(
        error
            .to_string()
            .contains("`copied` and `pasted` are two of the types"),
        "{error}"
    );
    let lock = fs::read_to_string(dir.path().join("wal.lock")).unwrap_or_default();
    assert_eq!(lock, "", "nothing was added");
}

mod shared {
    use super::*;

    #[derive(Serialize, Deserialize, wal_db::WalSchema)]
    pub(super) enum Method {
        Card { number: String, until: u16 },
        Invoice { to: String, days: u8, address: String },
    }

    #[derive(Serialize, Deserialize, wal_db::WalRecord)]
    #[wal(name = "paid")]
    pub(super) struct Paid {
        by: Method,
        or: Option<Method>,
    }
}

const METHOD: &str = "enum {Card {number: str, until: u16}, Invoice {to: str, days: u8, address: str}}";

#[test]
fn a_lock_of_a_release_before_is_rewritten_and_loses_nothing() {
    let types = &[DeclaredType::of::<shared::Paid>()];
    let before =
        format!("# ours\r\npaid 1 {{by: {METHOD}, or: option<{METHOD}>}}\r\n\r\ngone 1 id=7 [{METHOD}]\r\n");
    let dir = dir_with(&before);
    assert_eq!(lock(&dir, types, LockMode::Check), Ok(vec![]));
    assert_eq!(lock_of(&dir), before);
    assert_eq!(lock(&dir, types, LockMode::Update), Ok(vec![]));
    let name = "&935c8649440f202a";
    let today = format!(
        "# ours\r\n{name} {METHOD}\r\npaid 1 {{by: {name}, or: option<{name}>}}\r\n\r\ngone 1 id=7 [{name}]\r\n"
    );
    assert_eq!(lock_of(&dir), today);
    assert_eq!(lock(&dir, types, LockMode::Update), Ok(vec![]));
    assert_eq!(lock_of(&dir), today);

    let other = dir_with(&before.replacen("days: u8", "days: u16", 1));
    let found = text(lock(&other, types, LockMode::Update));
    assert!(
        found.contains("`by.Invoice.days` is `u16` in `wal.lock` and `u8` in this program"),
        "{found}"
    );
}

/// Both branches added a version, and one of them another event: git keeps what both sides have.
#[test]
fn lines_of_two_branches_are_kept_and_written_once() {
    let both = format!("{LOCKED}here 1 u8\n{LOCKED}there 1 u8\n");
    let dir = dir_with(&both);
    assert_eq!(lock(&dir, MOVED, LockMode::Check), Ok(vec![]));
    assert_eq!(lock(&dir, MOVED, LockMode::Update), Ok(vec![]));
    assert_eq!(lock_of(&dir), format!("{LOCKED}here 1 u8\nthere 1 u8\n"));
}

#[test]
fn a_wrong_wire_is_reported_and_mended() {
    #[derive(Serialize, Deserialize, wal_db::WalRecord)]
    #[wal(name = "mended")]
    struct Mended {
        #[wal(opaque = "id@1", wire = [u8; 16])]
        id: [u8; 16],
    }

    let types = &[DeclaredType::of::<Mended>()];
    let released = "# ours\nmended 1 {id: opaque \"id@1\" = str}\nother 1 u8\n";
    let dir = dir_with(released);
    let found = text(lock(&dir, types, LockMode::Check));
    let expected = "`mended` version 1 has another `wire` than in `wal.lock` line 2, where it is mended if it was wrong: \
                    it is `{id: opaque \"id@1\" = [u8; 16]}` now";
    assert!(
        found.starts_with(expected) && found.contains("WAL_LOCK=update"),
        "{found}"
    );
    assert_eq!(lock_of(&dir), released);
    let line = "mended 1 {id: opaque \"id@1\" = [u8; 16]}";
    assert_eq!(lock(&dir, types, LockMode::Update), Ok(vec![line.to_owned()]));
    assert_eq!(lock_of(&dir), format!("# ours\n{line}\nother 1 u8\n"));
    assert_eq!(lock(&dir, types, LockMode::Check), Ok(vec![]));
}
