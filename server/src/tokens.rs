//! Tokens, and what each of them permits: its scopes.
//!
//! The file has a line `NAME SHA-256 SCOPES` for each, so whoever reads it has no token. A line
//! without scopes is of an older server, whose tokens permitted to register. A token is 244 random
//! bits, which nobody guesses, so a plain digest is enough. The file is read again when it changed:
//! a token that is removed stops to permit anything without a restart.
//!
//! Servers that share a registry share its tokens. Each writes them into a second file of this
//! form, from which it knows them while the registry's database is away.

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

/// The file of the registry's tokens, in a server's data directory.
const OF_REGISTRY: &str = "tokens.registry";

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// The token's name.
    pub name: String,
    /// What the token permits.
    pub scopes: Scopes,
}

/// The tokens that the server knows, and who may register without one.
pub struct Tokens {
    /// The server's own tokens, and those of its registry.
    files: [Mutex<TokensFile>; 2],
    needed: bool,
}

/// A file of tokens, as it was when somebody last looked.
struct TokensFile {
    path: PathBuf,
    by_digest: HashMap<String, Arc<TokenHolder>>,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
}

impl TokensFile {
    fn new(path: PathBuf) -> Mutex<Self> {
        Mutex::new(TokensFile { path, by_digest: HashMap::new(), modified: None, looked: None })
    }

    /// Reads the file where it has changed.
    fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() <= LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let modified = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if modified != self.modified || modified.is_none() {
            self.modified = modified;
            let tokens = read(&self.path).unwrap_or_else(|problem| {
                error!("{problem:#}. Until that is mended, no token in it permits anything");
                Vec::new()
            });
            self.take(tokens);
        }
    }

    fn take(&mut self, tokens: Vec<StoredToken>) {
        self.by_digest = tokens.into_iter().map(|token| (token.digest, Arc::new(token.holder))).collect();
    }
}

impl Tokens {
    /// Reads the configuration; the files are read when a token is first shown.
    pub fn new(config: &AccessConfig, data_dir: &Path) -> Self {
        let paths = [config.tokens_file(data_dir), data_dir.join(OF_REGISTRY)];
        Tokens { files: paths.map(TokensFile::new), needed: config.register == MayRegister::Token }
    }

    /// Writes the tokens of the registry into their file, unless they are there; of a registry that
    /// is the server's own there are none.
    pub fn mirror(&self, tokens: &[StoredToken]) -> Result<()> {
        let mut file = self.files[1].lock().unwrap_or_else(PoisonError::into_inner);
        file.look();
        let is_known =
            |token: &StoredToken| file.by_digest.get(&token.digest).is_some_and(|one| **one == token.holder);
        if file.by_digest.len() == tokens.len() && tokens.iter().all(is_known) {
            return Ok(());
        }
        write(&file.path, tokens)?;
        // Two writes within a moment have one time.
        file.take(tokens.to_vec());
        Ok(())
    }

    /// Whoever holds this token; `None` for a token that the server does not know.
    pub fn holder(&self, token: &str) -> Option<Arc<TokenHolder>> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let digest = digest(token);
        self.find(|known| known.get(&digest).cloned())
    }

    /// May a client with this token, or with none, register builds? A relay may, for others.
    pub fn may_register(&self, holder: Option<&TokenHolder>) -> bool {
        let permitted =
            |holder: &TokenHolder| holder.scopes.has(Scope::Register) || holder.scopes.has(Scope::Relay);
        !self.needed || holder.is_some_and(permitted)
    }

    /// Is there a token that permits this?
    pub fn some_have(&self, scope: Scope) -> bool {
        let has = |known: &HashMap<_, Arc<TokenHolder>>| known.values().any(|one| one.scopes.has(scope));
        self.find(|known| has(known).then_some(())).is_some()
    }

    fn find<T>(&self, ask: impl Fn(&HashMap<String, Arc<TokenHolder>>) -> Option<T>) -> Option<T> {
        self.files.iter().find_map(|file| {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.look();
            ask(&file.by_digest)
        })
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// SHA-256 of the token, in hexadecimal digits.
    pub digest: String,
    /// Who holds it.
    pub holder: TokenHolder,
}

/// A place where tokens are kept.
pub trait TokenStore {
    /// Keeps a token; false where one has this name already.
    fn add(&self, token: StoredToken) -> Result<bool>;

    /// Removes the token with this name; false where there is none.
    fn remove(&self, name: &str) -> Result<bool>;

    /// All tokens.
    fn list(&self) -> Result<Vec<StoredToken>>;
}

/// The file of a server's own tokens.
pub struct TokensOfServer {
    /// The file.
    pub path: PathBuf,
}

impl TokenStore for TokensOfServer {
    fn add(&self, token: StoredToken) -> Result<bool> {
        let mut tokens = read(&self.path)?;
        if tokens.iter().any(|known| known.holder.name == token.holder.name) {
            return Ok(false);
        }
        tokens.push(token);
        write(&self.path, &tokens).map(|()| true)
    }

    fn remove(&self, name: &str) -> Result<bool> {
        let mut tokens = read(&self.path)?;
        let before = tokens.len();
        tokens.retain(|known| known.holder.name != name);
        if tokens.len() == before {
            return Ok(false);
        }
        write(&self.path, &tokens).map(|()| true)
    }

    fn list(&self) -> Result<Vec<StoredToken>> {
        read(&self.path)
    }
}

/// Makes a token with this name and returns it. Only its digest is kept.
pub fn add(store: &dyn TokenStore, name: &str, scopes: Scopes) -> Result<String> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("{name:?} cannot name a token: a name is one word without control characters");
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let token = format!("ogrt_{}{}", random(), random());
    let holder = TokenHolder { name: name.to_owned(), scopes };
    if !store.add(StoredToken { digest: digest(&token), holder })? {
        bail!("there is a token {name} already: choose another name, or remove it first");
    }
    Ok(token)
}

/// Removes the token with this name.
pub fn remove(store: &dyn TokenStore, name: &str) -> Result<()> {
    if !store.remove(name)? {
        bail!("there is no token {name}: `ogrt-server token list` shows their names");
    }
    Ok(())
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
        let store = TokensOfServer { path: path.clone() };
        assert!(!tokens.may_register(None));
        assert!(!may_register(&tokens, "") && !may_register(&tokens, "ogrt_guess"));
        let token = add(&store, "easybuild", Scopes::REGISTER).unwrap();
        assert!(add(&store, "easybuild", Scopes::REGISTER).is_err());
        assert!(add(&store, "two words", Scopes::REGISTER).is_err());
        let holders: Vec<_> = store.list().unwrap().into_iter().map(|token| token.holder).collect();
        assert_eq!(holders, [TokenHolder { name: "easybuild".into(), scopes: Scopes::REGISTER }]);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token[5..]));
        let again = Tokens::new(&config, directory.path());
        assert!(may_register(&again, &token) && !may_register(&again, &token[1..]));
        assert!(!again.may_register(None));
        remove(&store, "easybuild").unwrap();
        assert!(remove(&store, "easybuild").is_err());
        assert!(!may_register(&Tokens::new(&config, directory.path()), &token));
        assert!(Tokens::new(&AccessConfig::default(), directory.path()).may_register(None));
    }

    #[test]
    fn a_token_permits_what_its_scopes_name_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        let store = TokensOfServer { path: config.tokens_file(directory.path()) };
        let reader = add(&store, "reader", "read".parse().unwrap()).unwrap();
        let relay = add(&store, "node7", "relay,read".parse().unwrap()).unwrap();
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
    #[test]
    fn tokens_of_the_registry_permit_beside_those_of_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let config = AccessConfig { register: MayRegister::Token, ..AccessConfig::default() };
        let tokens = Tokens::new(&config, directory.path());
        let own = TokensOfServer { path: config.tokens_file(directory.path()) };
        let own = add(&own, "own", Scopes::REGISTER).unwrap();
        let holder = TokenHolder { name: "shared".into(), scopes: "register,administer".parse().unwrap() };
        tokens.mirror(&[StoredToken { digest: digest("shared"), holder }]).unwrap();
        assert!(may_register(&tokens, &own) && may_register(&tokens, "shared"));
        assert!(tokens.some_have(Scope::Administer));
        // They are known while the registry is away, and gone when it has them no more.
        assert!(may_register(&Tokens::new(&config, directory.path()), "shared"));
        tokens.mirror(&[]).unwrap();
        assert!(may_register(&tokens, &own) && !may_register(&tokens, "shared"));
    }
}
