//! A log whose newest schema lies where neither the timeline nor a header says whose it is.

use serde::{Deserialize, Serialize};
use wal_db::{WalConfig, WalRecord};

use crate::{
    files::{Form, Place, SEGMENT},
    quiet,
};

/// An event of that log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "straddled")]
pub struct Counted {
    /// Which one it is.
    pub number: u64,
}

/// An event.
#[must_use]
pub const fn counted(number: u64) -> Counted {
    Counted { number }
}

/// A timeline that forgets early.
pub const fn forgetful() -> WalConfig {
    quiet().with_timeline_entries(8)
}

/// The end of the first window of the form.
const fn window(form: Form) -> u64 {
    match form {
        Form::Segmented => SEGMENT,
        Form::File => 16 << 20,
    }
}

/// A log of which one group begins before the end of the first window and holds the schema after it, whose records
/// begin with another group, and that was opened so often since that the group's epoch is forgotten. It holds the events 1
/// and 2, then other records.
///
/// # Panics
/// If the log cannot be made, or its events not be read.
#[must_use]
pub fn straddled(form: Form) -> Place {
    let place = Place::fast(form);
    let wal = place.open(forgetful()).unwrap();
    let end = window(form);
    while wal.end().get() + 32_000 < end {
        wal.append(&[1; 4000]).unwrap();
    }
    wal.sync().unwrap();
    while wal.end().get() < end {
        wal.append(&[2; 4000]).unwrap();
    }
    wal.append_typed(&counted(0)).unwrap();
    // What a dead process leaves in staging memory becomes one group, whatever borders of blocks lie in it.
    let image = place.killed();
    drop((wal, place));
    let wal = image.open(forgetful()).unwrap();
    let kept = wal.append_typed(&counted(1)).unwrap();
    wal.append_typed(&counted(2)).unwrap();
    wal.sync().unwrap();
    wal.truncate_before(kept).unwrap();
    assert_eq!(wal.status().head, kept);
    wal.close().unwrap();
    for i in 0..20 {
        let wal = image.open(forgetful()).unwrap();
        wal.append(&[3; 16]).unwrap();
        wal.typed::<Counted>()
            .unwrap_or_else(|error| panic!("{form:?}, opening {i}: {error}"));
        wal.close().unwrap();
    }
    image
}
