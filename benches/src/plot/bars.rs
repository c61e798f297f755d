//! One workload: a bar for each contender, with its name before and its figure after.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Colours, FONT, OURS, Panel};
use crate::line::Line;
use crate::table::number;
use crate::workload::WORKLOADS;

const TITLE_HEIGHT: i32 = 26;
const BAR_HEIGHT: i32 = 14;
const ROW_HEIGHT: i32 = 19;
const NAME_WIDTH: i32 = 120;
const FIGURE_WIDTH: i32 = 84;

/// From this ratio of the longest bar to the shortest on, lengths are logarithms.
const LOG_FROM: f64 = 25.0;

pub(crate) struct Bars {
    title: String,
    rows: Vec<Row>,
    scale: Scale,
}

struct Row {
    contender: String,
    figure: f64,
}

/// From a figure to a part of the longest bar.
#[derive(Debug, PartialEq)]
enum Scale {
    Linear { longest: f64 },
    Log { from: f64, longest: f64 },
}

impl Bars {
    pub(super) fn of(lines: &[Line]) -> Bars {
        let row = |line: &Line| Row {
            contender: line.contender.clone(),
            figure: line.median,
        };
        let rows: Vec<Row> = lines.iter().map(row).collect();
        let figures: Vec<f64> = rows.iter().map(|row| row.figure).collect();
        let scale = Scale::of(&figures);
        let title = lines.first().map_or(String::new(), |line| {
            let log = if matches!(scale, Scale::Log { .. }) {
                ", log scale"
            } else {
                ""
            };
            let workload = WORKLOADS.iter().find(|workload| workload.name == line.workload);
            let better = match workload {
                Some(workload) if workload.job.unit().more_is_better() => "more is better",
                _ => "less is better",
            };
            format!("{}  [{}, {better}{log}]", line.workload, line.unit)
        });
        Bars { title, rows, scale }
    }
}

impl Scale {
    fn of(figures: &[f64]) -> Scale {
        let positive = figures.iter().copied().filter(|&figure| figure > 0.0);
        let (least, longest) = positive.fold((f64::MAX, 0.0_f64), |(least, longest), figure| {
            (least.min(figure), longest.max(figure))
        });
        if longest / least > LOG_FROM {
            // The shortest bar is still one.
            let from = 10_f64.powf(least.log10().floor() - 0.3);
            Scale::Log { from, longest }
        } else {
            Scale::Linear { longest }
        }
    }

    fn part(&self, figure: f64) -> f64 {
        let part = match *self {
            Scale::Linear { longest } => figure / longest,
            Scale::Log { from, longest } => (figure / from).ln() / (longest / from).ln(),
        };
        if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

impl Panel for Bars {
    fn height(&self) -> u32 {
        (TITLE_HEIGHT + ROW_HEIGHT * self.rows.len() as i32) as u32
    }

    fn draw(&self, area: &Area, colours: &Colours) -> Result<()> {
        let text = |size: i32, anchor: HPos| {
            (FONT, size)
                .into_text_style(area)
                .pos(Pos::new(anchor, VPos::Center))
        };
        let bold = (FONT, 15, FontStyle::Bold).into_text_style(area);
        area.draw(&Text::new(self.title.clone(), (0, 2), bold))?;
        let room = area.dim_in_pixel().0 as i32 - NAME_WIDTH - FIGURE_WIDTH;
        for (index, Row { contender, figure }) in (0..).zip(&self.rows) {
            let top = TITLE_HEIGHT + index * ROW_HEIGHT;
            let middle = top + BAR_HEIGHT / 2;
            let end = NAME_WIDTH + (self.scale.part(*figure) * f64::from(room)).round().max(1.0) as i32;
            let colour = colours.get(contender);
            let size = if contender == OURS { 14 } else { 13 };
            area.draw(&Text::new(
                contender.clone(),
                (NAME_WIDTH - 6, middle),
                text(size, HPos::Right),
            ))?;
            area.draw(&Rectangle::new(
                [(NAME_WIDTH, top), (end, top + BAR_HEIGHT)],
                colour.filled(),
            ))?;
            area.draw(&Text::new(
                number(*figure),
                (end + 5, middle),
                text(13, HPos::Left),
            ))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_far_apart_are_drawn_as_logarithms() {
        assert_eq!(Scale::of(&[10.0, 100.0]), Scale::Linear { longest: 100.0 });
        let far = Scale::of(&[2.0, 90.0, 20_000.0]);
        let [short, middle, long] = [2.0, 90.0, 20_000.0].map(|figure| far.part(figure));
        assert!(matches!(far, Scale::Log { .. }));
        assert!(0.0 < short && short < middle && middle < long && long == 1.0);
    }

    #[test]
    fn a_figure_of_nothing_has_no_bar() {
        assert_eq!(Scale::of(&[0.0]).part(0.0), 0.0);
        assert_eq!(Scale::of(&[0.0, 5.0]).part(0.0), 0.0);
        assert_eq!(Scale::of(&[]).part(1.0), 0.0);
    }
}
