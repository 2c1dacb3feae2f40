//! The site's Ed25519 keys, as OpenSSL writes them: PKCS#8 for the private one,
//! SubjectPublicKeyInfo for the public.
//!
//! Source: RFC 8410. Both are of fixed length, so the DER around the 32 bytes is compared and not
//! parsed.

use anyhow::{Context, Result, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{SigningKey, VerifyingKey};
use ogrt_proto::hex;
use ogrt_wrap::record::digest::sha256_of;
use std::{fs, path::Path};

const PRIVATE_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PUBLIC_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Reads a private key.
pub fn read(path: &Path) -> Result<SigningKey> {
    let bytes = key_bytes(path, "PRIVATE KEY", PRIVATE_HEAD)?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Reads a public key.
pub fn read_public(path: &Path) -> Result<VerifyingKey> {
    let bytes = key_bytes(path, "PUBLIC KEY", PUBLIC_HEAD)?;
    VerifyingKey::from_bytes(&bytes)
        .map_err(|_| anyhow!("{}: not a valid Ed25519 public key", path.display()))
}

/// The key's name: the SHA-256 of its SubjectPublicKeyInfo.
pub fn key_id(key: &VerifyingKey) -> String {
    hex(&sha256_of(&[PUBLIC_HEAD, key.as_bytes()].concat()))
}

fn key_bytes(path: &Path, label: &str, head: &[u8]) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(body, _)| body);
    let digits: String = body.unwrap_or_default().split_whitespace().collect();
    let der = BASE64_STANDARD.decode(digits).unwrap_or_default();
    let key = der.strip_prefix(head).and_then(|key| key.try_into().ok());
    key.ok_or_else(|| anyhow!("{}: not an Ed25519 {} in PEM form", path.display(), label.to_lowercase()))
}
