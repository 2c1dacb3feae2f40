//! What is mapped where in a process: `/proc/PID/maps`, taken apart.

/// Lines that are looked at. A process may have 65,530 mappings; a Python with thousands of
/// extension modules has some 20,000.
const LINES_MAX: usize = 32_768;

/// Files that are looked at as a place of an interpreter.
const OBJECTS_MAX: usize = 1_024;

/// The mappings of a process, as far as they matter here.
#[derive(Debug, Default)]
pub struct Mappings {
    /// Addresses without a file behind them, in order: heaps.
    anonymous: Vec<(u64, u64)>,
    objects: Vec<Object>,
}

/// A file that is mapped from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The address of its first byte.
    pub base: u64,
    /// A name that an interpreter's file usually has: `python3.11`, `libpython2.7.so.1.0`.
    pub is_named_python: bool,
}

impl Mappings {
    /// Reads the text of `/proc/PID/maps`. Lines that have another form are left out.
    pub fn parse(text: &[u8]) -> Self {
        let mut mappings = Mappings::default();
        for line in text.split(|&byte| byte == b'\n').take(LINES_MAX) {
            mappings.take_line(line);
        }
        mappings.anonymous.sort_unstable();
        mappings
    }

    fn take_line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line.splitn(6, |&byte| byte == b' ');
        let mut range = words.next()?.splitn(2, |&byte| byte == b'-');
        let (start, end) = (number(range.next()?, 16)?, number(range.next()?, 16)?);
        let is_readable = words.next()?.first() == Some(&b'r');
        let offset = number(words.next()?, 16)?;
        let _device = words.next()?;
        let inode = number(words.next()?, 10)?;
        if !is_readable || start >= end {
            return None;
        }
        let path = words.next().unwrap_or_default().trim_ascii_start();
        if inode == 0 {
            self.anonymous.push((start, end));
        } else if offset == 0 && self.objects.len() < OBJECTS_MAX {
            let is_named_python = is_named_python(path);
            self.objects.push(Object { base: start, is_named_python });
        }
        Some(())
    }

    /// The mapped files, those with an interpreter's name first.
    pub fn objects(&self) -> (Vec<&Object>, Vec<&Object>) {
        self.objects.iter().partition(|object| object.is_named_python)
    }

    /// True for an address in a heap that a pointer to an allocated structure may have.
    pub fn is_allocated(&self, address: u64) -> bool {
        let after = self.anonymous.partition_point(|&(start, _)| start <= address);
        let range = after.checked_sub(1).and_then(|index| self.anonymous.get(index));
        address.is_multiple_of(8) && range.is_some_and(|&(_, end)| address < end)
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()
}

fn is_named_python(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.starts_with(b"python") || name.starts_with(b"libpython")
}

#[cfg(test)]
mod tests {
    use super::{Mappings, Object};

    #[test]
    fn files_and_heaps_are_told_apart() {
        let text = b"\
00400000-00420000 r--p 00000000 fe:00 131 /usr/bin/python3.11
00420000-006cd000 r-xp 00020000 fe:00 131 /usr/bin/python3.11
00e24000-00fae000 rw-p 00000000 00:00 0   [heap]
7f0000000000-7f0000021000 rw-p 00000000 00:00 0
7f0000021000-7f0004000000 ---p 00000000 00:00 0
7f1000000000-7f1000001000 r--p 00000000 fe:00 77 /opt/a b/lib/python3.11/_json.cpython-311.so
nonsense
7f2000000000-7f1000001000 r--p 00000000 fe:00 77 /lib/backwards.so
";
        let mappings = Mappings::parse(text);
        let (named, others) = mappings.objects();
        assert_eq!(named, [&Object { base: 0x40_0000, is_named_python: true }]);
        assert_eq!(others, [&Object { base: 0x7f10_0000_0000, is_named_python: false }]);
        assert!(mappings.is_allocated(0xe2_4000) && mappings.is_allocated(0x7f00_0000_0008));
        assert!(!mappings.is_allocated(0xe2_4001), "no structure begins at an odd address");
        assert!(!mappings.is_allocated(0xfa_e000), "behind the heap");
        assert!(!mappings.is_allocated(0x7f00_0002_1000), "nobody may read it");
        assert!(!mappings.is_allocated(0x42_0000), "in a file");
    }
}
