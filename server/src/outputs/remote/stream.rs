//! Byte streams to receivers: TCP, with TLS if configured.

use crate::tls_client::client_config;
use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// The address and the TLS settings of a receiver.
pub struct Connector {
    address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// `address` is `host:port`; the receiver's certificate must be for that host.
    pub fn new(address: &str, with_tls: bool, ca_file: &Path) -> Result<Self> {
        let (host, _) = address
            .rsplit_once(':')
            .with_context(|| format!("address = \"{address}\": expected HOST:PORT"))?;
        let tls = if with_tls {
            let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(name).with_context(|| format!("address = \"{address}\""))?;
            Some((TlsConnector::from(Arc::new(client_config(ca_file)?)), name))
        } else {
            None
        };
        Ok(Connector { address: address.to_owned(), tls })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Box<dyn ByteStream>> {
        let connect = async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            Ok::<Box<dyn ByteStream>, std::io::Error>(match &self.tls {
                Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
                None => Box::new(stream),
            })
        };
        timeout(CONNECT_MAX, connect)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .with_context(|| format!("cannot connect to {}", self.address))
    }
}
