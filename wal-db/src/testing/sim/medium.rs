//! What is on the medium, what is only in the cache, and every image that a power cut can leave of both.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

use super::{
    content::{Content, mix},
    image::{FileId, Image, SECTOR, Step},
};
use crate::storage::fs::parent;

/// So many earlier states of mapped memory are kept.
const STAGED: usize = 4;

/// A medium with its cache.
#[derive(Debug, Clone, Default)]
pub struct Medium {
    durable: Image,
    /// What may arrive, each by itself, in the order in which it was done.
    cache: Vec<Item>,
    /// How long the files are whose length may arrive.
    lens: BTreeMap<FileId, usize>,
    /// What mapped memory held lately, the last last.
    staged: BTreeMap<PathBuf, VecDeque<Vec<u8>>>,
}

#[derive(Debug, Clone)]
struct Item {
    change: Change,
    /// A flush of it has failed: no other one will try.
    given_up: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Data {
        file: FileId,
        pos: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: FileId,
        len: usize,
    },
    Enter {
        path: PathBuf,
        file: Option<FileId>,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        file: FileId,
    },
    Remove {
        path: PathBuf,
        file: FileId,
    },
}

/// What arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Whether each thing in the cache did.
    items: Vec<bool>,
    /// How long the files are whose length was not flushed.
    lens: BTreeMap<FileId, usize>,
    staging: Staged,
}

/// What is left of mapped memory.
#[derive(Debug, Clone, Copy)]
enum Staged {
    Nothing,
    /// All of it, of so many states before the last.
    Back(usize),
    Mixed(u64),
}

impl Medium {
    /// A medium with nothing in its cache.
    #[must_use]
    pub fn of(image: Image) -> Medium {
        let staged = image.staging.iter();
        Medium {
            staged: staged
                .map(|(path, bytes)| (path.clone(), [bytes.clone()].into()))
                .collect(),
            durable: image,
            ..Medium::default()
        }
    }

    /// Does what the program did.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { file, pos, bytes } => self.write(*file, *pos, bytes),
            Step::Hole { file, start, end } => self.push(Change::Data {
                file: *file,
                pos: *start,
                bytes: vec![0; end - start],
            }),
            Step::Length { file, len } => self.set_len(*file, *len),
            Step::Sync(file) => self.sync(*file),
            // Lengths are in the file system's journal, as names are.
            Step::FailedSync(file) => {
                self.give_up(|change| matches!(change, Change::Data { file: of, .. } if of == file))
            }
            Step::Reverted { file, content } => {
                self.cache.retain(|item| item.change.file() != Some(*file));
                self.lens.remove(file);
                self.durable.files.insert(*file, content.clone());
            }
            Step::Create { path, file } => {
                self.durable.next_file = self.durable.next_file.max(file + 1);
                self.push(Change::Enter {
                    path: path.clone(),
                    file: Some(*file),
                });
            }
            Step::CreateDir(path) => self.push(Change::Enter {
                path: path.clone(),
                file: None,
            }),
            Step::Rename { from, to, file } => self.push(Change::Rename {
                from: from.clone(),
                to: to.clone(),
                file: *file,
            }),
            Step::Remove { path, file } => self.push(Change::Remove {
                path: path.clone(),
                file: *file,
            }),
            Step::SyncDir(dir) => self.flush(|change| change.dir() == Some(dir)),
            Step::Staging { path, bytes } => {
                let states = self.staged.entry(path.clone()).or_default();
                if states.len() == STAGED {
                    states.pop_front();
                }
                states.push_back(bytes.clone());
            }
            // Names are in the file system's journal, and the next flush tries again.
            Step::FailedSyncDir(_) | Step::Mark(_) => {}
        }
    }

    /// What mapped memory held last.
    #[must_use]
    pub fn staged(&self, path: &Path) -> Option<&[u8]> {
        self.staged.get(path)?.back().map(Vec::as_slice)
    }

    /// Whether all that was done was flushed, and nothing is in mapped memory.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let staged = self.staged.values().filter_map(VecDeque::back);
        self.cache.is_empty() && self.lens.is_empty() && staged.flatten().next().is_none()
    }

    /// What is there if nothing arrives that was not flushed.
    #[must_use]
    pub fn nothing(&self) -> Arrival {
        let durable = |file: &FileId| (*file, self.durable_len(*file));
        Arrival {
            items: vec![false; self.cache.len()],
            lens: self.lens.keys().map(durable).collect(),
            staging: Staged::Nothing,
        }
    }

    /// What is there if everything arrives.
    #[must_use]
    pub fn all(&self) -> Arrival {
        Arrival {
            items: vec![true; self.cache.len()],
            lens: self.lens.clone(),
            staging: Staged::Back(0),
        }
    }

    /// One of the things that can be there, chosen by a source of numbers.
    #[must_use]
    pub fn any(&self, random: &mut dyn FnMut() -> u64) -> Arrival {
        // Mostly there, mostly not, or half: each finds other mistakes.
        let odds = [1, 4, 7][below(random, 3)];
        let items: Vec<bool> = self.cache.iter().map(|_| below(random, 8) < odds).collect();
        let mut lens = self.lens.clone();
        for (file, len) in &mut lens {
            if below(random, 2) == 1 {
                let lengths = self.lengths(*file);
                *len = lengths[below(random, lengths.len())];
            }
        }
        Arrival {
            items,
            lens,
            staging: Staged::any(random),
        }
    }

    /// Whether no more than so many images can be left.
    #[must_use]
    pub fn is_small(&self, limit: usize) -> bool {
        let lengths = self.lens.keys().map(|file| self.lengths(*file).len());
        let lengths = lengths.fold(1, usize::saturating_mul);
        self.cache.len() <= 16 && lengths << self.cache.len() <= limit
    }

    /// All that can be there, if it is no more than `limit`; else `some` of it. Of mapped memory always only something.
    pub fn arrivals(
        &self,
        random: &mut dyn FnMut() -> u64,
        limit: usize,
        some: usize,
        mut each: impl FnMut(&Arrival),
    ) {
        if !self.is_small(limit) {
            each(&self.nothing());
            each(&self.all());
            (2..some).for_each(|_| each(&self.any(random)));
            return;
        }
        let mut lens: Vec<BTreeMap<FileId, usize>> = vec![BTreeMap::new()];
        for file in self.lens.keys() {
            let lengths = self.lengths(*file);
            let with = |before: &BTreeMap<FileId, usize>, len: &usize| {
                let mut after = before.clone();
                after.insert(*file, *len);
                after
            };
            let all = lens
                .iter()
                .flat_map(|before| lengths.iter().map(|len| with(before, len)));
            lens = all.collect();
        }
        for lens in &lens {
            // What would lie after the end makes no difference.
            let before: Vec<usize> = (0..self.cache.len())
                .filter(|&i| !self.cache[i].change.is_behind(lens))
                .collect();
            for subset in 0..1_u32 << before.len() {
                let mut items = vec![false; self.cache.len()];
                for (bit, &item) in before.iter().enumerate() {
                    items[item] = subset & (1 << bit) != 0;
                }
                each(&Arrival {
                    items,
                    lens: lens.clone(),
                    staging: Staged::any(random),
                });
            }
        }
    }

    /// The disk after a power cut.
    #[must_use]
    pub fn after(&self, arrival: &Arrival) -> Image {
        let mut image = self.durable.clone();
        let items = self.cache.iter().zip(&arrival.items);
        for (item, _) in items.clone().filter(|(_, there)| **there) {
            item.change.apply(&mut image);
        }
        for (file, len) in &arrival.lens {
            let is_cut = items
                .clone()
                .rfind(|(item, _)| matches!(item.change, Change::Cut { file: cut, .. } if cut == *file));
            let content = image.files.entry(*file).or_default();
            match is_cut {
                // A file that was made shorter is that, or as long as it was.
                Some((_, false)) => content.set_len(content.len().max(*len)),
                _ => content.set_len(*len),
            }
        }
        // What is in a directory that is not there cannot be found. Names are in order, a directory before what it
        // holds.
        let mut found = BTreeMap::new();
        for (path, file) in std::mem::take(&mut image.names) {
            if parent(&path) == Path::new(".") || found.get(parent(&path)) == Some(&None) {
                found.insert(path, file);
            }
        }
        image.names = found;
        let named: Vec<FileId> = image.names.values().flatten().copied().collect();
        image.files.retain(|file, _| named.contains(file));
        // A name can be there before its file has anything.
        for file in named {
            image.files.entry(file).or_default();
        }
        image.staging = self.staging(arrival.staging);
        image.boot += 1;
        image
    }

    /// What the next process sees if this one dies and the machine goes on; `None` if a flush has failed before, after
    /// which that cannot be told from here.
    #[must_use]
    pub fn after_death(&self) -> Option<Image> {
        let mut image = self.after(&self.all());
        image.boot = self.durable.boot;
        (!self.cache.iter().any(|item| item.given_up)).then_some(image)
    }

    /// What arrived, for people.
    #[must_use]
    pub fn describe(&self, arrival: &Arrival) -> String {
        let some = |there: bool| {
            let items = self.cache.iter().zip(&arrival.items);
            let names: Vec<String> = items
                .filter(|(_, arrived)| **arrived == there)
                .map(|(item, _)| item.change.name())
                .collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let lens = arrival.lens.iter().map(|(file, len)| {
            let (had, has) = (self.durable_len(*file), self.lens[file]);
            format!("#{file} has {len} bytes of {had} flushed and {has} written; ")
        });
        format!(
            "{}unflushed that arrived: {}; lost: {}; mapped memory: {:?}",
            lens.collect::<String>(),
            some(true),
            some(false),
            arrival.staging
        )
    }

    fn push(&mut self, change: Change) {
        self.cache.push(Item {
            change,
            given_up: false,
        });
    }

    fn durable_len(&self, file: FileId) -> usize {
        self.durable.files.get(&file).map_or(0, Content::len)
    }

    fn write(&mut self, file: FileId, pos: usize, bytes: &[u8]) {
        let len = self.lens.get(&file).copied().unwrap_or(self.durable_len(file));
        if pos + bytes.len() > len {
            self.lens.insert(file, pos + bytes.len());
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = pos + done;
            let len = (SECTOR - at % SECTOR).min(bytes.len() - done);
            let part = &bytes[done..done + len];
            // A sector that gets the bytes it has is no choice.
            let durable = self.durable.files.get(&file);
            let same = durable.is_some_and(|d| d.len() >= at + len && d.part(at, len) == part);
            if !same
                || self
                    .cache
                    .iter()
                    .any(|item| item.change.touches(file, at, at + len))
            {
                self.push(Change::Data {
                    file,
                    pos: at,
                    bytes: part.to_vec(),
                });
            }
            done += len;
        }
    }

    fn set_len(&mut self, file: FileId, len: usize) {
        let had = self.lens.get(&file).copied().unwrap_or(self.durable_len(file));
        self.lens.insert(file, len);
        if len < had {
            self.push(Change::Cut { file, len });
        }
    }

    /// Flushes what no failed flush has given up, and the length.
    fn sync(&mut self, file: FileId) {
        self.flush(|change| change.file() == Some(file));
        if let Some(len) = self.lens.remove(&file) {
            self.durable.files.entry(file).or_default().set_len(len);
        }
    }

    fn flush(&mut self, of: impl Fn(&Change) -> bool) {
        let cache = std::mem::take(&mut self.cache);
        let (flushed, rest): (Vec<_>, Vec<_>) = cache
            .into_iter()
            .partition(|item| !item.given_up && of(&item.change));
        flushed
            .iter()
            .for_each(|item| item.change.apply(&mut self.durable));
        // What was done again since is not in doubt any more.
        let again = |old: &Item| flushed.iter().any(|new| new.change.covers(&old.change));
        self.cache = rest;
        self.cache.retain(|item| !item.given_up || !again(item));
    }

    fn give_up(&mut self, of: impl Fn(&Change) -> bool) {
        let items = self.cache.iter_mut();
        items
            .filter(|item| of(&item.change))
            .for_each(|item| item.given_up = true);
    }

    /// Every length that a file can have; between two things in the cache, all are alike.
    fn lengths(&self, file: FileId) -> Vec<usize> {
        let (from, to) = (self.durable_len(file), self.lens[&file]);
        let ends = self.cache.iter().filter_map(|item| item.change.end(file));
        let between = ends.filter(|end| (from..to).contains(end));
        let ends = if from > to { vec![to] } else { vec![from, to] };
        let mut lengths: Vec<usize> = ends.into_iter().chain(between).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    fn staging(&self, staged: Staged) -> BTreeMap<PathBuf, Vec<u8>> {
        let left = self.staged.iter().filter_map(|(path, states)| {
            let bytes = match staged {
                Staged::Nothing => return None,
                Staged::Back(back) => states.get(states.len().saturating_sub(1 + back))?.clone(),
                Staged::Mixed(seed) => mixed(states, seed),
            };
            Some((path.clone(), bytes))
        });
        left.collect()
    }
}

impl Staged {
    fn any(random: &mut dyn FnMut() -> u64) -> Staged {
        match below(random, 8) {
            0 => Staged::Nothing,
            n @ 1..=5 => Staged::Back((n - 1) % STAGED),
            _ => Staged::Mixed(random()),
        }
    }
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Change::Data { file, pos, bytes } => image.files.entry(*file).or_default().write(*pos, bytes),
            Change::Cut { file, len } => image.files.entry(*file).or_default().set_len(*len),
            Change::Enter { path, file } => {
                image.names.insert(path.clone(), *file);
                if let Some(file) = file {
                    image.files.entry(*file).or_default();
                }
            }
            Change::Rename { from, to, file } => {
                if image.names.get(from) == Some(&Some(*file)) {
                    image.names.remove(from);
                }
                image.names.insert(to.clone(), Some(*file));
            }
            Change::Remove { path, file } => {
                if image.names.get(path) == Some(&Some(*file)) {
                    image.names.remove(path);
                }
            }
        }
    }

    fn file(&self) -> Option<FileId> {
        match self {
            Change::Data { file, .. } | Change::Cut { file, .. } => Some(*file),
            _ => None,
        }
    }

    fn dir(&self) -> Option<&Path> {
        match self {
            Change::Enter { path, .. } | Change::Remove { path, .. } => Some(parent(path)),
            Change::Rename { to, .. } => Some(parent(to)),
            _ => None,
        }
    }

    fn end(&self, of: FileId) -> Option<usize> {
        match self {
            Change::Data { file, pos, bytes } if *file == of => Some(pos + bytes.len()),
            _ => None,
        }
    }

    fn touches(&self, of: FileId, start: usize, end: usize) -> bool {
        match self {
            Change::Data { file, pos, bytes } => *file == of && *pos < end && start < pos + bytes.len(),
            Change::Cut { file, .. } => *file == of,
            _ => false,
        }
    }

    fn is_behind(&self, lens: &BTreeMap<FileId, usize>) -> bool {
        match self {
            Change::Data { file, pos, .. } => lens.get(file).is_some_and(|len| pos >= len),
            _ => false,
        }
    }

    fn covers(&self, old: &Change) -> bool {
        match (self, old) {
            (
                Change::Data { file, pos, bytes },
                Change::Data {
                    file: of,
                    pos: at,
                    bytes: what,
                },
            ) => file == of && pos <= at && at + what.len() <= pos + bytes.len(),
            (Change::Cut { file, len }, Change::Data { file: of, pos, .. }) => file == of && len <= pos,
            _ => false,
        }
    }

    fn name(&self) -> String {
        match self {
            Change::Data { file, pos, bytes } => format!("#{file} {pos}..{}", pos + bytes.len()),
            Change::Cut { file, len } => format!("#{file} cut to {len}"),
            Change::Enter { path, .. } => format!("+{}", path.display()),
            Change::Rename { from, to, .. } => format!("{} to {}", from.display(), to.display()),
            Change::Remove { path, .. } => format!("-{}", path.display()),
        }
    }
}

/// Some pages of each of the states that memory had.
fn mixed(states: &VecDeque<Vec<u8>>, seed: u64) -> Vec<u8> {
    let mut bytes = states.back().cloned().unwrap_or_default();
    for (page, part) in bytes.chunks_mut(4096).enumerate() {
        let state = &states[mix(seed, page as u64) as usize % states.len()];
        let there = state.get(page * 4096..).unwrap_or_default();
        let len = part.len().min(there.len());
        part[..len].copy_from_slice(&there[..len]);
    }
    bytes
}

fn below(random: &mut dyn FnMut() -> u64, limit: usize) -> usize {
    (random() % limit.max(1) as u64) as usize
}
