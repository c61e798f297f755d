//! Median, minimum and maximum of a few samples.

/// The spread of the samples of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Summary {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let upper = sorted[sorted.len() / 2];
        let lower = sorted[(sorted.len() - 1) / 2];
        Some(Summary {
            median: (lower + upper) / 2.0,
            min,
            max,
            rounds: sorted.len(),
        })
    }

    /// To a thousandth: nobody measures more.
    pub(crate) fn rounded(&self) -> Summary {
        let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
        Summary {
            median: rounded(self.median),
            min: rounded(self.min),
            max: rounded(self.max),
            rounds: self.rounds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_samples_has_a_middle_one() {
        let summary = Summary::of(&[9.0, 1.0, 100.0, 3.0, 2.0]);
        assert_eq!(
            summary,
            Some(Summary {
                median: 3.0,
                min: 1.0,
                max: 100.0,
                rounds: 5
            })
        );
    }

    #[test]
    fn an_even_number_of_samples_has_the_mean_of_the_middle_two() {
        let summary = Summary::of(&[8.0, 1.0, 100.0, 4.0]);
        assert_eq!(
            summary,
            Some(Summary {
                median: 6.0,
                min: 1.0,
                max: 100.0,
                rounds: 4
            })
        );
    }

    #[test]
    fn one_sample_is_its_own_median_and_none_has_no_summary() {
        assert_eq!(
            Summary::of(&[5.0]),
            Some(Summary {
                median: 5.0,
                min: 5.0,
                max: 5.0,
                rounds: 1
            })
        );
        assert_eq!(Summary::of(&[]), None);
    }
}
