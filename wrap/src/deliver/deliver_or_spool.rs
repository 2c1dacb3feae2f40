//! The delivery of a record: at once, or by the spool, where it waits until a later link or `ogrt
//! flush` sends it.

use crate::deliver::connection::{DeliverError, PendingConnection, Server};
use crate::deliver::server_rest;
use crate::deliver::spool::{FlushReport, SpoolDir, SpoolError};
use std::path::Path;
use std::time::{Duration, Instant};

/// The place of frames that were to be delivered.
#[derive(Debug)]
pub enum Delivery {
    /// The server has them.
    Done,
    /// They wait in the spool.
    Spooled,
    /// They wait in the spool, because the server does not take them from us.
    Refused(DeliverError),
}

/// Sends all files that wait in the spool. Connecting may take `patience`, and so may each group of
/// files.
pub fn flush(
    spool: &SpoolDir,
    server: &Server,
    token_file: Option<&Path>,
    patience: Duration,
) -> FlushReport {
    const GROUP: usize = 64;
    let mut total = FlushReport::default();
    spool.take_back_dead_claims();
    if !spool.waiting().is_empty() {
        match server.connect(token_file, Instant::now() + patience) {
            Ok(mut connection) => loop {
                let report = spool.send_some(&mut connection, GROUP, Instant::now() + patience);
                total.sent += report.sent;
                total.damaged += report.damaged;
                total.error = report.error;
                if total.error.is_some() || report.sent + report.damaged == 0 {
                    break;
                }
            },
            Err(error) => total.error = Some(error),
        }
    }
    if total.sent > 0 && total.error.is_none() {
        server_rest::end(spool, server);
    }
    total.left = spool.waiting().len();
    total
}

/// Delivers frames now, or else puts them into the spool.
///
/// It waits for the server at most `patience`. If the spool `has_more`, some of its files are sent
/// as well. An error means that the frames are lost.
pub fn deliver_or_spool(
    frames: &[u8],
    count: u64,
    connecting: Option<PendingConnection>,
    has_more: bool,
    patience: Duration,
    server: &Server,
    spool: &SpoolDir,
) -> Result<Delivery, SpoolError> {
    /// The most files of the spool that a link sends along.
    const TAKEN_ALONG: usize = 8;

    let Some(connecting) = connecting else { return spool.put(frames).map(|()| Delivery::Spooled) };
    let deadline = Instant::now() + patience;
    let delivered = connecting.ready_by(deadline).and_then(|mut connection| {
        if has_more {
            connection.send(frames, count, deadline)?;
        } else {
            connection.send_all(frames, count, deadline)?;
        }
        connection.wait_durable(deadline)?;
        Ok(connection)
    });
    match delivered {
        Ok(mut connection) => {
            if has_more {
                spool.take_back_dead_claims();
                spool.send_some(&mut connection, TAKEN_ALONG, deadline);
            }
            Ok(Delivery::Done)
        }
        Err(error) => {
            spool.put(frames)?;
            if let DeliverError::Refused { .. } = error {
                // It answers at once, so it needs no rest, and each link hears what is wrong.
                return Ok(Delivery::Refused(error));
            }
            server_rest::let_rest(spool, server);
            Ok(Delivery::Spooled)
        }
    }
}
