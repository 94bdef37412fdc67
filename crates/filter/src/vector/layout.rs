//! Where the lanes of a frame come from, and where they are put.

use super::lanes::{Lane, WINDOW_BYTES_MAX};

/// Lanes of one plane: a bit each of one byte a frame.
pub(super) const PLANE_LANES: usize = 8;
/// Planes of lanes, at most: beyond it native code is faster.
pub(super) const PLANES_MAX: usize = 4;
/// Lanes, at most.
const LANES_MAX: usize = PLANES_MAX * PLANE_LANES;
/// Bytes of one row of the frame.
pub(super) const ROW_BYTES: usize = 32;
/// Rows, at most.
const ROWS_MAX: usize = 2;
/// Bytes of one load into one plane.
pub(super) const LOAD_BYTES: usize = 16;

/// How a kernel takes bytes from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loads {
    /// Sixteen bytes for every plane: its lanes must lie in them.
    Narrow,
    /// One or two rows of 32 bytes, of which every lane may have any.
    Wide,
}

/// The loads of a frame, and what is done with their lanes; lanes not in use always hold.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Layout {
    /// For both bytes of a lane which byte it is: of the plane's load, or of the rows one after
    /// the other. 0x80 is none.
    pub(super) index: [u8; 2 * LANES_MAX],
    pub(super) mask: [u16; LANES_MAX],
    pub(super) low: [u16; LANES_MAX],
    pub(super) high: [u16; LANES_MAX],
    /// Where in the frame the loads or rows begin.
    pub(super) offsets: Vec<usize>,
    pub(super) loads: Loads,
    pub(super) planes: usize,
    /// How long a frame must be, in bytes.
    pub(super) window: usize,
    /// Whether any lane is a range.
    pub(super) ranges: bool,
}

impl Layout {
    /// Places sorted `lanes`, and says where each one went: bit *n* of a plane is place *8 * plane
    /// + n*. None when they do not fit.
    pub(super) fn new(lanes: &[Lane], window: usize, loads: Loads) -> Option<(Layout, Vec<usize>)> {
        let load_bytes = if loads == Loads::Wide { ROW_BYTES } else { LOAD_BYTES };
        let mut layout = Layout {
            index: [0x80; 2 * LANES_MAX],
            mask: [0; LANES_MAX],
            low: [0; LANES_MAX],
            high: [0; LANES_MAX],
            offsets: Vec::new(),
            loads,
            planes: 0,
            window: window.max(load_bytes),
            ranges: lanes.iter().any(|lane| lane.low != lane.high),
        };
        if layout.window > WINDOW_BYTES_MAX {
            return None;
        }
        let mut places: Vec<usize> = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let place = layout.place(lane, places.last().copied())?;
            layout.planes = place / PLANE_LANES + 1;
            places.push(place);
        }
        Some((layout, places))
    }

    /// Where both rows begin: the same when one is enough.
    pub(super) fn rows(&self) -> [usize; ROWS_MAX] {
        [self.offsets[0], self.offsets[self.offsets.len() - 1]]
    }

    fn place(&mut self, lane: &Lane, before: Option<usize>) -> Option<usize> {
        let loads = self.loads;
        let (load_bytes, loads_max) = match loads {
            Loads::Narrow => (LOAD_BYTES, PLANES_MAX),
            Loads::Wide => (ROW_BYTES, ROWS_MAX),
        };
        let (first, last) = (lane.offset as usize, (lane.offset + lane.bytes) as usize - 1);
        let mut place = before.map_or(0, |before| before + 1);
        let full = loads == Loads::Narrow && place.is_multiple_of(PLANE_LANES);
        if full || self.offsets.last().is_none_or(|offset| last >= offset + load_bytes) {
            if self.offsets.len() == loads_max {
                return None;
            }
            self.offsets.push(first.min(self.window - load_bytes));
            if loads == Loads::Narrow {
                place = place.next_multiple_of(PLANE_LANES);
            }
        }
        if place >= LANES_MAX {
            return None;
        }
        let start = if loads == Loads::Wide { (self.offsets.len() - 1) * ROW_BYTES } else { 0 };
        let offset = self.offsets.last()?;
        // Lanes are little-endian: the last byte of the field comes first.
        self.index[2 * place] = (start + last - offset) as u8;
        if lane.bytes == 2 {
            self.index[2 * place + 1] = (start + first - offset) as u8;
        }
        self.mask[place] = lane.mask;
        (self.low[place], self.high[place]) = (lane.low, lane.high);
        Some(place)
    }
}
