//! The table against a map of the standard library.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::Table;

proptest! {
    /// Terms of which many begin at one slot, so that the last slots are full and the first ones take what comes after them.
    #[test]
    fn it_is_a_map(terms in vec((0_u64..4, prop_oneof![Just(0_u64), Just(1), Just(62), Just(63), any::<u64>()]), 0..300)) {
        let (mut table, mut map, mut list) = (Table::default(), HashMap::new(), Vec::new());
        for round in 0..2 {
            for (high, low) in &terms {
                let term = high << 32 ^ low;
                prop_assert_eq!(table.get(term, |place| list[place as usize - 1]), map.get(&term).copied());
                let place = table.entry(term, |place| list[place as usize - 1]);
                prop_assert_eq!(*place, map.get(&term).copied().unwrap_or(0));
                list.push(term);
                *place = list.len() as u32;
                map.insert(term, list.len() as u32);
            }
            let (mut places, mut expected): (Vec<u32>, Vec<u32>) =
                (table.places().collect(), map.values().copied().collect());
            places.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(places, expected);
            if round == 0 {
                table.clear();
                map.clear();
                list.clear();
            }
        }
    }
}
