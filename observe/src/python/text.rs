//! The texts that are keys of `sys.modules`.

use super::{
    layout::{Layout, TextForm},
    memory::{Obstacle, Parts, Reader, at, int, long},
};

/// The longest name that is read, in characters. Real ones have up to 120.
pub const NAME_CHARACTERS_MAX: u64 = 1024;

/// Types that are remembered. A key of another type costs two reads.
const TYPES_MAX: usize = 16;

/// A text, and the hash that the interpreter keeps with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    pub hash: i64,
}

/// A key of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A text.
    Text(Text),
    /// An object of another type, or a text that is longer than a name.
    Other,
}

/// The types whose names were read: what a type is called costs reads, and there are few.
pub struct Types<'r, 'm> {
    reader: &'r Reader<'m>,
    layout: Layout,
    names: Vec<(u64, &'static str, bool)>,
}

impl<'r, 'm> Types<'r, 'm> {
    /// Nothing known yet.
    pub fn new(reader: &'r Reader<'m>, layout: Layout) -> Self {
        Types { reader, layout, names: Vec::new() }
    }

    /// True, if the type at the address has this name.
    pub fn is_named(&mut self, kind: u64, name: &'static str) -> Result<bool, Obstacle> {
        if let Some((_, _, is_it)) = self.names.iter().find(|known| known.0 == kind && known.1 == name) {
            return Ok(*is_it);
        }
        let place = self.reader.field(kind, self.layout.type_name())?;
        let is_it = self.reader.has_text(place, name)?;
        if self.names.len() < TYPES_MAX {
            self.names.push((kind, name, is_it));
        }
        Ok(is_it)
    }

    /// The keys at the addresses. No byte is read but those of the keys: what lies beside them may
    /// be anything.
    pub fn keys(&mut self, addresses: &[u64]) -> Result<Vec<Result<Key, Obstacle>>, Obstacle> {
        let heads = self.heads(addresses)?;
        let heads: Vec<_> = heads.iter().map(|bytes| self.head(bytes?)).collect();
        let ranges = addresses.iter().zip(&heads).filter_map(|(address, head)| {
            let head = head.as_ref().ok()?.as_ref()?;
            Some(head.end().map(|end| (*address, end)))
        });
        // Head and characters in one reading: they belong together.
        let texts = self.reader.each(&ranges.collect::<Result<Vec<_>, _>>()?)?;
        let mut texts = texts.iter();
        let mut key = |head: TextHead| {
            let bytes = texts.next().ok_or(Obstacle::Nonsense)??;
            let is_same = self.head(bytes)?.as_ref() == Some(&head);
            let characters = bytes.get(place(head.begin)?..).filter(|_| is_same);
            let name = characters.and_then(|characters| decode(characters, &head));
            Ok(Key::Text(Text { name: name.ok_or(Obstacle::Nonsense)?, hash: head.hash }))
        };
        Ok(heads.into_iter().map(|head| head?.map_or(Ok(Key::Other), &mut key)).collect())
    }

    fn heads(&self, addresses: &[u64]) -> Result<Parts, Obstacle> {
        let length = place(self.head_bytes())?;
        self.reader.each(&addresses.iter().map(|address| (*address, length)).collect::<Vec<_>>())
    }

    /// `None` for an object of another type, and for a text that is no name.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<TextHead>, Obstacle> {
        if !self.is_named(long(bytes, place(self.layout.kind())?)?, "str")? {
            return Ok(None);
        }
        let head = TextHead::read(bytes, &self.layout)?;
        Ok(head.filter(|head| head.length <= NAME_CHARACTERS_MAX))
    }

    /// The bytes of a text that hold its length, hash and form.
    fn head_bytes(&self) -> u64 {
        match self.layout.text {
            TextForm::Bytes => self.layout.object_head + 20,
            TextForm::Characters { ascii, .. } => ascii,
        }
    }
}

/// The head of a text.
#[derive(PartialEq, Eq)]
struct TextHead {
    /// Characters of it.
    length: u64,
    hash: i64,
    /// Bytes of a character.
    width: u32,
    is_ascii: bool,
    /// The place of the first character.
    begin: u64,
}

impl TextHead {
    /// The bytes of the text, with its head.
    fn end(&self) -> Result<usize, Obstacle> {
        place(at(self.begin, self.length * u64::from(self.width))?)
    }

    /// `None` for a text whose characters are elsewhere: those of classes derived from `str`.
    fn read(bytes: &[u8], layout: &Layout) -> Result<Option<Self>, Obstacle> {
        let head = place(layout.object_head)?;
        let length = long(bytes, head)?;
        let hash = long(bytes, head + 8)?.cast_signed();
        let (width, is_ascii, begin) = match layout.text {
            TextForm::Bytes => (1, false, layout.object_head + 20),
            TextForm::Characters { ascii, other } => {
                let Some((width, is_ascii)) = form(int(bytes, head + 16)?) else { return Ok(None) };
                (width, is_ascii, if is_ascii { ascii } else { other })
            }
        };
        Ok(Some(TextHead { length, hash, width, is_ascii, begin }))
    }
}

/// Width of a character, and whether all are ASCII, from the bits of a text. Before them stands how
/// the text is interned: in 2 bits, in 8 (3.14 without the global lock) or in 16 (later). Only one
/// of these makes sense.
fn form(bits: u32) -> Option<(u32, bool)> {
    [2, 8, 16].into_iter().find_map(|interned| {
        let (width, is_compact, is_ascii) =
            ((bits >> interned) & 7, (bits >> (interned + 3)) & 1, (bits >> (interned + 4)) & 1);
        let makes_sense = matches!((width, is_ascii), (1, _) | (2 | 4, 0));
        (is_compact == 1 && makes_sense).then_some((width, is_ascii == 1))
    })
}

/// The name in the characters of a text. `None` for what is no text of this form.
fn decode(bytes: &[u8], head: &TextHead) -> Option<String> {
    match head.width {
        1 if head.is_ascii => bytes.is_ascii().then(|| str::from_utf8(bytes).ok().map(Into::into))?,
        // The bytes of 2.7 have no encoding. Names of modules are ASCII in it.
        1 => Some(bytes.iter().copied().map(char::from).collect()),
        2 => bytes
            .chunks_exact(2)
            .map(|pair| char::from_u32(u32::from(pair[0]) | u32::from(pair[1]) << 8))
            .collect(),
        _ => bytes
            .chunks_exact(4)
            .map(|four| char::from_u32(u32::from_le_bytes([four[0], four[1], four[2], four[3]])))
            .collect(),
    }
}

fn place(offset: u64) -> Result<usize, Obstacle> {
    usize::try_from(offset).map_err(|_| Obstacle::Nonsense)
}
