//! Tokens that permit to register builds.
//!
//! The file has a line `NAME SHA-256` for each, so whoever reads it has no token. A token is 244
//! random bits, which nobody guesses, so a plain digest is enough. The file is read again when it
//! changed: a token that is removed stops to permit anything without a restart.

use crate::config::{AccessConfig, MayRegister};
use anyhow::{Context, Result, bail};
use ogrt_proto::hex;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tracing::error;

/// How often we check whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest token; what is longer is refused without computing its digest.
const TOKEN_MAX: usize = 256;

/// Decides who may register builds.
pub struct Tokens {
    path: PathBuf,
    needed: bool,
    known: Mutex<TokenDigests>,
}

#[derive(Default)]
struct TokenDigests {
    digests: Vec<String>,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
}

impl Tokens {
    /// Reads the configuration; the file is read when a token is first shown.
    pub fn new(config: &AccessConfig, data_dir: &Path) -> Self {
        Tokens {
            path: config.tokens_file(data_dir),
            needed: config.register == MayRegister::Token,
            known: Mutex::default(),
        }
    }

    /// May a client with this token, or with none, register builds?
    pub fn permit(&self, token: Option<&str>) -> bool {
        if !self.needed {
            return true;
        }
        let Some(token) = token.filter(|token| token.len() <= TOKEN_MAX) else { return false };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.is_none_or(|looked| looked.elapsed() > LOOK_EVERY) {
            known.looked = Some(Instant::now());
            let modified = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
            if modified != known.modified || modified.is_none() {
                known.modified = modified;
                known.digests = read(&self.path).map_or_else(
                    |problem| {
                        error!("{problem:#}. Until that is mended, nobody can register builds");
                        Vec::new()
                    },
                    |tokens| tokens.into_iter().map(|(_, digest)| digest).collect(),
                );
            }
        }
        known.digests.contains(&digest(token))
    }
}

/// Makes a token with this name and returns it. Only its digest is kept.
pub fn add(path: &Path, name: &str) -> Result<String> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("{name:?} cannot name a token: a name is one word without control characters");
    }
    let mut tokens = read(path)?;
    if tokens.iter().any(|(known, _)| known == name) {
        bail!("{} has a token {name} already: choose another name, or remove it first", path.display());
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let token = format!("ogrt_{}{}", random(), random());
    tokens.push((name.to_owned(), digest(&token)));
    write(path, &tokens)?;
    Ok(token)
}

/// Removes the token with this name.
pub fn remove(path: &Path, name: &str) -> Result<()> {
    let mut tokens = read(path)?;
    let before = tokens.len();
    tokens.retain(|(known, _)| known != name);
    if tokens.len() == before {
        bail!("{} has no token {name}: `ogrt-server token list` shows their names", path.display());
    }
    write(path, &tokens)
}

/// The names of all tokens.
pub fn names(path: &Path) -> Result<Vec<String>> {
    Ok(read(path)?.into_iter().map(|(name, _)| name).collect())
}

fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == ErrorKind::NotFound => String::new(),
        Err(problem) => return Err(problem).with_context(|| format!("cannot read {}", path.display())),
    };
    let line = |(number, line): (usize, &str)| {
        let (name, digest) = line.split_once(' ').with_context(|| {
            format!(
                "{}, line {}: expected NAME SHA-256, as `ogrt-server token add` writes it",
                path.display(),
                number + 1
            )
        })?;
        Ok((name.to_owned(), digest.trim().to_owned()))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// Replaces the file as a whole; only its owner may read it.
fn write(path: &Path, tokens: &[(String, String)]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(cannot)?;
    }
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).with_context(cannot)?;
    for (name, digest) in tokens {
        writeln!(file, "{name} {digest}").with_context(cannot)?;
    }
    file.sync_all().and_then(|()| fs::rename(&fresh, path)).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_permits_until_it_is_removed_and_is_not_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        let tokens = Tokens::new(&config, directory.path());
        let path = config.tokens_file(directory.path());
        assert!(!tokens.permit(None) && !tokens.permit(Some("")) && !tokens.permit(Some("ogrt_guess")));
        let token = add(&path, "easybuild").unwrap();
        assert!(add(&path, "easybuild").is_err() && add(&path, "two words").is_err());
        assert_eq!(names(&path).unwrap(), ["easybuild"]);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token[5..]));
        let again = Tokens::new(&config, directory.path());
        assert!(again.permit(Some(&token)) && !again.permit(Some(&token[1..])) && !again.permit(None));
        remove(&path, "easybuild").unwrap();
        assert!(remove(&path, "easybuild").is_err());
        assert!(!Tokens::new(&config, directory.path()).permit(Some(&token)));
        assert!(Tokens::new(&AccessConfig::default(), directory.path()).permit(None));
    }
}
