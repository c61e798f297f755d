//! Followers of a log that is cut again and again: with what they are told to undo, they have what the log has.

use std::{sync::mpsc, thread};

use wal_db::{Lsn, MemStore, Position, Start, Tail, Wal, WalError};
use wal_tests::{PATIENCE, all, assert_is, payload, quiet_heap, random::Rng};

/// What a follower has, and where it goes on if it does not stay.
struct Follower {
    tail: Option<Tail>,
    position: Option<Position>,
    has: Vec<Lsn>,
}

impl Follower {
    fn new() -> Follower {
        Follower {
            tail: None,
            position: None,
            has: Vec::new(),
        }
    }

    /// Takes in all that is there, and undoes what it is told to.
    fn follow(&mut self, wal: &Wal) {
        let start = self.position.map_or(Start::Head, Start::Position);
        let mut tail = self.tail.take().unwrap_or_else(|| wal.tail(start).unwrap());
        loop {
            match tail.try_next() {
                Ok(Some(record)) => self.has.push(record.lsn()),
                Ok(None) => break,
                Err(WalError::CutBack { kept_before, .. }) => {
                    let had = self.has.len();
                    self.has.retain(|lsn| *lsn < kept_before);
                    assert!(self.has.len() < had, "nothing that it has is gone");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        self.tail = Some(tail);
    }

    /// Goes away, and comes back where it was.
    fn leave(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.position = Some(tail.position().unwrap());
        }
    }
}

#[test]
fn a_follower_that_undoes_what_it_is_told_has_what_the_log_has() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let memory = MemStore::new();
        let open = || Wal::with_store_and_config(memory.clone(), quiet_heap()).unwrap();
        let mut wal = open();
        let mut followers: Vec<Follower> = (0..3).map(|_| Follower::new()).collect();
        for step in 0..40 {
            match rng.below(10) {
                0..3 => {
                    for number in 0..rng.below(4) {
                        wal.append(&payload(number, rng.below(300))).unwrap();
                    }
                    wal.sync().unwrap();
                }
                3..6 => {
                    let entries = all(&wal);
                    if !entries.is_empty() {
                        let at = entries[rng.below(entries.len())].0;
                        match rng.below(3) {
                            0 => wal.truncate_from(at).unwrap(),
                            _ => wal.truncate_after(at).unwrap(),
                        }
                    }
                }
                6 => {
                    followers.iter_mut().for_each(Follower::leave);
                    drop(wal);
                    wal = open();
                }
                7 => followers[rng.below(3)].leave(),
                _ => followers[rng.below(3)].follow(&wal),
            }
            if rng.below(4) == 0 {
                let expected: Vec<Lsn> = all(&wal).iter().map(|entry| entry.0).collect();
                for (one, follower) in followers.iter_mut().enumerate() {
                    follower.follow(&wal);
                    assert_eq!(
                        follower.has, expected,
                        "follower {one} of seed {seed}, step {step}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_second_cut_with_nothing_between_is_told_as_well() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    let lsns: Vec<Lsn> = (0..3)
        .map(|i| wal.append_and_sync(&payload(i, 20)).unwrap())
        .collect();
    let mut tail = wal.tail(Start::Head).unwrap();
    while tail.try_next().unwrap().is_some() {}
    for last in [1, 0] {
        wal.truncate_after(lsns[last]).unwrap();
        let gone = lsns[last + 1];
        assert_is!(tail.try_next(), Err(WalError::CutBack { kept_before, .. }) if *kept_before <= gone);
        assert!(tail.try_next().unwrap().is_none());
    }
}

#[test]
fn a_follower_that_sleeps_is_woken_by_each_cut() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    let lsns: Vec<Lsn> = (0..4)
        .map(|i| wal.append_and_sync(&payload(i, 20)).unwrap())
        .collect();
    let (told, heard) = mpsc::channel();
    let mut tail = wal.tail(Start::Head).unwrap();
    while tail.try_next().unwrap().is_some() {}
    let following = thread::spawn(move || {
        loop {
            match tail.next_timeout(PATIENCE) {
                Err(WalError::CutBack { kept_before, .. }) => told.send(Some(kept_before)).unwrap(),
                Err(WalError::Closed) => return,
                other => {
                    told.send(None).unwrap();
                    panic!("{other:?}");
                }
            }
        }
    });
    for last in [2, 1, 0] {
        wal.truncate_after(lsns[last]).unwrap();
        let kept_before = heard.recv().unwrap().unwrap();
        assert!(lsns[last] < kept_before && kept_before <= lsns[last + 1]);
    }
    wal.close().unwrap();
    following.join().unwrap();
}
