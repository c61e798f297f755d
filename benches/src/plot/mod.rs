//! The figures of a run as one drawing: bars for each workload, latencies by percentile, cost against the size of the log.

mod bars;
mod curves;
mod layout;

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::contender::{BASE, LIMIT};
use crate::latency::Latencies;
use crate::line::Line;

use bars::Bars;
use curves::{Cost, Percentiles};
use layout::Columns;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const OURS: &str = "ours";
const FONT: &str = "sans-serif";

/// The latencies of one contender in one workload.
pub(crate) struct Curve {
    pub(crate) workload: &'static str,
    pub(crate) contender: &'static str,
    pub(crate) latencies: Latencies,
}

/// Something that is drawn into a part of the page.
trait Panel {
    fn height(&self) -> u32;
    fn draw(&self, area: &Area, colours: &Colours) -> Result<()>;
}

/// Draws everything that was measured into an SVG file.
pub(crate) fn draw(path: &Path, lines: &[Line], curves: &[Curve]) -> Result<()> {
    let colours = Colours::of(lines);
    let mut panels: Vec<Box<dyn Panel>> = Vec::new();
    for lines in by_workload(lines) {
        panels.push(Box::new(Bars::of(lines)));
    }
    for curves in curves.chunk_by(|a, b| a.workload == b.workload) {
        panels.push(Box::new(Percentiles::of(curves)));
    }
    for cost in Cost::all(lines) {
        panels.push(Box::new(cost));
    }
    let heights: Vec<u32> = panels.iter().map(|panel| panel.height()).collect();
    let columns = Columns::of(&heights);
    let root = SVGBackend::new(path, columns.size()).into_drawing_area();
    root.fill(&WHITE)?;
    for (panel, place) in panels.iter().zip(columns.places()) {
        let area = root
            .clone()
            .shrink((place.x, place.y), (place.width, place.height));
        panel.draw(&area, &colours)?;
    }
    root.present()?;
    Ok(())
}

/// The lines of each workload; the probe of the disk is none.
fn by_workload(lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    lines
        .chunk_by(|a, b| a.workload == b.workload)
        .filter(|lines| lines.iter().all(|line| line.dir.is_none()))
}

/// A contender has one colour everywhere.
struct Colours(Vec<(String, RGBColor)>);

impl Colours {
    fn of(lines: &[Line]) -> Colours {
        let mut peers = PEERS.iter().cycle();
        let mut colours: Vec<(String, RGBColor)> = Vec::new();
        for Line { contender, .. } in lines {
            if colours.iter().all(|(name, _)| name != contender) {
                let colour = match contender.as_str() {
                    OURS => RGBColor(214, 39, 40),
                    BASE => RGBColor(31, 78, 140),
                    LIMIT => RGBColor(120, 120, 120),
                    _ => *peers.next().unwrap_or(&BLACK),
                };
                colours.push((contender.clone(), colour));
            }
        }
        Colours(colours)
    }

    fn get(&self, contender: &str) -> RGBColor {
        let found = self.0.iter().find(|(name, _)| name == contender);
        found.map_or(BLACK, |&(_, colour)| colour)
    }
}

/// Told apart beside one another and on white.
const PEERS: [RGBColor; 11] = [
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(23, 190, 207),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(188, 189, 34),
    RGBColor(0, 110, 100),
    RGBColor(90, 60, 10),
    RGBColor(100, 149, 237),
    RGBColor(250, 170, 120),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::table::tests::{lines, outcome};

    #[test]
    fn every_contender_and_figure_is_in_the_drawing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plot.svg");
        let lines = lines(&[
            outcome(OURS, 50.0),
            outcome("peer", 12345.0),
            outcome(LIMIT, 25.0),
        ]);
        let mut latencies = Latencies::new();
        (1..=2000).for_each(|us| latencies.record(Duration::from_micros(us)));
        let curve = Curve {
            workload: "append-latency",
            contender: OURS,
            latencies,
        };
        draw(&path, &lines, &[curve]).unwrap();
        let svg = fs::read_to_string(path).unwrap();
        for text in ["ours", "peer", "12345", "limit", "append-64-1t", "append-latency"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn contenders_have_different_colours() {
        let outcomes = ["a", OURS, "b", BASE, LIMIT, "c"].map(|name| outcome(name, 1.0));
        let colours = Colours::of(&lines(&outcomes));
        for (index, (_, colour)) in colours.0.iter().enumerate() {
            assert!(colours.0[..index].iter().all(|(_, other)| other != colour));
        }
        assert_eq!(colours.0.len(), 6);
    }
}
