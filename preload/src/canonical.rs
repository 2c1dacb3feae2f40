//! Canonical paths by readlink on the file system: procfs would cost thirty microseconds in a new
//! process (`paths_are_canonical_without_procfs`).
//!
//! Resolved directories are remembered, since a process loads most of its objects from a few. The
//! number of calls is bounded, and beyond the bound the path stays as it was given, made absolute.
//! Where the working directory is not known, a relative path gets a mark in front that no absolute
//! path has (`a_path_without_its_front_says_so`).

use crate::{
    glob,
    linkage::IS_STATIC,
    memory::Memory,
    path_buffer::{PATH_MAX, PathBuffer},
    sys,
};

/// Bytes on the stack for the rest of a path that is being resolved.
const ROOM: usize = 1024;
/// Most links in one path, as in the kernel.
const NESTED_MAX: u32 = 40;
/// Directories by the file system hierarchy standard. Half of all objects lie below them.
const NEVER_LINKS: &[u8] = b"/usr:/usr/bin:/usr/lib";
/// Bytes for remembered directories; Debian's multiarch layout takes 150.
const MEMORY: usize = 768;

/// Resolves paths of one process.
pub struct Paths<'a> {
    working_directory: &'a [u8],
    calls_left: u32,
    memory: [u8; MEMORY],
    memory_len: usize,
}

/// What became of a path.
enum Resolution {
    /// The file is there.
    Found,
    /// There is no such file.
    Missing,
    /// It needs more calls, or more links, than are allowed.
    Bounded,
    /// The room is too small.
    TooLong,
}

impl<'a> Paths<'a> {
    /// Allows `calls_max` calls of readlink in all.
    pub fn new(working_directory: &'a [u8], calls_max: u32) -> Self {
        let mut paths =
            Paths { working_directory, calls_left: calls_max, memory: [0; MEMORY], memory_len: 0 };
        for directory in glob::entries(NEVER_LINKS) {
            if let Some(name) = paths.keep(directory) {
                paths.remember(name, directory);
            }
        }
        paths
    }

    /// Allows more calls.
    pub fn allow(&mut self, calls: u32) {
        self.calls_left = self.calls_left.saturating_add(calls);
    }

    /// The path made absolute, its links as they are.
    pub fn absolute<'o>(&self, path: &[u8], out: &'o mut PathBuffer) -> &'o [u8] {
        let rest = path.strip_prefix(b"./").unwrap_or(path);
        out.truncate(0);
        let whole = match (path.first(), self.working_directory) {
            (Some(b'/'), _) => out.push(path),
            (_, b"") => None,
            (_, directory) => out.push(directory).and_then(|()| out.push(b"/")).and_then(|()| out.push(rest)),
        };
        match whole {
            Some(()) => out.as_bytes(),
            None => out.set_end(rest),
        }
    }

    /// The canonical path.
    pub fn canonical<'o>(&mut self, path: &[u8], out: &'o mut PathBuffer) -> &'o [u8] {
        self.canonical_or_missing(path, out).0
    }

    /// The canonical path, and whether there is such a file.
    pub fn canonical_or_missing<'o>(&mut self, path: &[u8], out: &'o mut PathBuffer) -> (&'o [u8], bool) {
        if path.first() != Some(&b'/') && self.working_directory.is_empty() {
            return (self.absolute(path, out), true);
        }
        // The rest of the path lies at the end of this room, so that a link's target fits in front
        // of it.
        let mut room = [0u8; ROOM];
        let mut result = self.resolve(path, out, &mut room);
        if matches!(result, Some(Resolution::TooLong) | None)
            && let Some(mut memory) = Memory::new(PATH_MAX)
        {
            result = self.resolve(path, out, memory.bytes_mut());
        }
        match result {
            Some(Resolution::Found) => (out.as_bytes(), true),
            Some(Resolution::Missing) => (out.as_bytes(), false),
            _ => (self.absolute(path, out), true),
        }
    }

    /// Resolves the path in `room`; `None` where that is too small.
    fn resolve(&mut self, path: &[u8], out: &mut PathBuffer, room: &mut [u8]) -> Option<Resolution> {
        let room_len = room.len();
        let mut start = room_len.checked_sub(path.len())?;
        room.get_mut(start..)?.get_mut(..path.len())?.copy_from_slice(path);
        out.truncate(0);
        if path.first() != Some(&b'/') {
            // The kernel's answer is canonical.
            out.push(self.working_directory)?;
        }
        let mut is_there = true;
        // A directory link that is being followed: where its name is in the memory, and how much of
        // the path is left when it is resolved.
        let mut following: Option<(PathName, usize)> = None;
        let mut links = 0;
        loop {
            if let Some((link, _)) = following.take_if(|(_, rest)| room_len - start <= *rest) {
                self.remember(link, out.as_bytes());
            }
            let rest = room.get(start..)?;
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            start += slashes;
            let rest = rest.get(slashes..)?;
            let component = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            start += component.len();
            let is_last = start == room_len;
            match component {
                b"" => break,
                b"." => continue,
                b".." => {
                    out.pop();
                    continue;
                }
                _ => {}
            }
            let parent_len = out.len();
            out.push(b"/")?;
            out.push(component)?;
            if let Some(known) = self.recall(out) {
                out.truncate(0);
                out.push(self.memory.get(known.start..known.start + known.len)?)?;
                continue;
            }
            let Some(left) = self.calls_left.checked_sub(1) else { return Some(Resolution::Bounded) };
            self.calls_left = left;
            // The link's target is read into the free bytes in front, and then moved up to the rest
            // of the path.
            let free = room.get_mut(..start)?;
            match sys::read_link(out.with_nul()?, free).map(<[u8]>::len) {
                Err(error) if is_last => is_there = error != sys::NOT_FOUND,
                Err(_) => {
                    if let Some(name) = self.keep(out.as_bytes()) {
                        self.remember(name, out.as_bytes());
                    }
                }
                Ok(target_len) => {
                    links += 1;
                    if links > NESTED_MAX {
                        return Some(Resolution::Bounded);
                    }
                    // A target that fills the room may be longer than that.
                    if target_len >= start {
                        return Some(Resolution::TooLong);
                    }
                    if !is_last && following.is_none() {
                        following = self.keep(out.as_bytes()).map(|name| (name, room_len - start));
                    }
                    out.truncate(if room.first() == Some(&b'/') { 0 } else { parent_len });
                    start -= target_len;
                    for at in (0..target_len).rev() {
                        *room.get_mut(start + at)? = *room.get(at)?;
                    }
                }
            }
        }
        if out.len() == 0 {
            out.push(b"/")?;
        }
        Some(if is_there { Resolution::Found } else { Resolution::Missing })
    }

    /// Adds a name to the memory. An entry is length and bytes of the name, then length and bytes
    /// of its meaning; the second length is 0 while the meaning is unknown.
    fn keep(&mut self, name: &[u8]) -> Option<PathName> {
        // The only path of a static program has no second directory that is the same.
        if IS_STATIC {
            return None;
        }
        let len = u8::try_from(name.len()).ok()?;
        let at = self.memory_len;
        // The meaning follows directly, if it fits.
        let end = at + 1 + name.len();
        if end >= MEMORY {
            return None;
        }
        *self.memory.get_mut(at)? = len;
        self.memory.get_mut(at + 1..end)?.copy_from_slice(name);
        *self.memory.get_mut(end)? = 0;
        self.memory_len = end + 1;
        Some(PathName { start: at + 1, len: name.len() })
    }

    /// Writes the meaning of a kept name. Where others were kept since, both are written as a new
    /// entry.
    fn remember(&mut self, name: PathName, meaning: &[u8]) {
        let meaning_at = name.start + name.len;
        if meaning_at + 1 != self.memory_len {
            let mut copy = [0u8; 255];
            let Some(source) = self.memory.get(name.start..meaning_at) else { return };
            let Some(room) = copy.get_mut(..name.len) else { return };
            room.copy_from_slice(source);
            if let Some(name) = self.keep(room) {
                self.remember(name, meaning);
            }
            return;
        }
        let (Ok(len), end) = (u8::try_from(meaning.len()), meaning_at + 1 + meaning.len()) else { return };
        if let Some(room) = self.memory.get_mut(meaning_at + 1..end) {
            room.copy_from_slice(meaning);
            if let Some(length) = self.memory.get_mut(meaning_at) {
                *length = len;
                self.memory_len = end;
            }
        }
    }

    fn recall(&self, name: &PathBuffer) -> Option<PathName> {
        if IS_STATIC {
            return None;
        }
        let mut at = 0;
        while at < self.memory_len {
            let name_len = usize::from(*self.memory.get(at)?);
            let kept = self.memory.get(at + 1..at + 1 + name_len)?;
            at += 1 + name_len;
            let len = usize::from(*self.memory.get(at)?);
            at += 1;
            if len > 0 && kept == name.as_bytes() {
                return Some(PathName { start: at, len });
            }
            at += len;
        }
        None
    }
}

/// A run of bytes in the memory.
#[derive(Clone, Copy)]
struct PathName {
    start: usize,
    len: usize,
}
