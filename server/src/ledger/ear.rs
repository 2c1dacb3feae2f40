//! A connection that hears of questions, so that this server writes at once what it has.

use super::Ledger;
use crate::{registry::DatabaseListener, shutdown::Shutdown};
use std::time::{Duration, Instant};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::debug;

/// The time between two questions whether the database still talks to us, and between two tries to
/// connect.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
const CONNECT_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub struct Ear {
    listener: Option<DatabaseListener>,
    asked: watch::Sender<i64>,
}

impl Ear {
    /// Tells the number of the newest question by `asked`.
    pub fn new(asked: watch::Sender<i64>) -> Self {
        Ear { listener: None, asked }
    }

    /// Listens until `stop`. Runs in a thread of its own.
    pub async fn listen(mut self, ledger: &Ledger, stop: Shutdown) {
        let mut alive = Instant::now();
        while !stop.asked() {
            let Some(listener) = &mut self.listener else {
                match ledger.connections.listen().await {
                    Ok(listener) => {
                        (self.listener, alive) = (Some(listener), Instant::now());
                        // What was asked until now was heard by nobody.
                        self.look(ledger);
                    }
                    Err(problem) => {
                        debug!("the store's database does not tell of questions: {problem}");
                        let _ = timeout(CONNECT_EVERY, stop.wait()).await;
                    }
                }
                continue;
            };
            tokio::select! {
                heard = listener.next() => match heard {
                    Some(heard) => self.note(heard.number),
                    None => self.listener = None,
                },
                () = stop.wait() => return,
                () = sleep(ALIVE_EVERY) => {}
            }
            if alive.elapsed() > ALIVE_EVERY
                && let Some(listener) = &self.listener
            {
                alive = Instant::now();
                if !listener.is_alive().await {
                    self.listener = None;
                }
            }
        }
    }

    fn note(&self, number: i64) {
        self.asked.send_if_modified(|asked| {
            let is_new = number > *asked;
            *asked = number.max(*asked);
            is_new
        });
    }

    fn look(&self, ledger: &Ledger) {
        let last = ledger.look(|session| {
            Box::pin(async move {
                let select = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ogrt_questions";
                Ok(session.query_one(select, &[]).await?.get::<_, i64>(0))
            })
        });
        if let Ok(last) = last {
            self.note(last);
        }
    }
}
