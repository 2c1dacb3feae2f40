//! `[tls]`: encrypted listeners, beside those without.

use super::table::table;
use std::path::PathBuf;

table! {
    /// TLS: encrypted ports in addition to those above. Both have the same certificate, which is
    /// read again on SIGHUP.
    TlsConfig {
        /// File with the certificate of this server, followed by those of its issuers (PEM). Needed
        /// for listen and http below.
        certificate_file: PathBuf = PathBuf::new(),
        /// File with the private key of the certificate (PEM).
        key_file: PathBuf = PathBuf::new(),
        /// File with CA certificates (PEM). Only clients with a certificate from one of these CAs
        /// are served. Empty: every client is served.
        client_ca_file: PathBuf = PathBuf::new(),
        /// Address and port for events and build records over TLS, such as "0.0.0.0:7973". Empty:
        /// none.
        listen: String = String::new(),
        /// Address and port of the HTTP interface over TLS, such as "0.0.0.0:7974". Empty: none.
        http: String = String::new(),
    }
}
