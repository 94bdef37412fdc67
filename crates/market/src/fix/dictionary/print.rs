//! Messages as people read them: names in place of numbers.

use super::{Dictionary, GROUPS_DEEP_MAX, Item};
use crate::fix::Message;
use crate::wire::write_text;
use std::fmt::{self, Write};

/// A message with the names of its fields and values: [`Dictionary::named`].
#[derive(Clone, Copy, Debug)]
pub struct Named<'a, 'm> {
    dictionary: &'a Dictionary,
    message: Message<'m>,
}

impl Dictionary {
    /// The message to be printed on one line: `NewOrderSingle Side=1(BUY) …`, fields without a name
    /// by their number, each entry of a group in braces. Faults are left out: see
    /// [`walk`](Self::walk).
    pub fn named<'a, 'm>(&'a self, message: Message<'m>) -> Named<'a, 'm> {
        Named { dictionary: self, message }
    }
}

impl fmt::Display for Named<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dictionary.message(self.message.msg_type()) {
            Some(known) => f.write_str(known.name())?,
            None => write_text(f, self.message.msg_type())?,
        }
        let mut braces = Braces::default();
        let mut result = Ok(());
        self.dictionary.walk(&self.message, |item| {
            if let Item::Field { field, definition, deep, entry, .. } = item
                && result.is_ok()
            {
                result = braces.before(f, deep, entry).and_then(|()| {
                    match definition {
                        Some(definition) => write!(f, "{}=", definition.name())?,
                        None => write!(f, "{}=", field.tag)?,
                    }
                    write_text(f, field.value)?;
                    match definition.and_then(|known| known.value_name(field.value)) {
                        Some(name) => write!(f, "({name})"),
                        None => Ok(()),
                    }
                });
            }
        });
        result?;
        braces.close(f, 0)
    }
}

/// The entries that are open.
#[derive(Default)]
struct Braces {
    entries: [usize; GROUPS_DEEP_MAX],
    deep: usize,
}

impl Braces {
    /// Closes and opens braces before a field, so that it stands in its entry.
    fn before(&mut self, f: &mut fmt::Formatter<'_>, deep: usize, entry: usize) -> fmt::Result {
        let is_next = deep > 0 && deep <= self.deep && self.entries[deep - 1] != entry;
        self.close(f, if is_next { deep - 1 } else { deep })?;
        f.write_char(' ')?;
        while self.deep < deep {
            f.write_char('{')?;
            self.entries[self.deep] = entry;
            self.deep += 1;
        }
        Ok(())
    }

    fn close(&mut self, f: &mut fmt::Formatter<'_>, deep: usize) -> fmt::Result {
        while self.deep > deep {
            f.write_char('}')?;
            self.deep -= 1;
        }
        Ok(())
    }
}
