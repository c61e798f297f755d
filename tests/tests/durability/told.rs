//! What of a flush is told to those who lead it, follow it, wait for the next one, or have it certified.

use wal_db::{Durability, Wal};
use wal_tests::{
    corruption,
    disk::{Disk, EIO, Fault, Op, is_in_doubt, is_poisoned, open},
    payload, put, quiet_heap, within,
};

/// The seal that certifies a flush takes along what was appended meanwhile, which nothing certifies yet.
#[test]
fn what_comes_while_a_flush_is_certified_is_not_certified_with_it() {
    within("an append beside a certified flush", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap().with_durability(Durability::Certified));
        disk.hold(Op::Sync);
        let second = std::thread::scope(|scope| {
            let first = scope.spawn(|| wal.append_and_sync(b"first"));
            disk.wait_for_held();
            let second = wal.append(b"second").unwrap();
            disk.let_go();
            assert!(first.join().unwrap().unwrap() < second);
            second
        });
        assert!(
            wal.status().durable <= second,
            "{} {second}",
            wal.status().durable
        );
        wal.sync().unwrap();
        assert!(wal.status().durable > second);
    });
}

/// What certifies a flush is flushed itself before anybody hears of it.
#[test]
fn what_is_certified_stays_certified_when_the_power_goes() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap().with_durability(Durability::Certified));
    let lsn = wal.append_and_sync(&payload(1, 1500)).unwrap();
    let image = disk.after_power_loss(|_| false);
    let second = lsn.get() as usize + 512;
    image.edit(|row| row[second..second + 512].fill(0));
    let damage = corruption(Wal::with_store_and_config(image, quiet_heap()));
    assert!(
        (damage.start..damage.end).contains(&(second as u64)),
        "{damage:?}"
    );
}

/// A caller that waits for a flush that another one leads is covered by it, and must not hear Ok when it fails.
#[test]
fn a_follower_of_the_flush_that_fails_hears_of_it() {
    within("a follower of a failed flush", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let entry = put(&wal, 1, 100);
        disk.hold(Op::Sync);
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| wal.sync());
            disk.wait_for_held();
            let follower = scope.spawn(|| wal_tests::sync_to(&wal, entry.0));
            disk.set(Op::Sync, Fault::Fail(EIO));
            disk.let_go();
            assert!(is_in_doubt(&leader.join().unwrap()));
            let heard = follower.join().unwrap();
            assert!(is_in_doubt(&heard) || is_poisoned(&heard), "{heard:?}");
        });
        // The record was taken before the failure, so it is in doubt for good; what comes later is refused.
        assert!(is_in_doubt(&wal_tests::sync_to(&wal, entry.0)));
        assert!(is_poisoned(&wal.append(b"later")));
    });
}

/// Those who wait for the flush after it are woken as well: there will be none.
#[test]
fn whoever_waits_for_the_next_flush_hears_that_this_one_failed() {
    within("several who wait for the flush after a failed one", || {
        // Whether they sleep already when it fails is up to the system; in some round they do.
        for _ in 0..30 {
            let disk = Disk::new();
            let wal = open(&disk, quiet_heap());
            put(&wal, 1, 100);
            disk.hold(Op::Sync);
            std::thread::scope(|scope| {
                let leader = scope.spawn(|| wal.sync());
                disk.wait_for_held();
                let waiters: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| wal.append_and_sync(b"next")))
                    .collect();
                (0..1000).for_each(|_| std::thread::yield_now());
                disk.set(Op::Sync, Fault::Fail(EIO));
                disk.let_go();
                assert!(is_in_doubt(&leader.join().unwrap()));
                for waiter in waiters {
                    let heard = waiter.join().unwrap();
                    assert!(is_in_doubt(&heard) || is_poisoned(&heard), "{heard:?}");
                }
            });
        }
    });
}
