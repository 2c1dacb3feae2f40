//! Receivers with whom a connection stays open from one request to the next.
//!
//! Each worker has one, made when it is first needed. It stays as long as requests over it are answered; an error, or an
//! answer that does not come in time, ends it, and the next request makes another.

use super::{Document, SendError, SendOutcome, Sink};
use anyhow::Result;

/// What differs from receiver to receiver.
pub trait Protocol: Send {
    /// A connection.
    type Connection: Send;

    /// Makes one, and puts there what the receiver needs.
    async fn connect(&self) -> Result<Self::Connection>;

    /// Takes the one that is open, or makes one. Who has used it without a failure puts it back.
    async fn open(&self, connection: &mut Option<Self::Connection>) -> Result<Self::Connection> {
        match connection.take() {
            Some(open) => Ok(open),
            None => self.connect().await,
        }
    }

    /// As [`Sink::send`].
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
        // An idle one may have ended meanwhile; that shows by a failure.
        let mut open = self.0.open(connection).await?;
        let sent = self.0.send_over(&mut open, documents).await;
        if !matches!(sent, Err(SendError::Failed(_))) {
            *connection = Some(open);
        }
        sent
    }
}
