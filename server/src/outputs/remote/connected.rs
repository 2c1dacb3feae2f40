//! Receivers to which a connection stays open from one request to the next.
//!
//! Each worker has a connection, made when it is first needed. An error, or an answer that does not
//! come in time, ends it, and the next request makes another.

use super::{Document, SendError, SendOutcome, Sink};
use anyhow::Result;

/// How to connect to a kind of receiver, and how to send over the connection.
pub trait Protocol: Send {
    /// An open connection.
    type Connection: Send;

    /// Connects, and creates what the receiver needs.
    async fn connect(&self) -> Result<Self::Connection>;

    /// Takes the open connection, or makes one. The caller puts it back after using it without a
    /// failure.
    async fn open(&self, connection: &mut Option<Self::Connection>) -> Result<Self::Connection> {
        match connection.take() {
            Some(open) => Ok(open),
            None => self.connect().await,
        }
    }

    /// Sends documents over the connection, as [`Sink::send`] does.
    async fn send_over(&self, connection: &mut Self::Connection, documents: &[Document<'_>]) -> SendOutcome;
}

/// See the module.
pub struct ConnectionSink<C>(pub C);

impl<C: Protocol> Sink for ConnectionSink<C> {
    type Worker = Option<C::Connection>;

    fn worker(&self, _: usize) -> Self::Worker {
        None
    }

    fn renew(&self, connection: &mut Self::Worker) {
        *connection = None;
    }

    async fn check(&self, connection: &mut Self::Worker) -> Result<()> {
        *connection = Some(self.0.connect().await?);
        Ok(())
    }

    async fn send(&self, connection: &mut Self::Worker, documents: &[Document<'_>]) -> SendOutcome {
        // A connection that ended while it was idle shows that by a failure.
        let mut open = self.0.open(connection).await?;
        let sent = self.0.send_over(&mut open, documents).await;
        if !matches!(sent, Err(SendError::Failed(_))) {
            *connection = Some(open);
        }
        sent
    }
}
