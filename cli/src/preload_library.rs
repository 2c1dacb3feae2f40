//! Where libogrt.so is, and how it joins a list of preloaded libraries.

use anyhow::{Context, Result, ensure};
use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

/// The library below a prefix, as each loader finds the file of its own class: `$LIB` stands for
/// its own directory (ld.so(8)), where 32-bit programs find a library that does nothing. musl does
/// not know `$LIB`, and finds a directory of that very name.
const FOR_EACH_LOADER: &str = "lib/ogrt/$LIB/libogrt.so";

/// Finds the library: OGRT_LIBRARY, or else the one in the prefix of this executable.
pub fn find() -> Result<PathBuf> {
    let path = match env::var_os("OGRT_LIBRARY") {
        Some(path) if !path.is_empty() => std::path::absolute(path).context("OGRT_LIBRARY")?,
        _ => {
            let executable = env::current_exe()
                .and_then(|path| path.canonicalize())
                .context("cannot tell where ogrt is installed; set OGRT_LIBRARY to the path of libogrt.so")?;
            let prefix = executable.parent().and_then(|bin| bin.parent()).unwrap_or(&executable);
            let [each, one] = [FOR_EACH_LOADER, "lib/libogrt.so"].map(|name| prefix.join(name));
            if each.is_file() { each } else { one }
        }
    };
    ensure!(
        path.is_file(),
        "{}: no such file; set OGRT_LIBRARY to where libogrt.so is installed",
        path.display()
    );
    // The loader splits its list at these bytes, and knows no quoting.
    ensure!(
        !path.as_os_str().as_bytes().iter().any(|byte| b" :\t\n".contains(byte)),
        "{}: the loader cannot preload a path with a space or a colon; install OGRT elsewhere, or set OGRT_LIBRARY",
        path.display()
    );
    Ok(path)
}

/// Appends the library to the user's own LD_PRELOAD, once: what the user preloads stays in front.
pub fn append(preload: Option<&OsStr>, library: &OsStr) -> OsString {
    let mut list = preload.map(OsStr::as_bytes).unwrap_or_default().to_vec();
    if list.split(|byte| b" :".contains(byte)).any(|entry| entry == library.as_bytes()) {
        return OsStr::from_bytes(&list).to_owned();
    }
    if !list.is_empty() {
        list.push(b':');
    }
    list.extend_from_slice(library.as_bytes());
    OsStr::from_bytes(&list).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_list_stays_in_front() {
        let library = OsStr::new("/p/lib/libogrt.so");
        for (before, after) in [
            (None, "/p/lib/libogrt.so"),
            (Some(""), "/p/lib/libogrt.so"),
            (Some("/a.so"), "/a.so:/p/lib/libogrt.so"),
            (Some("/a.so /b.so"), "/a.so /b.so:/p/lib/libogrt.so"),
            (Some("/p/lib/libogrt.so:/a.so"), "/p/lib/libogrt.so:/a.so"),
        ] {
            assert_eq!(append(before.map(OsStr::new), library), after);
        }
    }
}
