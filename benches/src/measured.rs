//! What one run found, and what became of a contender over all rounds.

use std::time::Duration;

use anyhow::Result;

use crate::latency::Latencies;
use crate::stats::Summary;

/// What an extra job found.
pub(crate) struct Measured {
    pub(crate) value: Value,
    /// Beside the figure itself.
    pub(crate) facts: Vec<Fact>,
}

pub(crate) enum Value {
    /// The time of all records of the load.
    Time(Duration),
    /// A figure in the job's unit.
    Figure(f64),
}

/// A further figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

impl Fact {
    pub(crate) fn new(name: &'static str, value: f64, unit: &'static str) -> Fact {
        Fact { name, unit, value }
    }
}

impl Measured {
    pub(crate) fn time(elapsed: Duration) -> Measured {
        Measured {
            value: Value::Time(elapsed),
            facts: Vec::new(),
        }
    }

    pub(crate) fn figure(figure: f64) -> Measured {
        Measured {
            value: Value::Figure(figure),
            facts: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, fact: Fact) -> Measured {
        self.facts.push(fact);
        self
    }
}

/// What became of one contender in one workload.
pub(crate) struct Outcome {
    pub(crate) contender: &'static str,
    pub(crate) note: Option<&'static str>,
    /// A failed run or check has no figure.
    pub(crate) result: Result<Findings>,
}

/// All rounds of a contender that failed none.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) summary: Summary,
    /// Of all rounds, where they were watched.
    pub(crate) latencies: Option<Latencies>,
    /// Medians over the rounds.
    pub(crate) facts: Vec<Fact>,
}

/// The median of each fact over all rounds.
pub(crate) fn median_facts(rounds: &[Vec<Fact>]) -> Vec<Fact> {
    let Some(first) = rounds.first() else {
        return Vec::new();
    };
    let median = |fact: &Fact| {
        let same = rounds.iter().flatten().filter(|other| other.name == fact.name);
        let values: Vec<f64> = same.map(|fact| fact.value).collect();
        let value = Summary::of(&values).map_or(fact.value, |summary| summary.median);
        Fact { value, ..*fact }
    };
    first.iter().map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_medians_each_of_its_own_name() {
        let round = |a: f64, b: f64| vec![Fact::new("a", a, "x"), Fact::new("b", b, "y")];
        let rounds = [round(1.0, 50.0), round(9.0, 10.0), round(2.0, 30.0)];
        assert_eq!(median_facts(&rounds), round(2.0, 30.0));
        assert_eq!(median_facts(&[]), []);
    }
}
