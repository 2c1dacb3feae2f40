//! Connections to the database, each in a thread of its own, each answering one question at a time.
//!
//! Whoever asks may block, but not longer than it says: a database that is away or hangs is an
//! error after that time. For one second after that, every question is refused at once. When a
//! connection turns out to be dead, its question is asked once more on a fresh one. So nobody
//! notices that the database was restarted.

use super::{
    listener::Listener,
    migrate::{self, Tables},
};
use crate::{
    config::DatabaseAddress,
    registry::{RegistryError, error::Result},
    tls_client::client_config,
};
use anyhow::Context;
use std::{
    collections::HashMap,
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, Row, Statement, config::SslMode, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{info, warn};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a connection is silent before the kernel asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long the database is not asked after it was away.
const AWAY: Duration = Duration::from_secs(1);

/// The work of a question, which runs a second time if the connection was dead.
pub type SessionWork<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// An open connection: the client, and its prepared statements.
pub struct Session {
    client: Client,
    prepared: HashMap<&'static str, Statement>,
}

impl Session {
    /// Rows of a statement that is used often: the database parses and plans it once.
    pub async fn ask_again(
        &mut self,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let prepared = self.prepare_once(statement).await?;
        self.client.query(&prepared, parameters).await
    }

    /// A statement that the database parses and plans once.
    pub async fn prepare_once(
        &mut self,
        statement: &'static str,
    ) -> Result<Statement, tokio_postgres::Error> {
        Ok(match self.prepared.get(statement) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared = self.client.prepare(statement).await?;
                self.prepared.insert(statement, prepared.clone());
                prepared
            }
        })
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

type Task = Box<dyn FnOnce(&mut DatabaseConnection) + Send>;

/// See the module.
pub struct Connections {
    work: Sender<Task>,
    state: Arc<Availability>,
    config: Config,
    encrypted: Option<MakeRustlsConnect>,
    tables: Tables,
}

#[derive(Default)]
struct Availability {
    away_since: Mutex<Option<Instant>>,
}

impl Availability {
    fn away(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.away_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Makes threads for `count` connections, which are opened when they are needed, and which make
    /// the tables where these are missing.
    pub fn new(address: &DatabaseAddress<'_>, tables: Tables, count: usize) -> anyhow::Result<Self> {
        let mut config: Config = address.url.parse().with_context(|| {
            format!("{}.url cannot be parsed (docs/registry.md has examples)", address.table)
        })?;
        config.connect_timeout(CONNECT).application_name("ogrt-server");
        // A machine that is gone says nothing.
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(3);
        let encrypted = match config.get_ssl_mode() {
            SslMode::Require => Some(MakeRustlsConnect::new(client_config(address.ca_file)?)),
            _ => None,
        };
        let (work, queue) = channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        let state = Arc::new(Availability::default());
        for number in 0..count {
            let mut connection =
                DatabaseConnection::new(config.clone(), encrypted.clone(), tables, state.clone())?;
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("{} {number}", tables.thread_name()))
                .spawn(move || {
                    while let Some(work) = next(&queue) {
                        work(&mut connection);
                    }
                })
                .context("cannot start a thread for a database")?;
        }
        Ok(Connections { work, state, config, encrypted, tables })
    }

    /// Opens a connection that hears of what is written.
    pub async fn listen(&self) -> Result<Listener> {
        let opened =
            timeout(CONNECT, Listener::open(&self.config, self.encrypted.clone(), self.tables.channels()))
                .await;
        opened.unwrap_or_else(|_| Err(RegistryError::Away(format!("no answer within {CONNECT:?}"))))
    }

    /// Asks, and waits for the answer for at most `within`.
    pub fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        question: impl for<'a> Fn(&'a mut Session) -> SessionWork<'a, T> + Send + 'static,
    ) -> Result<T> {
        self.refuse_while_away()?;
        let (answer, answered) = sync_channel(1);
        let deadline = Instant::now() + within;
        let work: Task = Box::new(move |connection| {
            // Nobody receives the answer when whoever asked gave up.
            let _ = answer.send(connection.ask(deadline, &question));
        });
        self.work.send(work).map_err(|_| RegistryError::Away("ogrt-server is stopping".into()))?;
        // The thread itself keeps the time. This timeout is for the case that all threads are busy.
        let slack = Duration::from_secs(1);
        let answer = answered.recv_timeout(within + slack);
        answer.map_err(|_| RegistryError::Away("it does not answer".into()))?
    }

    /// True while the last question had no answer.
    pub fn is_away(&self) -> bool {
        self.state.away().is_some()
    }

    fn refuse_while_away(&self) -> Result<()> {
        match *self.state.away() {
            Some(since) if since.elapsed() < AWAY => {
                Err(RegistryError::Away("it did not answer a moment ago".into()))
            }
            _ => Ok(()),
        }
    }
}

fn next(queue: &Mutex<Receiver<Task>>) -> Option<Task> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

struct DatabaseConnection {
    config: Config,
    encrypted: Option<MakeRustlsConnect>,
    runtime: tokio::runtime::Runtime,
    session: Option<Session>,
    tables: Tables,
    state: Arc<Availability>,
}

impl DatabaseConnection {
    fn new(
        config: Config,
        encrypted: Option<MakeRustlsConnect>,
        tables: Tables,
        state: Arc<Availability>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(DatabaseConnection { config, encrypted, runtime, session: None, tables, state })
    }

    fn ask<T>(
        &mut self,
        deadline: Instant,
        question: &impl for<'a> Fn(&'a mut Session) -> SessionWork<'a, T>,
    ) -> Result<T> {
        let was_connected = self.session.as_ref().is_some_and(|session| !session.is_closed());
        let mut answer = self.ask_once(deadline, question);
        if was_connected && answer.as_ref().is_err_and(is_away) {
            answer = self.ask_once(deadline, question);
        }
        let mut away = self.state.away();
        match &answer {
            Err(RegistryError::Away(why)) => {
                if away.is_none() {
                    warn!(
                        "the {}'s database is away: {why}. {}",
                        self.tables.owner(),
                        self.tables.what_waits()
                    );
                }
                *away = Some(Instant::now());
            }
            _ => {
                if away.take().is_some() {
                    info!("the {}'s database is back", self.tables.owner());
                }
            }
        }
        answer
    }

    fn ask_once<T>(
        &mut self,
        deadline: Instant,
        question: &impl for<'a> Fn(&'a mut Session) -> SessionWork<'a, T>,
    ) -> Result<T> {
        let left = deadline.saturating_duration_since(Instant::now());
        let DatabaseConnection { config, encrypted, runtime, session, tables, .. } = self;
        let tables = *tables;
        if session.as_ref().is_none_or(|session| session.is_closed()) {
            *session = None;
            let connecting = async {
                let connected = connect(config, encrypted.clone()).await?;
                let is_up_to_date = migrate::is_up_to_date(&connected, tables).await?;
                Ok::<_, RegistryError>((connected, is_up_to_date))
            };
            let connected = runtime.block_on(async { timeout(left, connecting).await });
            let Ok(connected) = connected else {
                return Err(RegistryError::Away(format!("no answer within {left:?}")));
            };
            let (mut connected, is_up_to_date) = connected?;
            if !is_up_to_date {
                // Migrating old tables takes as long as it takes; whoever asked gives up before.
                runtime.block_on(migrate::bring_up_to_date(&mut connected, tables))?;
            }
            *session = Some(Session { client: connected, prepared: HashMap::new() });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let asking = async {
            match session {
                Some(session) => question(session).await,
                None => Err(RegistryError::Away("it is not connected".into())),
            }
        };
        // tokio makes timers only inside its runtime.
        let asked = runtime.block_on(async { timeout(left, asking).await });
        // A question that was cut off leaves the connection in the middle of a statement, so it is
        // closed below.
        let answer = asked.unwrap_or_else(|_| Err(RegistryError::Away(format!("no answer within {left:?}"))));
        if answer.as_ref().is_err_and(is_away) {
            self.session = None;
        }
        answer
    }
}

async fn connect(config: &Config, encrypted: Option<MakeRustlsConnect>) -> Result<Client> {
    let client = match encrypted {
        Some(encrypted) => {
            let (client, connection) = config.connect(encrypted).await?;
            // The client notices when it ends.
            tokio::spawn(async move { drop(connection.await) });
            client
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            client
        }
    };
    Ok(client)
}

fn is_away(problem: &RegistryError) -> bool {
    matches!(problem, RegistryError::Away(_))
}

/// An error that the database itself sent is [`RegistryError::Refused`]; any other means that it is
/// away.
impl From<tokio_postgres::Error> for RegistryError {
    fn from(cause: tokio_postgres::Error) -> Self {
        match cause.as_db_error() {
            // 57: it stops or starts; 53: it lacks resources; 08: the connection failed; 25006: it
            // is read-only. These pass.
            Some(told)
                if !["57", "53", "08"].iter().any(|class| told.code().code().starts_with(class))
                    && told.code().code() != "25006" =>
            {
                let (message, code) = (told.message().to_owned(), told.code().code().to_owned());
                RegistryError::Refused { message, code }
            }
            _ => RegistryError::Away(root_cause(&cause)),
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().replace('\n', " ")
}
