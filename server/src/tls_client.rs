//! TLS towards receivers: rustls with ring, certificates from a file or from the system.

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// Trusts what is in `ca_file`, or what the system trusts where that is empty.
pub fn client_config(ca_file: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if ca_file.as_os_str().is_empty() {
        // A machine without certificates can still speak to receivers that need none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let name = ca_file.display();
        let certificates = CertificateDer::pem_file_iter(ca_file)
            .with_context(|| format!("cannot read the certificates in {name}"))?;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("{name} is no PEM file"))?;
            roots.add(certificate).with_context(|| format!("a certificate in {name} cannot be used"))?;
        }
        if roots.is_empty() {
            bail!("there is no certificate in {name}");
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
