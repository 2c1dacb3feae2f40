//! Small files, read with few system calls.
//!
//! Some are read before a linker starts, and a build waits for each call. std asks for a file's
//! size and its position before it reads, and tries to read after the end; musl's `open` sets
//! close-on-exec a second time, for kernels that do not know it.

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a file to be read.
pub fn open(path: &Path) -> io::Result<File> {
    let open = || rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(rustix::io::retry_on_intr(open)?.into())
}

/// The rest of a file that should have `expected` more bytes; it may have fewer or more. After
/// exactly that many bytes the file counts as ended, and what is appended meanwhile is not read.
pub fn rest(file: &File, expected: usize) -> io::Result<Vec<u8>> {
    // With the expected number of bytes, one byte of room is left.
    let mut bytes = Vec::with_capacity(expected + 1);
    loop {
        match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() == expected => return Ok(bytes),
            Ok(_) => bytes.reserve(1),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first bytes of a file that should have `expected` bytes, without moving its position. The
/// bytes are all there are if they are as many as expected.
pub fn start(file: &File, expected: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(expected + 1);
    while bytes.len() <= expected {
        let at = bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) if bytes.len() == expected => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn all_of_a_file_is_read_whatever_was_expected() {
        let content: Vec<u8> = (0..5000u32).flat_map(u32::to_ne_bytes).collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, &content).unwrap();
        for expected in [0, 1, content.len() - 1, content.len(), content.len() + 1, 2 * content.len()] {
            let mut file = open(&path).unwrap();
            let first = start(&file, expected).unwrap();
            assert_eq!(first, content[..first.len()]);
            assert_eq!(first.len() == expected, expected == content.len(), "{expected} expected");
            assert_eq!(rest(&file, expected).unwrap(), content, "{expected} expected");
            file.seek(io::SeekFrom::Start(19_000)).unwrap();
            assert_eq!(rest(&file, 1000).unwrap(), content[19_000..]);
        }
        assert_eq!(open(&directory.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(rest(&open(directory.path()).unwrap(), 10).is_err());
    }
}
