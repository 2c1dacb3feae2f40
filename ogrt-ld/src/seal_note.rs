//! The signature of a reproducible link, made from its output.
//!
//! What of the inputs reaches an output only the linker knows: debug information may be stripped,
//! objects of link-time optimisation are compiled anew, directories are only searched. So the note
//! is linked with a signature that is the same in every link, the output is hashed, and the
//! signature that follows from that is written over it, sixteen bytes that were there before. Two
//! links whose outputs are equal without us are equal with us.

use ogrt_note::Signature;
use ogrt_wrap::note::signature;
use ogrt_wrap::record::describe_file;
use ogrt_wrap::record::digest;
use std::fs::{File, Permissions};
use std::io::{self, Seek};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// Writes the output's own signature into its note. `None` if the output has no such note.
pub fn seal(output: &Path) -> io::Result<Option<Signature>> {
    if !std::fs::metadata(output)?.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut file = open(output)?;
    let Some(offset) = describe_file::signature_offset(&mut file, &signature::UNSEALED) else {
        return Ok(None);
    };
    file.rewind()?;
    let (digest, _) = digest::sha256(&file)?;
    let signature = signature::of_output(&digest);
    file.write_all_at(signature.as_bytes(), offset)?;
    Ok(Some(signature))
}

/// Opens the output. Under some umask its owner has made a file that the owner must not write.
fn open(output: &Path) -> io::Result<File> {
    let open = || File::options().read(true).write(true).open(output);
    open().or_else(|error| {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        let mode = std::fs::metadata(output)?.permissions();
        std::fs::set_permissions(output, Permissions::from_mode(mode.mode() | 0o600))?;
        let opened = open();
        std::fs::set_permissions(output, mode)?;
        opened
    })
}
