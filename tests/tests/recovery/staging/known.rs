//! What staging memory knows: what was durable, and what was written while the machine was up.

use std::fs;

use wal_tests::{
    all,
    damage::refused,
    files::{FORMS, Form, Place, SECTOR},
    payload, put, quiet,
};

/// The machine went down and staging memory is from before: what it says is in the ring may not have arrived, and what
/// it says is durable was.
fn rebooted(place: &Place) {
    let mut bytes = fs::read(place.staging()).unwrap();
    bytes[24..40].fill(7);
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(place.staging(), bytes).unwrap();
}

#[test]
fn staging_memory_tells_that_the_last_flush_was_durable() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entry = put(&wal, 1, 1500);
        wal.sync().unwrap();
        let image = place.killed();
        rebooted(&image);
        assert_eq!(all(&image.killed().open(quiet()).unwrap()), [entry]);
        // Nothing else tells a sector that was lost later from one that never arrived.
        image.overwrite(SECTOR, &[0; SECTOR as usize]);
        assert_eq!(refused(&image).start, 0, "{form:?}");
    }
}

/// It was never durable, but it was written, and the ring has it no more; a flipped bit is no write that was interrupted.
#[test]
fn damage_of_what_was_written_while_the_machine_was_up_is_refused() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entry = put(&wal, 1, 1500);
        wal.drain().unwrap();
        let image = place.killed();
        assert_eq!(all(&image.killed().open(quiet()).unwrap()), [entry]);
        image.flip(SECTOR + 100);
        assert_eq!(refused(&image).start, 0, "{form:?}");
    }
}

#[test]
fn a_batch_in_staging_memory_that_lost_its_end_is_left_out() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let first = put(&wal, 1, 5000);
    let lsns = wal.append_batch(&[payload(2, 3000), payload(3, 3000)]).unwrap();
    let image = place.killed();
    rebooted(&image);
    assert_eq!(all(&image.killed().open(quiet()).unwrap()).len(), 3);
    // A page that the system had not written back when the machine went down.
    let mut bytes = fs::read(image.staging()).unwrap();
    let lost = 4096 + lsns[1].get() as usize + 64;
    bytes[lost..lost + 2000].fill(0);
    fs::write(image.staging(), bytes).unwrap();
    assert_eq!(all(&image.open(quiet()).unwrap()), [first]);
}
