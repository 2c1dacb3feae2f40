//! TLS for the listening sockets: rustls with ring, so that the server stays one static program.

use crate::config::TlsConfig;
use anyhow::{Context, Result, bail};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate in use, which can be exchanged while the server runs.
pub struct Tls {
    config: TlsConfig,
    server: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads certificate and key; `None` if nothing listens with TLS.
    pub fn open(config: &TlsConfig) -> Result<Option<Arc<Self>>> {
        if config.listen.is_empty() && config.http.is_empty() {
            return Ok(None);
        }
        let server = Mutex::new(Arc::new(read(config)?));
        Ok(Some(Arc::new(Tls { config: config.clone(), server })))
    }

    /// Reads the files again, for the connections from now on.
    pub fn reload(&self) -> Result<()> {
        let fresh = Arc::new(read(&self.config)?);
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Makes the handshake with a client.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match timeout(HANDSHAKE, TlsAcceptor::from(server).accept(stream)).await {
            Ok(stream) => stream.context("the TLS handshake failed"),
            Err(_) => bail!("the client did not finish its TLS handshake within {HANDSHAKE:?}"),
        }
    }
}

fn read(config: &TlsConfig) -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(&config.key_file).with_context(|| {
        format!("tls.key_file: cannot read a private key from {} (PEM)", config.key_file.display())
    })?;
    let certificates = certificates("tls.certificate_file", &config.certificate_file)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?;
    let builder = if config.client_ca_file.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in self::certificates("tls.client_ca_file", &config.client_ca_file)? {
            roots.add(authority).context("tls.client_ca_file: a certificate in it cannot be used")?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.context("tls.client_ca_file: cannot check clients by it")?)
    };
    builder
        .with_single_cert(certificates, key)
        .context("the key in tls.key_file does not belong to the certificate in tls.certificate_file")
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates =
        read.with_context(|| format!("{key}: cannot read certificates from {} (PEM)", path.display()))?;
    if certificates.is_empty() {
        bail!("{key}: {} has no certificate in it (PEM)", path.display());
    }
    Ok(certificates)
}
