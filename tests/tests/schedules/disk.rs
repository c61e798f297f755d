//! The simulated disk under a schedule: other threads run between any two of its calls, so between the flushes of two
//! segments as well.

use std::sync::{Arc, Mutex};

use wal_db::{
    Result, Wal, WalConfig,
    testing::sim::{AfterFailedSync, Call, Fault, Image, Medium, SimDisk},
};
use wal_tests::random::Rng;

use super::explore::choose;

const NAME: &str = "log";

/// So small that a few records fill it.
const SEGMENT: u64 = 4 << 10;

/// EIO.
const BROKEN: i32 = 5;

/// EMFILE.
const NO_DESCRIPTOR: i32 = 24;

/// Whether the log is one file or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    File,
    Segments,
}

/// A disk with one log. Clones are the same disk. No thread is switched while its locks are held.
#[derive(Clone)]
pub(crate) struct Disk {
    calls: SimDisk,
    medium: Arc<Mutex<Medium>>,
    form: Form,
}

impl Disk {
    pub(crate) fn new(form: Form) -> Disk {
        Disk {
            calls: SimDisk::new(),
            medium: Arc::default(),
            form,
        }
    }

    pub(crate) fn open(&self, config: WalConfig) -> Result<Wal> {
        open(&self.calls, self.form, config)
    }

    pub(crate) fn open_read_only(&self) -> Result<Wal> {
        let segmented = self.form == Form::Segments;
        self.calls.open_read_only(NAME, segmented, WalConfig::new())
    }

    /// The calls of this kind fail for good, but for so many that come first.
    pub(crate) fn fail(&self, call: Call, after: usize) {
        let left = [
            AfterFailedSync::Forgotten,
            AfterFailedSync::Reverted,
            AfterFailedSync::Kept,
        ];
        let left = left[choose(left.len())];
        self.calls.behave(|disk| {
            disk.after_failed_sync = left;
            disk.fault = Some(Fault {
                call: Some(call),
                after: after as u64,
                error: BROKEN,
                forever: choose(2) == 0,
            });
        });
    }

    /// No call fails any more.
    pub(crate) fn heal(&self) {
        self.calls.heal();
    }

    /// Whether files can be opened from now on.
    pub(crate) fn give_descriptors(&self, some: bool) {
        self.calls.behave(|disk| {
            disk.fault = (!some).then_some(Fault {
                call: Some(Call::Open),
                after: 0,
                error: NO_DESCRIPTOR,
                forever: true,
            });
        });
    }

    /// There is space for so many bytes beyond what is used, and no more.
    pub(crate) fn leave_space(&self, bytes: u64) {
        let used = self.calls.used();
        self.calls.behave(|disk| disk.space = Some(used + bytes));
    }

    /// What a power cut at this moment leaves: at worst, and a few that are not as bad.
    pub(crate) fn images(&self, rng: &mut Rng, some: usize) -> Vec<Image> {
        let steps = self.calls.journal();
        let mut medium = self.medium.lock().unwrap();
        steps.iter().for_each(|step| medium.apply(step));
        let worst = medium.after(&medium.nothing());
        let others = (0..some).map(|_| medium.after(&medium.any(&mut || rng.number())));
        std::iter::once(worst).chain(others).collect()
    }

    /// Opens the log in an image, does something with it, and lets the disk go without another call.
    pub(crate) fn with_image<T>(
        &self,
        image: Image,
        config: WalConfig,
        run: impl FnOnce(&Wal) -> Result<T>,
    ) -> Result<T> {
        let disk = SimDisk::of(image);
        let wal = open(&disk, self.form, config)?;
        let outcome = run(&wal);
        let _dead = disk.kill();
        outcome
    }
}

fn open(disk: &SimDisk, form: Form, config: WalConfig) -> Result<Wal> {
    match form {
        Form::File => disk.open(NAME, config),
        Form::Segments => disk.open_segmented(NAME, SEGMENT, config),
    }
}
