//! Doing what a repair has to do. Each step is durable before the next one, and a repair that was interrupted is planned
//! anew.

use std::io;

use super::{
    files::{Form, LogFiles},
    plan::{Repair, RepairStep, plan},
};
use crate::{
    config::{OpenPolicy, WalConfig},
    error::{Result, WalError},
    format::{
        Manifest, SLOT_LEN,
        segment::{SEGMENT_HEADER_LEN, SegmentHeader},
    },
    log::{report::RecoveryReport, wal::Wal},
    storage::{
        System,
        fs::{Access, File, write_at},
        lock,
    },
    sync::Arc,
};

fn writing(error: io::Error) -> WalError {
    WalError::io("repairing the log")(error)
}

impl Repair {
    /// Does it, opens the log and closes it again; what opening found comes back. Whatever it changes was in
    /// [`touched`](Self::touched). If the process dies meanwhile, the log has a part of it, and another repair does the rest.
    ///
    /// # Errors
    /// [`WalError::Locked`] if another process has the log open for writing; [`WalError::Config`] if the log has changed since
    /// this was planned: nothing is written then. Those of opening a log.
    pub fn apply(self) -> Result<RecoveryReport> {
        let path = self.path.clone();
        self.apply_here().map_err(|error| error.located(Some(&path)))
    }

    fn apply_here(self) -> Result<RecoveryReport> {
        let files = LogFiles::at(&System, &self.path)?;
        let lock_file = lock_of(&files)?;
        lock(&*lock_file, &files.manifest_path())?;
        let now = plan(&self.path)?;
        if now.steps != self.steps || now.manifest != self.manifest || now.recovery != self.recovery {
            return Err(WalError::Config {
                what: format!("{} has changed since its repair was planned", self.path.display()),
            });
        }
        for step in &self.steps {
            self.step(&files, step).map_err(writing)?;
        }
        if self.steps.contains(&RepairStep::Manifest) {
            self.write_manifest(&files, &*lock_file).map_err(writing)?;
        }
        drop(lock_file);
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_open_policy(OpenPolicy::TruncateAtDamage);
        let wal = match files.form {
            Form::Directory => Wal::open_segmented_with(&self.path, self.manifest.segment_len, config)?,
            Form::File => Wal::open_with(&self.path, config)?,
        };
        let report = wal.recovery().clone();
        wal.close()?;
        Ok(report)
    }

    fn step(&self, files: &LogFiles, step: &RepairStep) -> io::Result<()> {
        let (dir, offset) = (files.dir(), files.header_offset());
        match step {
            RepairStep::SegmentHeader { segment, .. } => {
                let file = dir.open(&files.segment_name(*segment), Access::Write)?;
                write_at(&*file, offset, &header(&self.manifest, *segment))?;
                file.sync_data()
            }
            RepairStep::SetAside { path, to } => {
                let (from, to) = (
                    path.file_name().unwrap_or_default(),
                    to.file_name().unwrap_or_default(),
                );
                dir.rename(from, to)?;
                dir.sync()
            }
            RepairStep::MissingSegment { segment, .. } => {
                let name = files.segment_name(*segment);
                let mut new = name.clone();
                new.push(".new");
                let file = dir.open(&new, Access::Create)?;
                file.set_len(0)?;
                write_at(&*file, offset, &header(&self.manifest, *segment))?;
                file.set_len(SEGMENT_HEADER_LEN + self.manifest.segment_len)?;
                file.sync_all()?;
                dir.rename(&new, &name)?;
                dir.sync()
            }
            RepairStep::ManifestCopy { .. } | RepairStep::Manifest | RepairStep::Cut { .. } => Ok(()),
        }
    }

    /// Everything before the mark is durable before there is a manifest that says so.
    fn write_manifest(&self, files: &LogFiles, file: &dyn File) -> io::Result<()> {
        for segment in files.segments()? {
            if let Some(segment) = files.open_segment(segment, Access::Write)? {
                segment.sync_data()?;
            }
        }
        let bytes = self.manifest.encode();
        for slot in [1, 0] {
            let mut whole = vec![0; SLOT_LEN];
            whole[..bytes.len()].copy_from_slice(&bytes);
            write_at(file, slot * SLOT_LEN as u64, &whole)?;
            file.sync_all()?;
        }
        files.dir().sync()
    }
}

fn header(manifest: &Manifest, segment: u64) -> Vec<u8> {
    let header = SegmentHeader {
        log: manifest.log,
        index: segment,
        segment_len: manifest.segment_len,
    };
    header.encode().into()
}

/// The file that a writer locks; made if it is lost.
fn lock_of(files: &LogFiles) -> Result<Arc<dyn File>> {
    files
        .dir()
        .open(&files.manifest_name(), Access::Create)
        .map_err(writing)
}
