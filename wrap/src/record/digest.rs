//! SHA-256 of files, and OmniBOR's artifact ids, which are SHA-256 of git blobs.

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;

const BUFFER_BYTES: usize = 128 * 1024;

/// SHA-256 of a file from its current position, and the number of bytes.
pub fn sha256(file: &File) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let size = in_pieces(file, &mut |piece| hash.update(piece))?;
    Ok((hash.finalize().into(), size))
}

/// SHA-256 and OmniBOR's artifact id of a file that is at its start and has `size` bytes.
pub fn sha256_and_gitoid(file: &File, size: u64) -> io::Result<([u8; 32], [u8; 32])> {
    let mut gitoid = Sha256::new_with_prefix(format!("blob {size}\0"));
    let mut sha256 = Sha256::new();
    let read = in_pieces(file, &mut |piece| {
        sha256.update(piece);
        gitoid.update(piece);
    })?;
    // If the file grew meanwhile, the id would be that of no file.
    if read == size {
        Ok((sha256.finalize().into(), gitoid.finalize().into()))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// OmniBOR's artifact id of bytes in memory.
pub fn gitoid_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize().into()
}

/// SHA-256 of bytes in memory.
pub fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Hands on the rest of a file, and returns the number of bytes.
fn in_pieces(file: &File, take: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    // Not filled with zeros first: most files have a page or two, and each page that is touched
    // costs time.
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut size = 0;
    loop {
        buffer.clear();
        match rustix::io::read(file, spare_capacity(&mut buffer)) {
            Ok(0) => return Ok(size),
            Ok(read) => {
                take(&buffer);
                size += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
