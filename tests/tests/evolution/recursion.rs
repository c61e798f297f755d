//! Types that hold themselves, or each other, and types that only look as if they did.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Wal, WalRecord, WalSchema, schema::Shape, testing::differences};

use super::{history, shape, today};

fn text<T: WalSchema>() -> String {
    T::SCHEMA.to_string()
}

mod named {
    use super::*;

    #[derive(Serialize, Deserialize, WalSchema)]
    pub(super) struct Tree {
        value: u8,
        inner: Vec<Tree>,
    }

    pub(super) mod anew {
        use super::*;

        #[derive(Serialize, Deserialize, WalSchema)]
        pub(in super::super) struct Branch {
            value: u8,
            inner: Vec<Self>,
        }
    }
}

#[test]
fn a_type_that_holds_itself_may_be_renamed() {
    let tree = "rec 0 {value: u8, inner: [@0]}";
    assert_eq!(
        (text::<named::Tree>(), text::<named::anew::Branch>()),
        (tree.into(), tree.into())
    );
    assert_eq!(named::Tree::SCHEMA, named::anew::Branch::SCHEMA);
    assert_eq!(
        named::Tree::SCHEMA.fingerprint(),
        named::anew::Branch::SCHEMA.fingerprint()
    );
    let released: Shape = "rec Tree {value: u8, inner: [@Tree]}".parse().expect("a shape");
    assert_eq!(
        differences(&released, named::anew::Branch::SCHEMA),
        Vec::<String>::new()
    );
    assert_eq!(released.fingerprint(), named::anew::Branch::SCHEMA.fingerprint());
}

trait Entity {}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(bound = "")]
struct Id<T: Entity> {
    number: u64,
    #[serde(skip)]
    of: PhantomData<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct User {
    id: Id<User>,
    invited_by: Option<Id<Self>>,
}
impl Entity for User {}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord, WalSchema)]
#[wal(name = "member.joined")]
struct Joined {
    id: Id<Self>,
    user: User,
}
impl Entity for Joined {}

#[test]
fn a_type_that_only_names_itself_does_not_hold_itself() {
    let user = "{id: {number: u64}, invited_by: option<{number: u64}>}";
    assert_eq!(text::<User>(), user);
    assert_eq!(
        shape(&Joined::RECORDS[0]),
        format!("{{id: {{number: u64}}, user: {user}}}")
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Page<T> {
    items: Vec<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Thread {
    #[wal(recursive)]
    answers: Page<Thread>,
}

#[test]
fn a_parameter_of_another_type_is_held_if_the_field_says_so() {
    assert_eq!(text::<Thread>(), "rec 0 {answers: {items: [@0]}}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Folder {
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct File {
    name: String,
    #[wal(recursive)]
    unpacked: Option<Box<Folder>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "packed")]
struct Packed {
    folder: Folder,
    file: File,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum Statement<T> {
    Block(Vec<Statement<T>>),
    Value(Expression<T>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum Expression<T> {
    Literal(T),
    Closure(#[wal(recursive)] Box<Statement<T>>),
    Plain(#[wal(recursive)] Vec<u8>),
}

#[test]
fn types_that_hold_each_other_have_schemas() {
    let back = "rec 0 option<{files: [{name: str, unpacked: @0}]}>";
    let file = format!("{{name: str, unpacked: {back}}}");
    let folder = format!("{{files: [{file}]}}");
    assert_eq!((text::<Folder>(), text::<File>()), (folder.clone(), file.clone()));
    let packed = format!("{{folder: {folder}, file: {file}}}");
    assert_eq!(shape(&Packed::RECORDS[0]), packed);
    let read: Shape = packed.parse().expect("a shape");
    assert_eq!(read, *Packed::RECORDS[0].schema.expect("a schema"));
    assert!(read.says_all() && Packed::RECORDS[0].schema.expect("a schema").says_all());
    assert_eq!(
        text::<Expression<u8>>(),
        "enum {Literal(u8), Closure(rec 0 rec 1 enum {Block([@1]), Value(enum {Literal(u8), Closure(@0), \
         Plain([u8])})}), Plain([u8])}"
    );
}

#[test]
fn events_with_types_that_hold_each_other_are_written_read_and_explained() {
    let file = |unpacked| File {
        name: "a".into(),
        unpacked,
    };
    let packed = || Packed {
        folder: Folder {
            files: vec![file(Some(Box::new(Folder {
                files: vec![file(None)],
            })))],
        },
        file: file(None),
    };
    assert_eq!(today::<Packed>(&packed()), packed());
    let wal = Wal::with_store(MemStore::new()).expect("a log");
    let log = wal.typed::<Packed>().expect("a new type");
    let lsn = log.append(&packed()).expect("append");
    let json = wal
        .read(lsn)
        .expect("read")
        .to_json(&wal.schemas().expect("schemas"))
        .expect("explained");
    let inner = r#"{"name":"a","unpacked":null}"#;
    let outer = format!(r#"{{"name":"a","unpacked":{{"files":[{inner}]}}}}"#);
    let expected = format!(r#"{{"folder":{{"files":[{outer}]}},"file":{inner}}}"#);
    assert!(
        json.to_string().replace([' ', '\n'], "").contains(&expected),
        "{json}"
    );
    wal.typed::<Packed>().expect("the same shape");

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Other {
        files: Vec<OtherFile>,
    }
    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct OtherFile {
        name: String,
        #[wal(recursive)]
        unpacked: Option<Box<Other>>,
        size: u64,
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "packed")]
    struct Changed {
        folder: Other,
        file: File,
    }
    let error = wal.typed::<Changed>().expect_err("another shape").to_string();
    assert!(
        error.contains("`folder.files.[].size` is a field in this program"),
        "{error}"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct OldKey {
    id: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Key {
    id: u8,
    #[wal(since = 2, default = 9)]
    kind: u16,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Ring<T> {
    #[wal(recursive)]
    inside: Option<Box<Link<T>>>,
    number: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Link<T> {
    item: T,
    around: Box<Ring<T>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "linked")]
struct OldLinked {
    ring: Ring<OldKey>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "linked", version = 2)]
struct Linked {
    #[wal(changed(2))]
    ring: Ring<Key>,
}

/// All that `Ring` holds of its parameter is where it leads back to itself.
#[test]
fn a_generic_type_that_leads_back_to_itself_has_the_versions_of_its_parameter() {
    fn ring<T>(item: T) -> Ring<T> {
        let (inside, number) = (None, 2);
        let around = Box::new(Ring { inside, number });
        let inside = Some(Box::new(Link { item, around }));
        Ring { inside, number }
    }
    let old = OldLinked {
        ring: ring(OldKey { id: 1 }),
    };
    let new = Linked {
        ring: ring(Key { id: 1, kind: 9 }),
    };
    assert_eq!(today::<Linked>(&old), new);
    let shape = |key: &str| {
        format!(
            "{{ring: {{inside: rec 0 option<{{item: {key}, around: {{inside: @0, number: u8}}}}>, number: u8}}}}"
        )
    };
    assert_eq!(
        history(&Linked::RECORDS[0]),
        [(2, shape("{id: u8, kind: u16}")), (1, shape("{id: u8}"))]
    );
}
