//! `[tls]`: encrypted listeners, beside those without.

use super::table::table;
use std::path::PathBuf;

table! {
    /// Encrypted listeners, beside those without; they share the certificate. It is read again on SIGHUP.
    TlsConfig {
        /// The certificate and those of its issuers (PEM).
        certificate_file: PathBuf = PathBuf::new(),
        /// Its private key (PEM).
        key_file: PathBuf = PathBuf::new(),
        /// Only clients with a certificate of these authorities are served (PEM). Empty: everybody is.
        client_ca_file: PathBuf = PathBuf::new(),
        /// Streams as at `listen`, with TLS, as "0.0.0.0:7973". Empty: none.
        listen: String = String::new(),
        /// The HTTP interface with TLS, as "0.0.0.0:7974". Empty: none.
        http: String = String::new(),
    }
}
