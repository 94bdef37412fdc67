//! The search for one of a few texts in every frame of a batch.
//!
//! Frames are short, so that what a search does before its first comparison counts as much as the
//! search: `memmem` takes 7 ns for the 150 bytes of three messages. With AVX2 two bytes of the text
//! are compared at 64 places at once, and the text where both are found.

#![allow(unsafe_code)] // Vector loads, and calls of functions with target features.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::fmt;

use memchr::memmem::Finder;
use tickwire_frame::{Batch, Mask};

/// No message begins earlier: an IPv4 and a UDP header are in front of it.
const HEADERS_BYTES: usize = 28;
/// How many places are looked at together.
#[cfg(target_arch = "x86_64")]
const PLACES: usize = 64;

/// Ready to search.
#[derive(Debug)]
pub(crate) struct Search {
    texts: Vec<Text>,
    #[cfg(target_arch = "x86_64")]
    has_avx2: bool,
}

/// What is searched for.
#[derive(Debug)]
struct Text {
    finder: Finder<'static>,
    /// The place of its last byte that is no padding, which is compared beside the first.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    last: usize,
}

impl Text {
    fn new(text: &[u8]) -> Text {
        let last = text.iter().rposition(|byte| *byte != b' ').unwrap_or_default();
        // One byte alone would be found everywhere.
        Text { finder: Finder::new(text).into_owned(), last: last.max(1).min(text.len() - 1) }
    }
}

impl Search {
    /// For one of `needles`; none when there is none.
    pub fn new(needles: &[Vec<u8>]) -> Option<Search> {
        let texts: Vec<Text> = needles.iter().map(|needle| Text::new(needle)).collect();
        (!texts.is_empty()).then(|| Search {
            texts,
            #[cfg(target_arch = "x86_64")]
            has_avx2: is_x86_feature_detected!("avx2"),
        })
    }

    /// Those of `frames` that contain one of the texts behind their headers.
    pub fn select(&self, batch: &Batch<'_>, frames: Mask) -> Mask {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            // SAFETY: the machine has AVX2.
            return unsafe { select_avx2(&self.texts, batch.bytes(), frames) };
        }
        select_plain(&self.texts, batch.bytes(), frames)
    }
}

fn select_plain(texts: &[Text], bytes: &[&[u8]], frames: Mask) -> Mask {
    let mut found = Mask::EMPTY;
    for index in frames {
        let behind = bytes[index].get(HEADERS_BYTES..).unwrap_or_default();
        found.set_if(index, texts.iter().any(|text| text.finder.find(behind).is_some()));
    }
    found
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn select_avx2(texts: &[Text], bytes: &[&[u8]], frames: Mask) -> Mask {
    let mut found = Mask::EMPTY;
    for text in texts {
        for index in frames.without(found) {
            found.set_if(index, contains_avx2(bytes[index], text));
        }
    }
    found
}

/// Whether the text is in `bytes`, somewhere behind the headers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn contains_avx2(bytes: &[u8], Text { finder, last }: &Text) -> bool {
    let text = finder.needle();
    // The last place from which all loads lie in the frame.
    let Some(end) = bytes.len().checked_sub(PLACES + last) else {
        return bytes.get(HEADERS_BYTES..).is_some_and(|behind| finder.find(behind).is_some());
    };
    let ends = (_mm256_set1_epi8(text[0] as i8), _mm256_set1_epi8(text[*last] as i8));
    let mut place = HEADERS_BYTES;
    loop {
        let from = place.min(end);
        // SAFETY: the loads end at or before `end + last + PLACES`, the length.
        let (low, high) = unsafe {
            let first = bytes.as_ptr().add(from);
            (places256(first, *last, ends), places256(first.add(PLACES / 2), *last, ends))
        };
        let any = _mm256_or_si256(low, high);
        if _mm256_testz_si256(any, any) == 0 {
            let (low, high) = (_mm256_movemask_epi8(low) as u32, _mm256_movemask_epi8(high) as u32);
            if is_at_one_of(text, &bytes[from..], Mask(u64::from(high) << 32 | u64::from(low))) {
                return true;
            }
        }
        if place >= end {
            return false;
        }
        place += PLACES;
    }
}

/// Whether the text is at one of these places. Far from the loop, which keeps its registers so.
#[cfg(target_arch = "x86_64")]
#[cold]
#[inline(never)]
fn is_at_one_of(text: &[u8], bytes: &[u8], places: Mask) -> bool {
    places.into_iter().any(|place| bytes[place..].starts_with(text))
}

/// Those of 32 places at which the first byte of the text is, and its last one so many bytes later.
///
/// # Safety
/// So many bytes and 32 more must be there.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn places256(from: *const u8, last: usize, ends: (__m256i, __m256i)) -> __m256i {
    // SAFETY: says the caller; the loads may be unaligned.
    let (first, last) =
        unsafe { (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(last).cast())) };
    _mm256_and_si256(_mm256_cmpeq_epi8(first, ends.0), _mm256_cmpeq_epi8(last, ends.1))
}

/// What `explain` prints: `search ("AAPL    ")`.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Text| format!("\"{}\"", text.finder.needle().escape_ascii());
        let texts: Vec<String> = self.texts.iter().map(shown).collect();
        write!(f, "search ({})", texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Random;
    use tickwire_frame::{Frame, Timestamp};

    /// Every place, frames of every length, and bytes that are nearly the text.
    #[test]
    fn a_text_is_found_wherever_it_is_behind_the_headers() {
        let mut random = Random::new(61);
        let texts: [&[u8]; 4] = [b"AAPL    ", b"A       ", b"NITE", b"        "];
        for len in 0..300usize {
            let text = texts[random.below(texts.len())];
            let search = Search::new(&[text.to_vec()]).unwrap();
            let mut bytes: Vec<u8> = (0..len).map(|_| b"AL  \0"[random.below(5)]).collect();
            for at in (0..=len.saturating_sub(text.len())).step_by(1 + random.below(9)) {
                let before = bytes.clone();
                if bytes.len() >= text.len() && random.one_in(2) {
                    bytes[at..at + text.len()].copy_from_slice(text);
                }
                let behind = bytes.get(HEADERS_BYTES..).unwrap_or_default();
                let expected = behind.windows(text.len()).any(|window| window == text);
                let mut batch = Batch::new();
                batch.push(Frame::new(&bytes, Timestamp::ZERO));
                let found = search.select(&batch, batch.all()).contains(0);
                // More than what lies behind the headers may be looked at.
                let anywhere = bytes.windows(text.len()).any(|window| window == text);
                assert!(found == expected || found && anywhere, "{len} {at} {bytes:02x?}");
                let plain = select_plain(&search.texts, batch.bytes(), batch.all());
                assert_eq!(plain.contains(0), expected, "{len} {at} {bytes:02x?}");
                bytes = before;
            }
        }
    }

    #[test]
    fn any_of_the_texts_will_do() {
        let search = Search::new(&[b"AAPL    ".to_vec(), b"MSFT    ".to_vec()]).unwrap();
        let frames = [&b"MSFT"[..], b"AAPL    ", b"MSFT    ", b"none"];
        let frames = frames.map(|text| [&[0; 90][..], text, &[b'x'; 20]].concat());
        let mut batch = Batch::new();
        frames.iter().for_each(|bytes| batch.push(Frame::new(bytes, Timestamp::ZERO)));
        assert_eq!(search.select(&batch, batch.all()), Mask(0b0110));
        assert_eq!(search.select(&batch, Mask(0b1011)), Mask(0b0010));
        assert_eq!(search.to_string(), r#"search ("AAPL    ", "MSFT    ")"#);
    }
}
