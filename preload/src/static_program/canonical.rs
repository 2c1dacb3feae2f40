//! The canonical path of a static program by readlink on the file system
//! (`static_programs_are_found_through_links`). For one path nothing need be remembered, so this is
//! a third of the library's code.

use crate::{path_buffer::PathBuffer, sys};

/// Most links in one path, as in the kernel.
const LINKS_MAX: u32 = 40;

/// Resolves the path of one process.
pub struct Paths<'a> {
    working_directory: &'a [u8],
    calls_left: u32,
}

impl<'a> Paths<'a> {
    /// Allows `calls_max` calls of readlink in all.
    pub fn new(working_directory: &'a [u8], calls_max: u32) -> Self {
        Paths { working_directory, calls_left: calls_max }
    }

    /// The path made absolute, its links as they are.
    pub fn absolute<'o>(&self, path: &[u8], out: &'o mut PathBuffer) -> &'o [u8] {
        let rest = path.strip_prefix(b"./").unwrap_or(path);
        let directory = if path.first() == Some(&b'/') { b"" } else { self.working_directory };
        out.truncate(0);
        let mut whole = out.push(directory);
        if !directory.is_empty() {
            whole = whole.and_then(|()| out.push(b"/"));
        }
        match whole.and_then(|()| out.push(rest)) {
            Some(()) if out.as_bytes().first() == Some(&b'/') => out.as_bytes(),
            _ => out.set_end(rest),
        }
    }

    /// The canonical path, and whether there is such a file.
    pub fn canonical_or_missing<'o>(&mut self, path: &[u8], out: &'o mut PathBuffer) -> (&'o [u8], bool) {
        self.absolute(path, out);
        let resolved = if out.as_bytes().first() == Some(&b'/') { self.resolve(out) } else { Some(true) };
        match resolved {
            Some(is_there) => (out.as_bytes(), is_there),
            None => (self.absolute(path, out), true),
        }
    }

    /// Resolves the path, and tells whether there is such a file; `None` where it needs more calls,
    /// more links or more room than there are.
    fn resolve(&mut self, out: &mut PathBuffer) -> Option<bool> {
        let mut rest = PathBuffer::new();
        let mut links = 0;
        // The front of the path up to here is canonical.
        let mut done = 0;
        loop {
            let path = out.as_bytes();
            let behind = path.get(done..)?;
            let slashes = behind.iter().take_while(|&&byte| byte == b'/').count();
            let name = behind.get(slashes..)?;
            let len = name.iter().position(|&byte| byte == b'/').unwrap_or(name.len());
            let name = name.get(..len)?;
            let end = done + slashes + len;
            rest.truncate(0);
            let keep = match name {
                b"" => {
                    out.truncate(done.max(1));
                    return Some(true);
                }
                b"." => done,
                b".." => path.get(..done)?.iter().rposition(|&byte| byte == b'/').unwrap_or(0),
                _ if slashes > 1 => {
                    rest.push(b"/")?;
                    rest.push(name)?;
                    done
                }
                _ => {
                    self.calls_left = self.calls_left.checked_sub(1)?;
                    let is_last = end == path.len();
                    match out.link_at(end, &mut rest) {
                        Ok(()) => {}
                        Err(error) => {
                            if is_last {
                                return Some(error != sys::NOT_FOUND);
                            }
                            done = end;
                            continue;
                        }
                    }
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    if rest.as_bytes().get(1) == Some(&b'/') { 0 } else { done }
                }
            };
            rest.push(out.as_bytes().get(end..)?)?;
            out.truncate(keep);
            out.push(rest.as_bytes())?;
            done = keep;
        }
    }
}
