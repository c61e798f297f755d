//! What a log says of its manifests and of its history without being opened.

use wal_db::recovery::inspect;
use wal_tests::{
    damage::synced,
    files::{FORMS, Form},
    put, quiet,
};

#[test]
fn the_copies_of_the_manifest_and_the_epochs_are_shown() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.truncate_before(entries[6].0).unwrap();
        wal.truncate_after(entries[16].0).unwrap();
        let _next = put(&wal, 0, 100);
        wal.close().unwrap();
        place.open(quiet()).unwrap().close().unwrap();

        let found = inspect(place.path()).unwrap();
        let [first, second] = &found.manifests[..] else {
            panic!("{form:?}: {:?}", found.manifests);
        };
        assert_eq!((first.copy, second.copy), (0, 1));
        assert_eq!(first.generation, second.generation);
        assert_eq!((first.head, first.head_ordinal), (entries[6].0, 6), "{form:?}");
        assert!(!first.is_staged);
        assert_eq!(first.newest_segment.is_some(), form == Form::Segmented);
        assert!(first.mark > entries[16].0.get(), "{form:?}: {first:?}");

        let cut = found.epochs.iter().find(|epoch| epoch.cut < epoch.start).unwrap();
        let kept_to = entries[16].0.get() + 64;
        assert!(
            cut.cut >= kept_to && cut.cut <= entries[17].0.get() + 64,
            "{form:?}: {cut:?}"
        );
        let numbers: Vec<u32> = found.epochs.iter().map(|epoch| epoch.epoch).collect();
        assert!(numbers.is_sorted() && numbers.len() > 1, "{numbers:?}");
        assert_eq!(
            numbers.last().copied(),
            found.recovery.map(|recovery| recovery.epoch)
        );

        let wal = place.open(quiet()).unwrap();
        let _staged = put(&wal, 1, 100);
        let killed = inspect(place.killed().path()).unwrap();
        assert!(killed.manifests.iter().all(|copy| copy.is_staged), "{form:?}");
        drop(wal);
        // Of two copies of which one is damaged, the other is shown.
        place.patch_manifest(0, |bytes| bytes[0] = 0);
        let left: Vec<usize> = inspect(place.path())
            .unwrap()
            .manifests
            .iter()
            .map(|copy| copy.copy)
            .collect();
        assert_eq!(left, [1], "{form:?}");
    }
}
