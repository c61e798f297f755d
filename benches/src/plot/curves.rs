//! Lines: latencies by percentile, and cost against the size of the log.

use anyhow::Result;
use plotters::prelude::*;

use super::{Area, Colours, Curve, FONT, Panel};
use crate::line::Line;
use crate::table::number;

/// Of the chart alone.
const HEIGHT: u32 = 340;
const TITLE_HEIGHT: i32 = 24;
const LEGEND_COLUMNS: i32 = 4;
const LEGEND_WIDTH: i32 = 138;
const LEGEND_HEIGHT: i32 = 18;

const NINES: f64 = 5.0;
const STEPS: u32 = 200;

/// One line of a chart.
struct Series {
    contender: String,
    points: Vec<(f64, f64)>,
}

/// The latencies of one workload. To the right by one is ten times as rare.
pub(super) struct Percentiles {
    title: String,
    series: Vec<Series>,
}

impl Percentiles {
    pub(super) fn of(curves: &[Curve]) -> Percentiles {
        let series = |curve: &Curve| {
            // No further than there are samples.
            let samples = curve.latencies.percentiles().samples as f64;
            let last = samples.log10().min(NINES);
            let point = |step| {
                let nines = last * f64::from(step) / f64::from(STEPS);
                let quantile = 1.0 - 10_f64.powf(-nines);
                (nines, curve.latencies.at(quantile).max(1) as f64 / 1e3)
            };
            Series {
                contender: curve.contender.into(),
                points: (0..=STEPS).map(point).collect(),
            }
        };
        let workload = curves.first().map_or("", |curve| curve.workload);
        Percentiles {
            title: format!("{workload}: latency [us, log scale] by percentile"),
            series: curves.iter().map(series).collect(),
        }
    }
}

impl Panel for Percentiles {
    fn height(&self) -> u32 {
        HEIGHT + head_height(&self.series) as u32
    }

    fn draw(&self, area: &Area, colours: &Colours) -> Result<()> {
        let percent = |nines: &f64| match nines.round() as u32 {
            0 => "0 %".to_string(),
            1 => "90 %".into(),
            2 => "99 %".into(),
            more => format!("99.{} %", "9".repeat(more as usize - 2)),
        };
        let (low, high) = bounds(&self.series);
        let mut chart = ChartBuilder::on(&head(area, &self.title, &self.series, colours)?)
            .margin_top(6)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..NINES, (low..high).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(NINES as usize + 1)
            .x_label_formatter(&percent)
            .y_label_formatter(&|figure| number(*figure))
            .label_style((FONT, 12))
            .light_line_style(WHITE)
            .draw()?;
        for series in &self.series {
            let colour = colours.get(&series.contender);
            chart.draw_series(LineSeries::new(
                series.points.iter().copied(),
                colour.stroke_width(2),
            ))?;
        }
        Ok(())
    }
}

/// What it costs to open or replay logs of several sizes.
pub(super) struct Cost {
    title: String,
    series: Vec<Series>,
}

impl Cost {
    /// One for every job that was measured at two sizes at least, by the names of the workloads: `open-clean-8g`.
    pub(super) fn all(lines: &[Line]) -> Vec<Cost> {
        let mut costs: Vec<Cost> = Vec::new();
        for line in lines {
            let Some((job, size)) = line.workload.rsplit_once('-') else {
                continue;
            };
            if !matches!(size.as_bytes(), [b'0'..=b'9', .., b'm' | b'g']) {
                continue;
            }
            let title = format!("{job}: cost [{}, log scale] by size of the log", line.unit);
            let mib = (line.count * line.bytes as u64) as f64 / f64::from(1 << 20);
            let doublings = mib.log2();
            let cost = entry(
                &mut costs,
                |cost| cost.title == title,
                || Cost {
                    title: title.clone(),
                    series: Vec::new(),
                },
            );
            let series = entry(
                &mut cost.series,
                |series| series.contender == line.contender,
                || Series {
                    contender: line.contender.clone(),
                    points: Vec::new(),
                },
            );
            series.points.push((doublings, line.median.max(1e-3)));
        }
        costs.retain(|cost| cost.series.iter().any(|series| series.points.len() > 1));
        costs
    }
}

/// The one that `is` it, made if there is none.
fn entry<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let index = all.iter().position(is).unwrap_or_else(|| {
        all.push(make());
        all.len() - 1
    });
    &mut all[index]
}

impl Panel for Cost {
    fn height(&self) -> u32 {
        HEIGHT + head_height(&self.series) as u32
    }

    fn draw(&self, area: &Area, colours: &Colours) -> Result<()> {
        let sizes = || {
            self.series
                .iter()
                .flat_map(|series| &series.points)
                .map(|point| point.0)
        };
        let left = sizes().fold(f64::MAX, f64::min).floor();
        let right = sizes().fold(f64::MIN, f64::max).ceil();
        let (low, high) = bounds(&self.series);
        let mut chart = ChartBuilder::on(&head(area, &self.title, &self.series, colours)?)
            .margin_top(6)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(left..right, (low..high).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(8)
            .x_label_formatter(&|doublings| size(*doublings))
            .y_label_formatter(&|figure| number(*figure))
            .label_style((FONT, 12))
            .light_line_style(WHITE)
            .draw()?;
        for series in &self.series {
            let colour = colours.get(&series.contender);
            let points = || series.points.iter().copied();
            chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)).point_size(4))?;
        }
        Ok(())
    }
}

/// Draws the title and, below it, which colour is whose; returns the rest of `area`, for the chart.
fn head<'a>(area: &Area<'a>, title: &str, series: &[Series], colours: &Colours) -> Result<Area<'a>> {
    let bold = (FONT, 15, FontStyle::Bold).into_text_style(area);
    area.draw(&Text::new(title.to_string(), (0, 2), bold))?;
    for (index, series) in (0..).zip(series) {
        let (x, y) = (
            index % LEGEND_COLUMNS * LEGEND_WIDTH,
            TITLE_HEIGHT + index / LEGEND_COLUMNS * LEGEND_HEIGHT,
        );
        let colour = colours.get(&series.contender);
        area.draw(&Rectangle::new([(x, y + 2), (x + 14, y + 12)], colour.filled()))?;
        let text = (FONT, 13).into_text_style(area);
        area.draw(&Text::new(series.contender.clone(), (x + 20, y), text))?;
    }
    let (_, chart) = area.split_vertically(head_height(series));
    Ok(chart)
}

fn head_height(series: &[Series]) -> i32 {
    let rows = (series.len() as i32 + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    TITLE_HEIGHT + rows * LEGEND_HEIGHT + 6
}

/// A whole number of MiB or GiB, which are the doublings of one MiB.
fn size(doublings: f64) -> String {
    match doublings.exp2() {
        gib @ 1024.0.. => format!("{:.0} GiB", gib / 1024.0),
        mib => format!("{mib:.0} MiB"),
    }
}

/// A little beyond the least and the greatest.
fn bounds(series: &[Series]) -> (f64, f64) {
    let figures = series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point.1);
    let (least, greatest) = figures.fold((f64::MAX, f64::MIN_POSITIVE), |(least, greatest), figure| {
        (least.min(figure), greatest.max(figure))
    });
    (least.min(greatest) / 1.3, greatest * 1.3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{lines, outcome};

    #[test]
    fn sizes_are_told_in_their_unit() {
        assert_eq!(
            [3.0, 6.0, 10.0, 13.0].map(size),
            ["8 MiB", "64 MiB", "1 GiB", "8 GiB"]
        );
    }

    #[test]
    fn cost_is_drawn_where_two_sizes_were_measured() {
        let mut lines = lines(&[
            outcome("ours", 50.0),
            outcome("ours", 60.0),
            outcome("ours", 70.0),
        ]);
        let names = ["open-clean-64m", "open-clean-8g", "replay-4096-1g"];
        for (line, name) in lines.iter_mut().zip(names) {
            line.workload = name.into();
        }
        lines[1].count *= 100;
        let costs = Cost::all(&lines);
        assert_eq!(costs.len(), 1);
        assert!(costs[0].title.starts_with("open-clean:"), "{}", costs[0].title);
        assert_eq!(costs[0].series[0].points.len(), 2);
    }
}
