//! A server that failed is left alone for [`REST`], by every link that shares the spool.
//!
//! Each such server has a stamp of its own in the spool's directory `resting`: builds that talk to
//! two servers in turn do not make each other forget. The stamp's name is a digest of the server's
//! address, its time is the failure's. Expired stamps are deleted when the next one is written.

use crate::deliver::connection::{REST, Server};
use crate::deliver::spool::SpoolDir;
use crate::record::digest::sha256_of;
use ogrt_proto::hex;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "resting";

/// The server failed a short while ago and is to be left alone.
pub fn rests(spool: &SpoolDir, server: &Server) -> bool {
    let stamp = stamp(spool.path(), server);
    std::fs::metadata(&stamp).is_ok_and(|metadata| is_recent(&metadata))
        && std::fs::read_to_string(&stamp).is_ok_and(|text| text == server.to_string())
}

/// Writes the stamp of a server that has just failed. If that fails, the next link tries the server
/// again.
pub fn let_rest(spool: &SpoolDir, server: &Server) {
    let stamp = stamp(spool.path(), server);
    let Some(directory) = stamp.parent().filter(|_| spool.make().is_ok()) else { return };
    let _ = std::fs::create_dir(directory);
    let _ = std::fs::write(&stamp, server.to_string());
    for other in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if other.metadata().is_ok_and(|metadata| !is_recent(&metadata)) {
            let _ = std::fs::remove_file(other.path());
        }
    }
}

/// Deletes the stamp of a server that has just acknowledged what waited for it.
pub fn end(spool: &SpoolDir, server: &Server) {
    // Usually there is no stamp.
    let _ = std::fs::remove_file(stamp(spool.path(), server));
}

fn stamp(spool: &Path, server: &Server) -> PathBuf {
    let digest = sha256_of(server.to_string().as_bytes());
    spool.join(DIRECTORY).join(hex(&digest[..8]))
}

fn is_recent(stamp: &Metadata) -> bool {
    stamp.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < REST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    #[test]
    fn each_server_has_a_rest_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let spool = SpoolDir::at(dir.path().join("spool"));
        let [one, other, third] = ["127.0.0.1:1", "127.0.0.1:2", "unix:/run/ogrt.sock"].map(Server::parse);
        assert!(!rests(&spool, &one));
        let_rest(&spool, &one);
        let_rest(&spool, &other);
        assert!(rests(&spool, &one) && rests(&spool, &other) && !rests(&spool, &third));
        end(&spool, &other);
        assert!(rests(&spool, &one) && !rests(&spool, &other));
        let_rest(&spool, &other);

        // A rest ends, and its stamp is deleted with the next failure.
        let long_ago = SystemTime::now() - REST - Duration::from_secs(1);
        let old = stamp(spool.path(), &one);
        File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        assert!(!rests(&spool, &one) && rests(&spool, &other));
        let_rest(&spool, &third);
        assert!(!old.exists() && rests(&spool, &other) && rests(&spool, &third));
        // After a clock was set back, a server is not left alone for ever.
        let to_come = SystemTime::now() + Duration::from_secs(3600);
        let new = stamp(spool.path(), &third);
        File::options().write(true).open(&new).unwrap().set_modified(to_come).unwrap();
        assert!(!rests(&spool, &third));
        // Stamps are not records.
        assert!(spool.waiting().is_empty());
        assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 1);
    }
}
