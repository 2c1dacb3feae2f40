//! The commit of the source directory, read from `.git` without running git.

use ogrt_proto::Source;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The most parent directories that are searched.
const PARENTS_MAX: usize = 12;

/// The commit that is checked out in `dir` or in a directory above it.
pub fn source_of(dir: &Path) -> Option<Source> {
    let (root, git) = dir.ancestors().take(PARENTS_MAX).find_map(|dir| Some((dir, git_dir(dir)?)))?;
    Some(Source {
        git_commit: Some(head_commit(&git)?),
        directory: Some(root.as_os_str().as_bytes().to_vec().into()),
    })
}

/// The directory `.git`, or the one that the file `.git` of a worktree or submodule names.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    let git = dir.join(".git");
    let metadata = std::fs::metadata(&git).ok()?;
    if metadata.is_dir() {
        return Some(git);
    }
    let pointer = read_small(&git)?;
    Some(dir.join(pointer.strip_prefix("gitdir:")?.trim()))
}

fn head_commit(git: &Path) -> Option<String> {
    let head = read_small(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref:") else { return commit(&head) };
    let reference = reference.trim();
    // A worktree keeps its branches in the repository it belongs to.
    let common = read_small(&git.join("commondir")).map(|path| git.join(path.trim()));
    let homes: Vec<&Path> = std::iter::once(git).chain(common.as_deref()).collect();
    homes.iter().find_map(|home| commit(&read_small(&home.join(reference))?)).or_else(|| {
        homes.iter().find_map(|home| {
            let packed = read_small(&home.join("packed-refs"))?;
            packed.lines().find_map(|line| commit(line.strip_suffix(reference)?))
        })
    })
}

fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_digest = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| text.to_owned())
}

fn read_small(path: &Path) -> Option<String> {
    const BYTES_MAX: u64 = 4 * 1024 * 1024;
    let metadata = std::fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= BYTES_MAX).then(|| std::fs::read_to_string(path).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMMIT: &str = "84283af0123456789abcdef0123456789abcdef0";

    #[test]
    fn branches_loose_packed_and_detached() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::create_dir_all(dir.path().join("src/deep")).unwrap();
        let found = || source_of(&dir.path().join("src/deep")).and_then(|source| source.git_commit);

        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(found(), None);
        fs::write(git.join("packed-refs"), format!("# pack-refs\n{COMMIT} refs/heads/main\n")).unwrap();
        assert_eq!(found().as_deref(), Some(COMMIT));
        fs::write(git.join("refs/heads/main"), COMMIT.replace('8', "9")).unwrap();
        assert_eq!(found(), Some(COMMIT.replace('8', "9")));
        fs::write(git.join("HEAD"), COMMIT).unwrap();
        assert_eq!(found().as_deref(), Some(COMMIT));
    }
}
