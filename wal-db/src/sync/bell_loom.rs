//! Every interleaving, and every reordering that the memory model allows, of ringing and of going to sleep.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{Bell, bounded};

#[test]
fn a_bell_is_heard_by_who_is_about_to_sleep() {
    loom::model(|| {
        let shared = Arc::new((Bell::new(), AtomicU64::new(0)));
        let sleeper = {
            let shared = shared.clone();
            thread::spawn(move || {
                // The weakest orderings that there are: the bell itself has to see to it.
                let there = || shared.1.load(Ordering::Relaxed) == 1;
                while !there() {
                    shared.0.sleep_unless(None, there);
                }
            })
        };
        shared.1.store(1, Ordering::Relaxed);
        shared.0.ring();
        sleeper.join().unwrap();
    });
}

#[test]
fn a_bell_is_heard_by_all_who_sleep() {
    bounded(0, || {
        let shared = Arc::new((Bell::new(), AtomicU64::new(0)));
        let sleepers: Vec<_> = (1..=2)
            .map(|least| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let there = || shared.1.load(Ordering::Relaxed) >= least;
                    while !there() {
                        shared.0.sleep_unless(None, there);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            shared.1.fetch_add(1, Ordering::Relaxed);
            shared.0.ring();
        }
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}
