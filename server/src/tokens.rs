//! Tokens, and what each of them permits: its scopes.
//!
//! The file has a line `NAME SHA-256 SCOPES` for each, so whoever reads it has no token. A line
//! without scopes is of an older server, whose tokens permitted to register. A token is 244 random
//! bits, which nobody guesses, so a plain digest is enough. The file is read again when it changed:
//! a token that is removed stops to permit anything without a restart.

use crate::config::{AccessConfig, MayRegister};
use anyhow::{Context, Result, bail};
use ogrt_proto::hex;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt, fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tracing::error;

/// How often we check whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest token; what is longer is refused without computing its digest.
const TOKEN_MAX: usize = 256;

/// Something that a token may permit. None of them holds another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To register builds and installations.
    Register,
    /// To register builds that other servers received, with what those know of the registrars.
    Relay,
    /// The scope of readers, for which nothing asks yet.
    Read,
    /// To withdraw builds.
    Administer,
}

impl Scope {
    const ALL: [(Scope, &str); 4] = [
        (Scope::Register, "register"),
        (Scope::Relay, "relay"),
        (Scope::Read, "read"),
        (Scope::Administer, "administer"),
    ];
}

/// A set of scopes; as text, their names with commas between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// The scope of a token that names none.
    pub const REGISTER: Scopes = Scopes(1 << Scope::Register as u8);

    /// Tells whether the scope is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl FromStr for Scopes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scopes = Scopes::default();
        for name in text.split(',').map(str::trim) {
            let Some((scope, _)) = Scope::ALL.into_iter().find(|(_, known)| *known == name) else {
                bail!("{name:?} is not a scope: expected register, relay, read or administer")
            };
            scopes.0 |= 1 << scope as u8;
        }
        Ok(scopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Scope::ALL.into_iter().filter(|(scope, _)| self.has(*scope)).map(|(_, name)| name);
        to.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

/// Whoever showed a token that the server knows.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// The token's name.
    pub name: String,
    /// What the token permits.
    pub scopes: Scopes,
}

/// The tokens that the server knows, and who may register without one.
pub struct Tokens {
    path: PathBuf,
    needed: bool,
    known: Mutex<KnownTokens>,
}

#[derive(Default)]
struct KnownTokens {
    by_digest: HashMap<String, Arc<TokenHolder>>,
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

    /// Whoever holds this token; `None` for a token that the server does not know.
    pub fn holder(&self, token: &str) -> Option<Arc<TokenHolder>> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let digest = digest(token);
        self.with_known(|known| known.get(&digest).cloned())
    }

    /// May a client with this token, or with none, register builds? A relay may, for others.
    pub fn may_register(&self, holder: Option<&TokenHolder>) -> bool {
        let permitted =
            |holder: &TokenHolder| holder.scopes.has(Scope::Register) || holder.scopes.has(Scope::Relay);
        !self.needed || holder.is_some_and(permitted)
    }

    /// Is there a token that permits this?
    pub fn some_have(&self, scope: Scope) -> bool {
        self.with_known(|known| known.values().any(|holder| holder.scopes.has(scope)))
    }

    fn with_known<T>(&self, ask: impl FnOnce(&HashMap<String, Arc<TokenHolder>>) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.is_none_or(|looked| looked.elapsed() > LOOK_EVERY) {
            known.looked = Some(Instant::now());
            let modified = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
            if modified != known.modified || modified.is_none() {
                known.modified = modified;
                let tokens = read(&self.path).unwrap_or_else(|problem| {
                    error!("{problem:#}. Until that is mended, no token permits anything");
                    Vec::new()
                });
                known.by_digest =
                    tokens.into_iter().map(|token| (token.digest, Arc::new(token.holder))).collect();
            }
        }
        ask(&known.by_digest)
    }
}

/// A line of the file.
struct StoredToken {
    digest: String,
    holder: TokenHolder,
}

/// Makes a token with this name and returns it. Only its digest is kept.
pub fn add(path: &Path, name: &str, scopes: Scopes) -> Result<String> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("{name:?} cannot name a token: a name is one word without control characters");
    }
    let mut tokens = read(path)?;
    if tokens.iter().any(|known| known.holder.name == name) {
        bail!("{} has a token {name} already: choose another name, or remove it first", path.display());
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let token = format!("ogrt_{}{}", random(), random());
    tokens
        .push(StoredToken { digest: digest(&token), holder: TokenHolder { name: name.to_owned(), scopes } });
    write(path, &tokens)?;
    Ok(token)
}

/// Removes the token with this name.
pub fn remove(path: &Path, name: &str) -> Result<()> {
    let mut tokens = read(path)?;
    let before = tokens.len();
    tokens.retain(|known| known.holder.name != name);
    if tokens.len() == before {
        bail!("{} has no token {name}: `ogrt-server token list` shows their names", path.display());
    }
    write(path, &tokens)
}

/// The names of all tokens, with what each permits.
pub fn list(path: &Path) -> Result<Vec<TokenHolder>> {
    Ok(read(path)?.into_iter().map(|token| token.holder).collect())
}

fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<StoredToken>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == ErrorKind::NotFound => String::new(),
        Err(problem) => return Err(problem).with_context(|| format!("cannot read {}", path.display())),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        read_line(line).with_context(|| {
            let line = number + 1;
            format!(
                "{}, line {line}: expected NAME SHA-256 SCOPES, as `ogrt-server token add` writes it",
                path.display()
            )
        })
    };
    lines.map(read).collect()
}

fn read_line(line: &str) -> Result<StoredToken> {
    let mut words = line.split_whitespace();
    let name = words.next().context("no name")?.to_owned();
    let digest = words.next().context("no digest")?.to_owned();
    let scopes = words.next().map_or(Ok(Scopes::REGISTER), str::parse)?;
    Ok(StoredToken { digest, holder: TokenHolder { name, scopes } })
}

/// Replaces the file as a whole; only its owner may read it.
fn write(path: &Path, tokens: &[StoredToken]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(cannot)?;
    }
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).with_context(cannot)?;
    for StoredToken { digest, holder: TokenHolder { name, scopes } } in tokens {
        writeln!(file, "{name} {digest} {scopes}").with_context(cannot)?;
    }
    file.sync_all().and_then(|()| fs::rename(&fresh, path)).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_register(tokens: &Tokens, token: &str) -> bool {
        tokens.may_register(tokens.holder(token).as_deref())
    }

    #[test]
    fn a_token_permits_until_it_is_removed_and_is_not_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        let tokens = Tokens::new(&config, directory.path());
        let path = config.tokens_file(directory.path());
        assert!(!tokens.may_register(None));
        assert!(!may_register(&tokens, "") && !may_register(&tokens, "ogrt_guess"));
        let token = add(&path, "easybuild", Scopes::REGISTER).unwrap();
        assert!(add(&path, "easybuild", Scopes::REGISTER).is_err());
        assert!(add(&path, "two words", Scopes::REGISTER).is_err());
        assert_eq!(
            list(&path).unwrap(),
            [TokenHolder { name: "easybuild".into(), scopes: Scopes::REGISTER }]
        );
        assert!(!fs::read_to_string(&path).unwrap().contains(&token[5..]));
        let again = Tokens::new(&config, directory.path());
        assert!(may_register(&again, &token) && !may_register(&again, &token[1..]));
        assert!(!again.may_register(None));
        remove(&path, "easybuild").unwrap();
        assert!(remove(&path, "easybuild").is_err());
        assert!(!may_register(&Tokens::new(&config, directory.path()), &token));
        assert!(Tokens::new(&AccessConfig::default(), directory.path()).may_register(None));
    }

    #[test]
    fn a_token_permits_what_its_scopes_name_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        let path = config.tokens_file(directory.path());
        let reader = add(&path, "reader", "read".parse().unwrap()).unwrap();
        let relay = add(&path, "node7", "relay,read".parse().unwrap()).unwrap();
        let tokens = Tokens::new(&config, directory.path());
        assert!(!may_register(&tokens, &reader) && may_register(&tokens, &relay));
        let holder = tokens.holder(&relay).unwrap();
        assert_eq!((holder.name.as_str(), holder.scopes.to_string().as_str()), ("node7", "relay,read"));
        assert!(holder.scopes.has(Scope::Relay) && !holder.scopes.has(Scope::Administer));
        assert!(tokens.some_have(Scope::Relay) && !tokens.some_have(Scope::Administer));
        for wrong in ["", "all", "read,", "Read"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_file_of_an_older_server_permits_to_register() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        fs::write(config.tokens_file(directory.path()), format!("old {}\n", digest("secret"))).unwrap();
        let tokens = Tokens::new(&config, directory.path());
        assert_eq!(tokens.holder("secret").unwrap().scopes, Scopes::REGISTER);
        assert!(may_register(&tokens, "secret"));
        assert_eq!(tokens.holder("secret").unwrap().scopes, Scopes::REGISTER);
    }
}
