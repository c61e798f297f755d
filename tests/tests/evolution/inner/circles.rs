//! Types with versions that hold each other: each moves on in a version of the other.

use super::{
    released::{history_of, own_lines},
    *,
};

mod v1 {
    use super::*;

    #[derive(Serialize, Deserialize, WalSchema)]
    pub(super) struct Folder {
        pub(super) files: Vec<File>,
    }

    #[derive(Serialize, Deserialize, WalSchema)]
    pub(super) struct File {
        pub(super) name: String,
        #[wal(recursive)]
        pub(super) unpacked: Option<Box<Folder>>,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "stored")]
    pub(super) struct Stored {
        pub(super) folder: Folder,
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Folder {
    #[wal(changed(2))]
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct File {
    #[wal(since = 2, default = 1)]
    size: u64,
    name: String,
    #[wal(recursive, changed(2))]
    unpacked: Option<Box<Folder>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "stored", version = 2)]
struct Stored {
    #[wal(changed(2))]
    folder: Folder,
}

#[test]
fn types_that_hold_each_other_move_on_together() {
    let file = |name: &str, unpacked| File {
        size: 1,
        name: name.into(),
        unpacked,
    };
    let inner = Folder {
        files: vec![file("b", None)],
    };
    let today = Stored {
        folder: Folder {
            files: vec![file("a", Some(Box::new(inner)))],
        },
    };
    let old = |name: &str, unpacked| v1::File {
        name: name.into(),
        unpacked,
    };
    let inner = v1::Folder {
        files: vec![old("b", None)],
    };
    let before = v1::Stored {
        folder: v1::Folder {
            files: vec![old("a", Some(Box::new(inner)))],
        },
    };
    becomes(&before, &today);
    assert_eq!(
        shapes::<Stored>(),
        [
            "2 {folder: {files: [{size: u64, name: str, unpacked: rec 0 option<{files: [{size: u64, name: str, \
             unpacked: @0}]}>}]}}",
            "1 {folder: {files: [{name: str, unpacked: rec 0 option<{files: [{name: str, unpacked: @0}]}>}]}}",
        ]
    );
    assert_eq!(shapes::<Stored>()[1], shapes::<v1::Stored>()[0]);
    assert_eq!(history_of::<Stored>(&own_lines::<Stored>("stored")), Ok(()));
}
