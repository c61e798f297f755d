//! What is measured by 1, 2, 4 threads and so on.

use std::{io, thread};

use anyhow::{Context, Result};

use crate::stats::Summary;

/// 1, 2, 4 and so on below `most`, and that; it is the number of processors if it is not given.
pub(crate) fn counts(most: Option<usize>) -> io::Result<Vec<usize>> {
    let most = most.map_or_else(|| thread::available_parallelism().map(usize::from), Ok)?;
    let powers = std::iter::successors(Some(1), |threads| Some(threads * 2));
    Ok(powers
        .take_while(|&threads| threads < most)
        .chain([most])
        .collect())
}

/// The median of the samples of each count.
pub(crate) fn medians(samples: &[Vec<f64>]) -> Result<Vec<f64>> {
    let medians = samples
        .iter()
        .map(|all| Summary::of(all).map(|summary| summary.median));
    medians.collect::<Option<_>>().context("there is a round")
}
