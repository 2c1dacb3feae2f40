//! A connection that hears of what others write: `LISTEN`, and triggers that call `pg_notify`
//! (schema.rs).
//!
//! A notification says that there is something, and not what. So none is too long, and one that is
//! lost is made up for by the next look.

use crate::registry::error::Result;
use std::{future::poll_fn, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the database may take to say that it is there.
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// The channel of new and of withdrawn builds.
const BUILDS: &str = "ogrt_builds";

/// What was heard on a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Writes of builds.
    pub builds: u64,
    /// Writes of anything else: tokens, questions.
    pub others: u64,
    /// The largest number that a notification had with it.
    pub number: i64,
}

/// See the module.
pub struct Listener {
    client: Client,
    heard: watch::Receiver<Heard>,
}

impl Listener {
    /// Connects and listens on some channels.
    pub async fn open(
        config: &Config,
        encrypted: Option<MakeRustlsConnect>,
        channels: &[&str],
    ) -> Result<Self> {
        let (teller, heard) = watch::channel(Heard::default());
        let mut config = config.clone();
        config.application_name("ogrt-server listener");
        let client = match encrypted {
            Some(encrypted) => {
                let (client, connection) = config.connect(encrypted).await?;
                tokio::spawn(hear(connection, teller));
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(hear(connection, teller));
                client
            }
        };
        for channel in channels {
            client.batch_execute(&format!("LISTEN {channel}")).await?;
        }
        Ok(Listener { client, heard })
    }

    /// Waits for the next notification; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.changed().await.ok()?;
        Some(*self.heard.borrow_and_update())
    }

    /// Does the database answer?
    pub async fn is_alive(&self) -> bool {
        matches!(timeout(ALIVE_WITHIN, self.client.batch_execute("")).await, Ok(Ok(())))
    }
}

/// Hears until the connection ends.
async fn hear(
    mut connection: Connection<impl AsyncRead + AsyncWrite + Unpin, impl AsyncRead + AsyncWrite + Unpin>,
    teller: watch::Sender<Heard>,
) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(told) = message {
            teller.send_modify(|heard| {
                match told.channel() {
                    BUILDS => heard.builds += 1,
                    _ => heard.others += 1,
                }
                heard.number = heard.number.max(told.payload().parse().unwrap_or(0));
            });
        }
    }
}
