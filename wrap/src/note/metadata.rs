//! The metadata in the note itself: `BuildMetadata` from OGRT_META_*, else from what Spack sets.
//!
//! In a reproducible build nothing is put in that varies with time, host or user. Values are cut to
//! a bound, and what is still too long for a note is left to the record.

use crate::environment;
use crate::note::spack_environment;
use crate::small_file;
use ogrt_proto::{BuildMetadata, KeyValue};
use std::path::Path;

const PREFIX: &str = "OGRT_META_";

/// The most bytes of one value in the note.
const VALUE_BYTES_MAX: usize = 512;

/// The metadata for the note, as the build system sets them.
pub fn for_note(reproducible: bool, unix_time_s: i64, compiler: Option<String>) -> BuildMetadata {
    // If a name is set, it says what is built, and Spack is only the way to the compiler.
    let name = meta("NAME");
    let spack = if name.is_none() { spack_environment::from_environment() } else { None };
    let mut spack = spack.unwrap_or_default();
    if spack.name.is_some() && spack.toolchain.is_none() {
        // Spack 1.0 and later do not name it: "gcc 12.2.0" of the objects, as Spack writes it.
        let short = compiler.as_ref().filter(|name| name.split(' ').count() == 2);
        spack.toolchain = short.map(|name| name.replace(' ', "@"));
    }
    let or = |told: Option<String>, spack: Option<String>| told.or_else(|| spack.map(|value| cut(&value)));
    BuildMetadata {
        name: or(name, spack.name),
        version: or(meta("VERSION"), spack.version),
        version_suffix: meta("VERSIONSUFFIX"),
        toolchain: or(meta("TOOLCHAIN"), spack.toolchain),
        package_manager: or(meta("PACKAGER"), spack.package_manager),
        package_id: or(meta("PACKAGE_ID"), spack.package_id),
        module: meta("MODULE"),
        builder: (!reproducible).then(builder),
        time: (!reproducible).then_some(unix_time_s),
        compiler: compiler.map(|name| cut(&name)),
    }
}

/// The variables OGRT_META_* that have no field in the note, sorted.
pub fn extra() -> Vec<KeyValue> {
    const IN_NOTE: [&str; 7] =
        ["NAME", "VERSION", "VERSIONSUFFIX", "TOOLCHAIN", "PACKAGER", "PACKAGE_ID", "MODULE"];
    let mut extra: Vec<KeyValue> = environment::all()
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.strip_prefix(PREFIX)?, value)))
        .filter(|(key, _)| !key.is_empty() && !IN_NOTE.contains(key))
        .map(|(key, value)| KeyValue {
            key: Some(key.to_owned()),
            value: Some(value.to_string_lossy().into_owned()),
        })
        .collect();
    extra.sort_by(|a, b| a.key.cmp(&b.key));
    extra
}

/// The name that `/etc/passwd` gives our uid, without asking NSS (a static program cannot).
pub fn user_name() -> Option<String> {
    const BYTES_MAX: u64 = 4 * 1024 * 1024;
    let uid = rustix::process::getuid().as_raw().to_string();
    let file = small_file::open(Path::new("/etc/passwd")).ok()?;
    let len = file.metadata().ok()?.len();
    let passwd = (len <= BYTES_MAX).then(|| small_file::rest(&file, len as usize).ok())??;
    let passwd = String::from_utf8(passwd).ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn builder() -> String {
    user_name().unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

fn meta(name: &str) -> Option<String> {
    let value = environment::var(&format!("{PREFIX}{name}"))?;
    (!value.is_empty()).then(|| cut(&value.to_string_lossy()))
}

fn cut(value: &str) -> String {
    value[..value.floor_char_boundary(VALUE_BYTES_MAX)].to_owned()
}
