//! Random values of std types, quickly: tests that want ten thousand events or ten million payloads spend their time
//! in the log and not in making them. The same seed gives the same values.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::ops::{Bound, Range};
use std::time::Duration;

/// SplitMix64, after numbers that somebody chose.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
    /// The last one is next.
    chosen: Vec<u8>,
}

impl Rng {
    /// The numbers that belong to a seed.
    pub fn new(seed: u64) -> Self {
        Rng {
            state: seed,
            chosen: Vec::new(),
        }
    }

    /// These bytes, two for a number; then those that belong to the seed 0. So a fuzzer decides what a test does.
    pub fn chosen(bytes: &[u8]) -> Self {
        Rng {
            state: 0,
            chosen: bytes.iter().rev().copied().collect(),
        }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        if let Some(low) = self.chosen.pop() {
            return u64::from(low) | u64::from(self.chosen.pop().unwrap_or(0)) << 8;
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    /// A value of a type.
    pub fn any<T: Random>(&mut self) -> T {
        T::random(self)
    }

    /// A few values.
    pub fn few<T: Random, C: FromIterator<T>>(&mut self) -> C {
        let count = self.below(6);
        (0..count).map(|_| T::random(self)).collect()
    }
}

/// A type that has random values.
pub trait Random {
    /// One of them; edges are more likely than their share.
    fn random(rng: &mut Rng) -> Self;
}

macro_rules! integers {
    ($($ty:ty)+) => {
        $(
            impl Random for $ty {
                fn random(rng: &mut Rng) -> Self {
                    match rng.below(8) {
                        0 => <$ty>::MIN,
                        1 => <$ty>::MAX,
                        2 => rng.below(100) as $ty,
                        _ => (u128::from(rng.number()) << 64 | u128::from(rng.number())) as $ty,
                    }
                }
            }
        )+
    };
}

integers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

macro_rules! random {
    ($([$($param:tt)*] $ty:ty: |$rng:ident| $value:expr;)+) => {
        $(
            impl<$($param)*> Random for $ty {
                fn random($rng: &mut Rng) -> Self {
                    $value
                }
            }
        )+
    };
}

random! {
    [] (): |_rng| ();
    [] bool: |rng| rng.number() & 1 == 0;
    [] f32: |rng| f32::from_bits(rng.any());
    [] f64: |rng| f64::from_bits(rng.any());
    [] char: |rng| match rng.below(4) {
        0 => ['\0', '"', '\\', '\n', '\u{7F}', '\u{10FFFF}'][rng.below(6)],
        1 => char::from_u32(rng.below(0x11_0000) as u32).unwrap_or('é'),
        _ => char::from(b' ' + rng.below(95) as u8),
    };
    [] String: |rng| rng.few::<char, String>();
    [] Duration: |rng| Duration::new(rng.any(), rng.below(1_000_000_000) as u32);
    [T: Random] Option<T>: |rng| rng.any::<bool>().then(|| rng.any());
    [T: Random] Box<T>: |rng| Box::new(rng.any());
    [T: Random] Vec<T>: |rng| rng.few();
    [T: Random] VecDeque<T>: |rng| rng.few();
    [T: Random + Ord] BTreeSet<T>: |rng| rng.few();
    [K: Random + Ord, V: Random] BTreeMap<K, V>: |rng| rng.few();
    [K: Random + Eq + Hash, V: Random] HashMap<K, V>: |rng| rng.few();
    [T: Random, const N: usize] [T; N]: |rng| std::array::from_fn(|_| rng.any());
    [T: Random] Range<T>: |rng| rng.any()..rng.any();
    [T: Random] Bound<T>: |rng| match rng.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(rng.any()),
        _ => Bound::Excluded(rng.any()),
    };
    [T: Random, E: Random] Result<T, E>: |rng| if rng.any() { Ok(rng.any()) } else { Err(rng.any()) };
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(
            impl<$($name: Random),+> Random for ($($name,)+) {
                fn random(rng: &mut Rng) -> Self {
                    ($($name::random(rng),)+)
                }
            }
        )+
    };
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) }
