//! Where on the page each panel stands.

const COLUMNS: usize = 3;
const COLUMN_WIDTH: u32 = 560;
const MARGIN: u32 = 16;

/// A part of the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Panels beneath one another, each in the column that is shortest so far.
pub(super) struct Columns {
    places: Vec<Place>,
    bottom: u32,
}

impl Columns {
    pub(super) fn of(heights: &[u32]) -> Columns {
        let mut bottoms = [MARGIN; COLUMNS];
        let places = heights.iter().map(|&height| {
            let (column, bottom) = (0..)
                .zip(bottoms)
                .min_by_key(|&(_, bottom)| bottom)
                .unwrap_or((0, MARGIN));
            bottoms[column] += height + MARGIN;
            Place {
                x: MARGIN + column as u32 * (COLUMN_WIDTH + MARGIN),
                y: bottom,
                width: COLUMN_WIDTH,
                height,
            }
        });
        Columns {
            places: places.collect(),
            bottom: bottoms.into_iter().max().unwrap_or(MARGIN),
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.places.iter().copied()
    }

    pub(super) fn size(&self) -> (u32, u32) {
        (MARGIN + COLUMNS as u32 * (COLUMN_WIDTH + MARGIN), self.bottom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_do_not_overlap_and_stay_on_the_page() {
        let columns = Columns::of(&[100, 300, 50, 60, 70, 500, 20]);
        let (width, height) = columns.size();
        let places: Vec<_> = columns.places().collect();
        for (index, a) in places.iter().enumerate() {
            assert!(a.x + a.width < width && a.y + a.height < height);
            for b in &places[..index] {
                let apart = a.x != b.x || a.y >= b.y + b.height || b.y >= a.y + a.height;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}
