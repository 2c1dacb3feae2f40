//! Names of users, from the system's own file: no NSS, no network, nothing that can block the line.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// The time between two looks whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// uid to name, as `/etc/passwd` has it.
pub struct Users {
    path: PathBuf,
    known: Mutex<PasswdFile>,
}

#[derive(Default)]
struct PasswdFile {
    names: HashMap<u32, Arc<str>>,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
}

impl Users {
    /// The users of this machine.
    pub fn new() -> Self {
        Users { path: "/etc/passwd".into(), known: Mutex::default() }
    }

    /// The name, if the file has one.
    pub fn name(&self, uid: u32) -> Option<Arc<str>> {
        self.known().names.get(&uid).cloned()
    }

    fn known(&self) -> MutexGuard<'_, PasswdFile> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.is_none_or(|looked| looked.elapsed() > LOOK_EVERY) {
            known.looked = Some(Instant::now());
            let modified = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
            if modified != known.modified {
                known.modified = modified;
                known.names = fs::read(&self.path).map(|file| names(&file)).unwrap_or_default();
            }
        }
        known
    }
}

/// `name:password:uid:...`, one a line; the first of a uid stands, as for getpwuid.
fn names(file: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(file).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            names.entry(uid).or_insert_with(|| Arc::from(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_uid_names_it_and_broken_lines_do_no_harm() {
        let names = names(
            b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/\nbroken\n::\n\xFF:x:7:7:::\nme:x:1000:1000:::\n",
        );
        assert_eq!(names.get(&0).map(|n| &**n), Some("root"));
        assert_eq!(names.get(&1000).map(|n| &**n), Some("me"));
        assert_eq!(names.len(), 3);
    }
}
