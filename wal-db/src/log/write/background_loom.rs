//! Every interleaving of those who ring for a background thread and of its going to sleep.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::Alarm;

#[test]
fn an_alarm_is_heard_by_who_is_about_to_sleep() {
    loom::model(|| {
        let shared = Arc::new((Alarm::new(), AtomicU64::new(0)));
        let ringers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.ring();
                })
            })
            .collect();
        // Sleeps for ever if it misses the one that rings when the other one's alarm is still on.
        while shared.1.load(Ordering::Relaxed) < 2 {
            shared.0.sleep(None);
        }
        ringers.into_iter().for_each(|ringer| ringer.join().unwrap());
    });
}
