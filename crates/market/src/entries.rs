//! The entries of a repeating group: views of one kind, one after the other, each as long as the
//! group says, which may be longer than we know them.

use crate::error::Error;
use crate::message::View;
use std::marker::PhantomData;

/// Entries, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries<'a, T> {
    rest: &'a [u8],
    size: usize,
    left: usize,
    entry: PhantomData<fn() -> T>,
}

impl<'a, T: View<'a>> Entries<'a, T> {
    /// `count` entries of `size` bytes at the start of `bytes`, and what follows them.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Length`] for a `size` that is less than an entry has.
    #[inline]
    pub(crate) fn new(
        bytes: &'a [u8],
        size: usize,
        count: usize,
    ) -> Result<(Self, &'a [u8]), Error> {
        if size < T::LEN && count > 0 {
            return Err(Error::Length { what: T::NAME, found: size, min: T::LEN });
        }
        let needed = size.saturating_mul(count);
        let Some((rest, after)) = bytes.split_at_checked(needed) else {
            return Err(Error::Truncated { what: T::NAME, needed, available: bytes.len() });
        };
        Ok((Entries { rest, size, left: count, entry: PhantomData }, after))
    }
}

impl<'a, T: View<'a>> Iterator for Entries<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let (entry, rest) = self.rest.split_at_checked(self.size)?;
        self.rest = rest;
        T::view(entry).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: View<'a>> ExactSizeIterator for Entries<'a, T> {}

#[cfg(test)]
#[allow(dead_code)] // What the macro makes for users is public there.
mod tests {
    use super::*;

    message! {
        Little, "test entry";
        /// An entry.
        pub struct Entry, EntryBuilder: 2 {
            /// Which.
            id @ 0: u16,
        }
    }

    fn ids(bytes: &[u8], size: usize, count: usize) -> Result<(Vec<u16>, &[u8]), Error> {
        let (entries, after) = Entries::<Entry<'_>>::new(bytes, size, count)?;
        assert_eq!(entries.len(), count);
        Ok((entries.map(|entry| entry.id()).collect(), after))
    }

    #[test]
    fn entries_may_be_longer_than_known() {
        assert_eq!(ids(b"\x01\0\x02\0rest", 2, 2), Ok((vec![1, 2], &b"rest"[..])));
        assert_eq!(ids(b"\x01\0x\x02\0y", 3, 2), Ok((vec![1, 2], &b""[..])));
        assert_eq!(ids(b"rest", 0, 0), Ok((vec![], &b"rest"[..])));
        let name = "test entry";
        let short = Error::Length { what: name, found: 1, min: 2 };
        assert_eq!(ids(b"\x01\x02", 1, 2), Err(short));
        let cut = Error::Truncated { what: name, needed: 4, available: 3 };
        assert_eq!(ids(b"\x01\0\x02", 2, 2), Err(cut));
        assert!(ids(b"", usize::MAX, usize::MAX).is_err());
        let builder = EntryBuilder::new().id(7);
        assert_eq!(Entry::parse(builder.as_bytes()).unwrap().to_builder(), builder);
    }
}
