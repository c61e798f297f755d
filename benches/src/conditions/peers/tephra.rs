//! tephra 0.4.1, segments with an index of tags beside them.
//!
//! One thread of its own checks the conditions and writes. It takes all appends that wait as one batch, which one
//! `fdatasync` makes durable before any of them is answered. A tag that it has not seen is refused by a map in memory
//! alone, as it recommends for a guard of uniqueness. All settings are the defaults, with segments as long as ours.

use std::path::Path;

use anyhow::Result;
use tephra::{
    AppendCondition, AppendError, Event, EventType, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags,
    WriteCoordinator, WriteHandle, WriterConfig,
};

use super::{Events, Peer};
use crate::conditions::SEGMENT;

pub(super) struct Tephra;

impl Peer for Tephra {
    fn name(&self) -> &'static str {
        "tephra"
    }

    fn settings(&self) -> &'static str {
        "0.4.1: its own thread writes all that wait as one batch and flushes it once; 64 MiB segments"
    }

    fn create(&self, dir: &Path) -> Result<Box<dyn Events>> {
        let segments = SegmentSet::open(dir, SegmentConfig::new(SEGMENT as usize))?;
        let (coordinator, handle) = WriteCoordinator::start(segments, WriterConfig::default())?;
        Ok(Box::new(Running {
            joined: EventType::new("joined")?,
            handle,
            _coordinator: coordinator,
        }))
    }
}

struct Running {
    joined: EventType,
    handle: WriteHandle,
    /// Ends the thread.
    _coordinator: WriteCoordinator,
}

impl Events for Running {
    fn append_if_none(&self, tag: String, payload: Vec<u8>) -> Result<bool> {
        let tags = Tags::new([Tag::new(tag)?])?;
        let event = Event::new(&self.joined, &tags, &payload)?;
        let condition = AppendCondition::new(Query::item(QueryItem::with_tags(tags)));
        match self.handle.append(vec![event], Some(condition)) {
            Ok(_positions) => Ok(true),
            Err(AppendError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&self) -> Result<u64> {
        // Positions are dense and begin at 1.
        Ok(self.handle.head().get())
    }
}
