//! Random events of each earlier version, with the types that it held then.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The second release: both types in the event have moved on by one version.
mod v2 {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
    #[serde(rename_all = "kebab-case")]
    pub(super) enum Paid {
        Cash,
        InParts { last: String, first: u8 },
        Never,
        Card(u64),
        Split(u8, super::v1::Address),
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
    pub(super) struct Address {
        pub zip: u32,
        pub street: String,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent", version = 2, since = 2)]
    pub(super) struct Sent {
        pub to: Address,
        pub paid: Paid,
    }
}

fn old_address() -> impl Strategy<Value = v1::Address> {
    ".{0,8}".prop_map(|street| v1::Address { street })
}

fn moved(old: v1::Address) -> Address {
    Address {
        zip: 8000,
        street: old.street,
    }
}

fn first_paid() -> impl Strategy<Value = v1::Paid> {
    prop_oneof![
        Just(v1::Paid::Cash),
        any::<u8>().prop_map(|first| v1::Paid::InParts { first }),
        any::<u64>().prop_map(v1::Paid::Card),
        (any::<u8>(), old_address()).prop_map(|(part, to)| v1::Paid::Split(part, to)),
    ]
}

fn second_paid() -> impl Strategy<Value = v2::Paid> {
    prop_oneof![
        Just(v2::Paid::Cash),
        (".{0,8}", any::<u8>()).prop_map(|(last, first)| v2::Paid::InParts { last, first }),
        Just(v2::Paid::Never),
        any::<u64>().prop_map(v2::Paid::Card),
        (any::<u8>(), old_address()).prop_map(|(part, to)| v2::Paid::Split(part, to)),
    ]
}

fn first_to_second(old: v1::Paid) -> v2::Paid {
    let last = "none".to_owned();
    match old {
        v1::Paid::Cash => v2::Paid::Cash,
        v1::Paid::InParts { first } => v2::Paid::InParts { last, first },
        v1::Paid::Card(number) => v2::Paid::Card(number),
        v1::Paid::Split(part, to) => v2::Paid::Split(part, to),
    }
}

fn second_to_third(old: v2::Paid) -> Paid {
    match old {
        v2::Paid::Cash => Paid::Cash,
        v2::Paid::InParts { last, first } => Paid::InParts {
            last,
            cached: 0,
            first,
        },
        v2::Paid::Never => Paid::Never,
        v2::Paid::Card(number) => Paid::Card(number, None),
        v2::Paid::Split(part, to) => Paid::Split(part, moved(to)),
    }
}

/// Appends them in one format and reads them as today's events.
fn read<C: Codec, Old: WalDecodeOwned>(old: &[Old]) -> Vec<Sent> {
    let wal = wal();
    let log = wal.typed::<Old>().expect("typed").with_codec::<C>();
    log.append_batch(old).expect("append");
    replay(&wal)
}

fn read_all<Old: WalDecodeOwned>(old: &[Old]) -> [Vec<Sent>; 3] {
    [
        read::<Bincode, _>(old),
        read::<Postcard, _>(old),
        read::<Json, _>(old),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_of_the_first_version_are_read(old in vec((old_address(), first_paid()), 1..20)) {
        let events = old.iter().cloned().map(|(to, paid)| v1::Sent { to, paid });
        let found = read_all(&events.collect::<Vec<_>>());
        let today = old.into_iter().map(|(to, paid)| Sent {
            to: moved(to),
            paid: second_to_third(first_to_second(paid)),
        });
        let today: Vec<_> = today.collect();
        for found in found {
            prop_assert_eq!(&found, &today);
        }
    }

    #[test]
    fn events_of_the_second_version_are_read(old in vec((any::<u32>(), ".{0,8}", second_paid()), 1..20)) {
        let events = old.iter().cloned().map(|(zip, street, paid)| v2::Sent {
            to: v2::Address { zip, street },
            paid,
        });
        let found = read_all(&events.collect::<Vec<_>>());
        let today = old.into_iter().map(|(zip, street, paid)| Sent {
            to: Address { zip, street },
            paid: second_to_third(paid),
        });
        let today: Vec<_> = today.collect();
        for found in found {
            prop_assert_eq!(&found, &today);
        }
    }
}
