//! A run that uses everything a log can do and stops at the first error, with what may be in the log then.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wal_db::{Lsn, Result, Wal, WalError};

use crate::{Entry, disk::is_poisoned, payload};

/// What the log may hold.
#[derive(Debug, Clone)]
pub struct Outcomes(Vec<Outcome>);

/// What was acknowledged, and that with what may be there beyond.
#[derive(Debug, Clone)]
struct Outcome {
    acked: Vec<Entry>,
    /// With what an append has returned: it survives the process.
    returned: Vec<Entry>,
    possible: Vec<Entry>,
}

/// The LSN of a record that may be there.
const ANYWHERE: Lsn = Lsn::new(u64::MAX);

impl Outcomes {
    /// Whether a log that holds this has kept its promises.
    #[must_use]
    pub fn fit(&self, found: &[Entry]) -> bool {
        self.fit_with(found, |outcome| &outcome.acked)
    }

    /// Whether a log that holds this has kept its promises, if no more than its process is gone.
    #[must_use]
    pub fn fit_after_death(&self, found: &[Entry]) -> bool {
        self.fit_with(found, |outcome| &outcome.returned)
    }

    fn fit_with(&self, found: &[Entry], least: impl Fn(&Outcome) -> &[Entry]) -> bool {
        let same = |(found, possible): (&Entry, &Entry)| {
            found.1 == possible.1 && (found.0 == possible.0 || possible.0 == ANYWHERE)
        };
        self.0.iter().any(|outcome| {
            let possible = &outcome.possible;
            let is_prefix = found.len() <= possible.len() && found.iter().zip(possible).all(same);
            found.starts_with(least(outcome)) && is_prefix
        })
    }

    fn hear_of(&mut self, records: &[Entry]) {
        self.0[0].returned = records.to_vec();
        self.0[0].possible = records.to_vec();
    }

    fn set(&mut self, acked: &[Entry]) {
        self.0.clear();
        self.or(acked);
    }

    fn or(&mut self, acked: &[Entry]) {
        self.0.push(Outcome {
            acked: acked.to_vec(),
            returned: acked.to_vec(),
            possible: acked.to_vec(),
        });
    }

    /// While the call runs, and if it panics or says `InDoubt`, the records may be there, at places that nobody knows.
    fn in_doubt<T>(
        &mut self,
        possible: &[Entry],
        records: &[Vec<u8>],
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let known = self.0[0].possible.clone();
        let unknown = records.iter().map(|data| Entry(ANYWHERE, data.clone()));
        self.0[0].possible = possible.iter().cloned().chain(unknown).collect();
        let result = call();
        if matches!(&result, Err(error) if !matches!(error, WalError::InDoubt { .. })) {
            self.0[0].possible = known;
        }
        result
    }
}

/// Uses a log until something fails. When it has failed for good, nothing more is taken or promised.
///
/// # Panics
/// If it goes on after it has failed; panics of the store, which say so, are passed over.
pub fn run(open: impl Fn() -> Result<Wal>) -> Outcomes {
    run_and_then(open, |_| {})
}

/// As [`run`]; `then` looks at each log when it was used, before it is closed.
///
/// # Panics
/// As [`run`].
pub fn run_and_then(open: impl Fn() -> Result<Wal>, mut then: impl FnMut(&Wal)) -> Outcomes {
    let mut outcomes = Outcomes(Vec::new());
    outcomes.or(&[]);
    for round in 0..2 {
        // A panic in the store comes out of the call that used it.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let wal = open()?;
            let ended = catch_unwind(AssertUnwindSafe(|| use_everything(&wal, round, &mut outcomes)));
            if wal.status().failure.is_some() {
                stays_poisoned(&wal);
            }
            then(&wal);
            match ended {
                Ok(Ok(())) => wal.close(),
                Ok(error) => error,
                Err(_) => Err(WalError::Closed),
            }
        }));
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                assert!(text.contains("a panic on command"), "{text}");
                break;
            }
        }
    }
    outcomes
}

fn stays_poisoned(wal: &Wal) {
    let cause = wal.status().failure;
    assert!(
        is_poisoned(&wal.append(b"after the failure")),
        "append after {cause:?}"
    );
    assert!(is_poisoned(&wal.sync()), "sync after {cause:?}");
}

fn use_everything(wal: &Wal, round: usize, outcomes: &mut Outcomes) -> Result<()> {
    let mut possible = all_or_error(wal)?;
    assert!(outcomes.fit(&possible), "a second opening reads something else");
    outcomes.set(&possible);
    for round in round * 3..round * 3 + 3 {
        for (seed, len) in [(1, 10), (2, 3000), (3, 70_000), (4, 0)] {
            let data = payload(round * 10 + seed, len);
            let mut append =
                || outcomes.in_doubt(&possible, std::slice::from_ref(&data), || wal.append(&data));
            let lsn = match append() {
                // Nothing was taken; the next one may find space.
                Err(WalError::Full { .. }) => append()?,
                other => other?,
            };
            possible.push(Entry(lsn, data));
            outcomes.hear_of(&possible);
        }
        wal.sync()?;
        outcomes.set(&possible);
        let batch = [payload(60, 20), payload(61, 30)];
        let lsns = outcomes.in_doubt(&possible, &batch, || wal.append_batch(&batch))?;
        possible.extend(lsns.into_iter().zip(batch).map(|(lsn, data)| Entry(lsn, data)));
        outcomes.hear_of(&possible);
        // Cut back to the record before the last two, or do not.
        let at = possible.len() - 3;
        let cut = possible[..=at].to_vec();
        outcomes.or(&cut);
        wal.truncate_after(possible[at].0)?;
        possible = cut;
        outcomes.set(&possible);
        // Drop the first record, or do not.
        let rest = possible[1..].to_vec();
        outcomes.or(&rest);
        wal.truncate_before(possible[1].0)?;
        possible = rest;
        outcomes.set(&possible);
    }
    Ok(())
}

fn all_or_error(wal: &Wal) -> Result<Vec<Entry>> {
    let entry = |record: Result<wal_db::Record>| record.map(|r| Entry(r.lsn(), r.into_data()));
    wal.iter()?.map(entry).collect()
}
