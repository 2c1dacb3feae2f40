//! TLS to receivers and to the registry's database: rustls with ring, certificates from a file or
//! from the system.

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// Settings that trust the certificates in `ca_file`, or the system's if that is empty.
pub fn client_config(ca_file: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if ca_file.as_os_str().is_empty() {
        // A machine without certificates can still connect to receivers without TLS.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let name = ca_file.display();
        let certificates = CertificateDer::pem_file_iter(ca_file)
            .with_context(|| format!("cannot read the certificates in {name}"))?;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("{name} is not a PEM file"))?;
            roots.add(certificate).with_context(|| format!("a certificate in {name} cannot be used"))?;
        }
        if roots.is_empty() {
            bail!("{name} has no certificate in it: expected PEM");
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
