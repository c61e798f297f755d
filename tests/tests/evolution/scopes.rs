//! What generated code calls its own does not clash with what the program calls so: a constant in scope would be taken
//! for a pattern.
#![allow(non_upper_case_globals, dead_code)]

use serde::{Deserialize, Serialize};
use wal_db::{
    WalRecord, WalSchema,
    event::{Retired, UnknownEvent},
};

use super::today;

macro_rules! constants {
    ($($name:ident)+) => {
        $(const $name: u8 = 1;)+
    };
}

constants! {
    old stored index raw written event upcast serializer codec value value0 value1 records record version i at found older
    name schema shape krate core std SCHEMA RECORDS NAME FAMILY FAMILIES LEN
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Inner {
    Unit,
    One(u8),
    Two(u8, Box<Inner>),
    Named { a: u8, b: [u8; 2] },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "scope.third")]
struct ThirdV1 {
    old: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "scope.third", version = 2, since = 2)]
struct ThirdV2 {
    stored: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "scope")]
enum Scope {
    First(u8, Inner),
    #[wal(version = 2)]
    Second {
        a: u8,
        #[wal(since = 2, default = old)]
        b: u8,
    },
    #[wal(version = 3, from = ThirdV1, split = split, from = ThirdV2)]
    Third(u8),
    #[wal(retired)]
    Gone(Retired),
    #[wal(other)]
    Other(UnknownEvent),
}

fn split(first: ThirdV1) -> [Scope; 1] {
    [Scope::Third(first.old)]
}

impl From<ThirdV2> for Scope {
    fn from(earlier: ThirdV2) -> Self {
        Scope::Third(earlier.stored)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum App {
    Scope(Scope),
    Borrowed(Lone),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord, WalSchema)]
#[wal(name = "lone", version = 2)]
struct Lone(u8, #[wal(since = 2, default = "a")] String);

mod earlier {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "scope")]
    pub(super) enum Scope {
        Second { a: u8 },
    }
}

#[test]
fn constants_of_the_program_are_no_patterns_of_the_derive() {
    let named = Inner::Named { a: 1, b: [2, 3] };
    let first = Scope::First(7, Inner::Two(8, Box::new(named)));
    assert_eq!(today::<App>(&first), App::Scope(first.clone()));
    let second = Scope::Second { a: 5, b: 1 };
    assert_eq!(today::<Scope>(&earlier::Scope::Second { a: 5 }), second);
    assert_eq!(today::<Scope>(&ThirdV2 { stored: 4 }), Scope::Third(4));
    let all = super::record(&ThirdV1 { old: 3 }).decode_all::<App>();
    assert_eq!(all.expect("decode"), [App::Scope(Scope::Third(3))]);
    let lone = Lone(1, "b".to_owned());
    assert_eq!(today::<Lone>(&lone), lone);
}

/// Types with the names of those that generated code uses.
mod types {
    use serde::{Deserialize, Serialize};
    use wal_db::{WalRecord, WalSchema};

    macro_rules! types {
        ($($name:ident)+) => {
            $(struct $name;)+
        };
    }

    types! {
        C D E S T V Option Result Vec Box String Cow Shape Part Ref Record RecordType Version Event Codec Default From
        TryFrom Into Iterator Serializer Deserializer
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    pub(super) struct W<T> {
        pub(super) inner: std::vec::Vec<T>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    #[wal(version = 2)]
    pub(super) struct Tree {
        #[wal(recursive)]
        pub(super) of: W<Tree>,
        #[wal(since = 2, default = 9)]
        pub(super) kind: u8,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "planted", version = 2)]
    pub(super) struct Planted {
        #[wal(changed(2))]
        pub(super) tree: Tree,
    }

    pub(super) mod earlier {
        use super::*;

        #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
        pub(in super::super) struct Tree {
            #[wal(recursive)]
            pub(in super::super) of: W<Tree>,
        }

        #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
        #[wal(name = "planted")]
        pub(in super::super) struct Planted {
            pub(in super::super) tree: Tree,
        }
    }
}

#[test]
fn types_of_the_program_are_not_those_of_the_derive() {
    use types::{Planted, Tree, W, earlier};
    let leaf = || earlier::Tree {
        of: W { inner: vec![] },
    };
    let first = earlier::Planted {
        tree: earlier::Tree {
            of: W { inner: vec![leaf()] },
        },
    };
    let tree = |inner| Tree {
        of: W { inner },
        kind: 9,
    };
    let planted = Planted {
        tree: tree(vec![tree(vec![])]),
    };
    assert_eq!(today::<Planted>(&first), planted);
}
