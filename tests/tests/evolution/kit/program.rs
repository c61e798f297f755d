//! A program's own types: their `wal.lock` and `golden/` stand beside the manifest.

use std::path::Path;

use serde::{Deserialize, Serialize};
use wal_db::testing::{ReadableType, check_history, check_lock, golden};

use super::text;

/// The second release of a family. The first one had no currency, one amount in whole units, and one kind of name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account")]
enum Account {
    #[wal(version = 2)]
    Opened {
        id: u64,
        #[wal(since = 2, default = "usd")]
        currency: String,
    },
    #[wal(version = 2, from = MovedV1)]
    Moved { from: u64, to: u64, cents: i64 },
    #[wal(version = 2, from = NamedV1, split = split_name)]
    Named { given: String, family: String },
    #[wal(id = 4711)]
    Closed(u64),
    #[wal(retired)]
    Blinked(wal_db::event::Retired),
}

#[derive(Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.moved")]
struct MovedV1 {
    from: u64,
    to: u64,
    units: i32,
}

impl From<MovedV1> for Account {
    fn from(old: MovedV1) -> Self {
        Account::Moved {
            from: old.from,
            to: old.to,
            cents: i64::from(old.units) * 100,
        }
    }
}

#[derive(Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.named")]
struct NamedV1(String);

fn split_name(old: NamedV1) -> Option<Account> {
    let (given, family) = old.0.split_once(' ')?;
    let (given, family) = (given.to_owned(), family.to_owned());
    Some(Account::Named { given, family })
}

/// As `Account::Moved`, with a mistake in the conversion.
#[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.moved", version = 2, from = MovedV1)]
struct MovedWrongly {
    from: u64,
    to: u64,
    cents: i64,
}

impl From<MovedV1> for MovedWrongly {
    fn from(old: MovedV1) -> Self {
        MovedWrongly {
            from: old.to,
            to: old.from,
            cents: i64::from(old.units) * 100,
        }
    }
}

#[test]
fn a_program_checks_what_it_has_released() {
    check_lock!(Account);
    check_history!(Account);
    let golden = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    assert!(
        golden("account_opened_1.hex").exists(),
        "made by the first release"
    );
    golden!(
        "account_opened_1",
        Account::Opened {
            id: 300,
            currency: "usd".into()
        },
        env!("CARGO_MANIFEST_DIR")
    );
    golden!(
        "account_named_1",
        Account::Named {
            given: "Ada".into(),
            family: "King".into()
        },
        env!("CARGO_MANIFEST_DIR")
    );
}

#[test]
fn a_program_with_a_wrong_conversion_is_told() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = text(check_history(dir, &[ReadableType::of::<MovedWrongly>()], &[]));
    assert!(
        found.starts_with(
            "`kit.account.moved` version 1, read as version 2: the field `from` was 0 and is 1;"
        ),
        "{found}"
    );
}
