//! Writes messages by a schema into a buffer of the caller's: for tests, generators and replays.

use super::primitive::{Place, Primitive};
use super::read::GROUPS_DEEP_MAX;
use super::schema::{Body, Data, Field, Group, Kind, Schema, Template};
use crate::error::Error;
use crate::field::Value;

/// Why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is full. Nothing comes of the message any more: begin it in a larger one.
    #[error(transparent)]
    NoRoom(#[from] Error),
    /// A field does not take this value.
    #[error("{field} does not take {value}: it has another type, fewer digits, or no null")]
    Value {
        /// The field.
        field: Box<str>,
        /// The value.
        value: Box<str>,
    },
    /// It has no place where the message is written: it is of another block, or its place is past.
    #[error("{0} may not stand here: write blocks, then groups, then data, as the schema has them")]
    Place(Box<str>),
    /// A group has more entries, or data more bytes, than their numbers can say.
    #[error("{0} is too large for its count: write less")]
    TooLarge(Box<str>),
}

/// A block that is being written, and what of its groups and data is still to come.
#[derive(Clone, Copy, Debug)]
struct Level<'s> {
    body: &'s Body,
    /// Where the block begins.
    start: usize,
    /// Groups that are written or passed over.
    groups: usize,
    /// Data that are written or passed over.
    data: usize,
    /// The dimension that counts the entry; none of the root.
    dimension: Option<(&'s Group, usize)>,
    /// Whether there is an entry to write into.
    is_open: bool,
}

/// Writes a message: fields of the root block, then its groups entry by entry, then its data.
/// Fields that are not written have no value where that is possible, and are 0 otherwise; groups
/// and data that are passed over are empty.
#[derive(Debug)]
pub struct Writer<'s, 'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// What did not fit: [`finish`](Self::finish) must not give half a message.
    cut: Option<Error>,
    levels: [Option<Level<'s>>; GROUPS_DEEP_MAX + 1],
    deep: usize,
}

impl<'s, 'b> Writer<'s, 'b> {
    /// A message of a template of `schema`, with its header.
    ///
    /// # Errors
    /// [`WriteError::NoRoom`]
    pub fn new(
        buffer: &'b mut [u8],
        schema: &'s Schema,
        template: &'s Template,
    ) -> Result<Self, WriteError> {
        let mut writer =
            Writer { buffer, len: 0, cut: None, levels: [None; GROUPS_DEEP_MAX + 1], deep: 0 };
        let header = &schema.header;
        let body = template.body();
        let bytes = writer.grow(header.len)?;
        let fits = header.block_length.write(body.block_length as u64, bytes)
            & header.template_id.write(template.id().into(), bytes)
            & header.schema_id.write(schema.id.into(), bytes)
            & header.version.write(schema.version.into(), bytes);
        if !fits {
            return Err(WriteError::TooLarge(template.name().into()));
        }
        let start = writer.block(body)?;
        writer.levels[0] =
            Some(Level { body, start, groups: 0, data: 0, dimension: None, is_open: true });
        Ok(writer)
    }

    /// Writes a field of the block that was begun last. What is constant needs no writing, and is
    /// ignored.
    ///
    /// # Errors
    /// [`WriteError::Value`]; [`WriteError::Place`] for a field of another block.
    pub fn field(&mut self, field: &'s Field, value: Value<'_>) -> Result<(), WriteError> {
        let level = self.level();
        if !level.is_open || !holds(level.body.fields(), field) {
            return Err(WriteError::Place(field.name().into()));
        }
        if field.is_constant() {
            return Ok(());
        }
        let block = &mut self.buffer[level.start..level.start + level.body.block_length];
        write_value(field, value, block).ok_or_else(|| {
            let value = format!("{value:?}").into();
            WriteError::Value { field: field.name().into(), value }
        })
    }

    /// Begins a group of the block, or of one that this block stands in, which ends it. It has no
    /// entries yet.
    ///
    /// # Errors
    /// [`WriteError::Place`], [`WriteError::NoRoom`]
    pub fn group(&mut self, group: &'s Group) -> Result<(), WriteError> {
        let index = self.leave_for(group.name(), |level| {
            let index = index_of(level.body.groups(), group)?;
            (level.is_open && level.data == 0 && level.groups <= index).then_some(index)
        })?;
        self.pass_groups(index)?;
        self.begin_group(group)
    }

    /// Begins an entry of a group that was begun, which ends the entry before.
    ///
    /// # Errors
    /// [`WriteError::Place`] when it was not; [`WriteError::TooLarge`], [`WriteError::NoRoom`].
    pub fn entry(&mut self, group: &'s Group) -> Result<(), WriteError> {
        let begun = |level: &Level<'s>| {
            level.dimension.and_then(|(own, at)| std::ptr::eq(own, group).then_some(at))
        };
        let at = self.leave_for(group.name(), begun)?;
        let level = self.level();
        self.finish_block()?;
        let count = group.num_in_group.read(&self.buffer[at..]).unwrap_or(0) + 1;
        let count_max = group.num_in_group.primitive.cut(u64::MAX);
        if count > count_max {
            return Err(WriteError::TooLarge(group.name().into()));
        }
        let start = self.block(level.body)?;
        group.num_in_group.write(count, &mut self.buffer[at..]);
        let level = Level { start, groups: 0, data: 0, is_open: true, ..level };
        self.levels[self.deep] = Some(level);
        Ok(())
    }

    /// Writes data of the block, or of one that this block stands in, which ends it.
    ///
    /// # Errors
    /// [`WriteError::Place`], [`WriteError::TooLarge`], [`WriteError::NoRoom`]
    pub fn data(&mut self, data: &'s Data, bytes: &[u8]) -> Result<(), WriteError> {
        if data.length.primitive.cut(bytes.len() as u64) != bytes.len() as u64 {
            return Err(WriteError::TooLarge(data.name().into()));
        }
        let index = self.leave_for(data.name(), |level| {
            let index = index_of(level.body.data(), data)?;
            (level.is_open && level.data <= index).then_some(index)
        })?;
        self.pass_groups(self.level().body.groups().len())?;
        self.pass_data(index)?;
        self.push_data(data, bytes)
    }

    /// Ends the message; its bytes.
    ///
    /// # Errors
    /// [`WriteError::NoRoom`] when something of it, or what was passed over, did not fit.
    pub fn finish(mut self) -> Result<&'b [u8], WriteError> {
        while self.deep > 0 {
            self.finish_block()?;
            self.deep -= 1;
        }
        self.finish_block()?;
        match self.cut {
            Some(cut) => Err(cut.into()),
            None => Ok(&self.buffer[..self.len]),
        }
    }

    fn level(&self) -> Level<'s> {
        self.levels[self.deep].expect("a level up to the deepest")
    }

    fn change(&mut self, change: impl FnOnce(&mut Level<'s>)) {
        change(self.levels[self.deep].as_mut().expect("a level up to the deepest"));
    }

    /// Makes room for `len` bytes, which are 0.
    fn grow(&mut self, len: usize) -> Result<&mut [u8], WriteError> {
        let available = self.buffer.len() - self.len;
        if len > available {
            let cut = Error::NoRoom { what: "SBE message", needed: len, available };
            self.cut = Some(cut);
            return Err(cut.into());
        }
        let new = &mut self.buffer[self.len..self.len + len];
        new.fill(0);
        self.len += len;
        Ok(new)
    }

    /// Appends a block in which nothing has a value; where it begins.
    fn block(&mut self, body: &Body) -> Result<usize, WriteError> {
        let start = self.len;
        let block = self.grow(body.block_length)?;
        for field in body.fields().iter().filter(|field| !field.is_empty()) {
            if let (Some(null), false) = (field.null, matches!(field.kind, Kind::Text)) {
                field.place.write(null, block);
            }
        }
        Ok(start)
    }

    /// Ends blocks up to one in which `place` finds what is to be written.
    fn leave_for(
        &mut self,
        name: &str,
        place: impl Fn(&Level<'s>) -> Option<usize>,
    ) -> Result<usize, WriteError> {
        let found = (0..=self.deep).rev().find_map(|deep| {
            let index = self.levels[deep].as_ref().and_then(&place)?;
            Some((deep, index))
        });
        let (deep, index) = found.ok_or_else(|| WriteError::Place(name.into()))?;
        while self.deep > deep {
            self.finish_block()?;
            self.deep -= 1;
        }
        Ok(index)
    }

    /// Writes what of a block was passed over.
    fn finish_block(&mut self) -> Result<(), WriteError> {
        let level = self.level();
        if !level.is_open {
            return Ok(());
        }
        self.pass_groups(level.body.groups().len())?;
        self.pass_data(level.body.data().len())?;
        self.change(|level| level.is_open = level.dimension.is_none());
        Ok(())
    }

    /// Writes the groups before `index` that were passed over, empty.
    fn pass_groups(&mut self, index: usize) -> Result<(), WriteError> {
        let level = self.level();
        for group in level.body.groups().get(level.groups..index).unwrap_or_default() {
            self.dimension(group)?;
        }
        self.change(|level| level.groups = level.groups.max(index));
        Ok(())
    }

    /// Writes the data before `index` that were passed over, empty.
    fn pass_data(&mut self, index: usize) -> Result<(), WriteError> {
        let level = self.level();
        for data in level.body.data().get(level.data..index).unwrap_or_default() {
            self.push_data(data, b"")?;
        }
        Ok(())
    }

    fn push_data(&mut self, data: &Data, bytes: &[u8]) -> Result<(), WriteError> {
        let new = self.grow(data.start + bytes.len())?;
        data.length.write(bytes.len() as u64, new);
        new[data.start..].copy_from_slice(bytes);
        self.change(|level| level.data += 1);
        Ok(())
    }

    fn begin_group(&mut self, group: &'s Group) -> Result<(), WriteError> {
        let at = self.dimension(group)?;
        self.change(|level| level.groups += 1);
        self.deep += 1;
        let body = group.body();
        let dimension = Some((group, at));
        let level = Level { body, start: at, groups: 0, data: 0, dimension, is_open: false };
        self.levels[self.deep] = Some(level);
        Ok(())
    }

    /// Appends the dimension of a group without entries; where it begins.
    fn dimension(&mut self, group: &Group) -> Result<usize, WriteError> {
        let at = self.len;
        let block_length = group.body().block_length as u64;
        let new = self.grow(group.dimension_len)?;
        match group.block_length.write(block_length, new) {
            true => Ok(at),
            false => Err(WriteError::TooLarge(group.name().into())),
        }
    }
}

/// Whether `part` is one of `parts` themselves.
fn holds<T>(parts: &[T], part: &T) -> bool {
    parts.as_ptr_range().contains(&std::ptr::from_ref(part))
}

fn index_of<T>(parts: &[T], part: &T) -> Option<usize> {
    parts.iter().position(|each| std::ptr::eq(each, part))
}

/// Writes a value into the block; `None` when the field does not take it.
fn write_value(field: &Field, value: Value<'_>, block: &mut [u8]) -> Option<()> {
    let Place { offset, primitive, .. } = field.place;
    if let (Primitive::Char, Value::Text(text)) = (primitive, value) {
        let (own, padding) = block[offset..offset + field.len].split_at_mut_checked(text.len())?;
        own.copy_from_slice(text);
        padding.fill(0);
        return Some(());
    }
    let raw = match (value, &field.kind) {
        (Value::Null, _) => field.null?,
        (Value::Price { raw, decimals }, Kind::Price { decimals: own }) if decimals == *own => {
            primitive.bits(raw)?
        }
        (Value::UnixTime(nanos), Kind::UnixTime) => primitive.bits(nanos.into())?,
        (_, Kind::Price { .. }) => return None,
        (Value::Unsigned(number), _) => primitive.bits(number.into())?,
        (Value::Signed(number), _) => primitive.bits(number.into())?,
        (Value::Float(number), _) if primitive == Primitive::Double => number.0.to_bits(),
        (Value::Float(number), _) if primitive == Primitive::Float => {
            (number.0 as f32).to_bits().into()
        }
        _ => return None,
    };
    if primitive == Primitive::Char {
        block[offset..offset + field.len].fill(raw as u8);
        return Some(());
    }
    field.place.write(raw, block).then_some(())
}
