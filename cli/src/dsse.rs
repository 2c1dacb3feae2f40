//! DSSE envelopes (secure-systems-lab/dsse, v1.0.2): a payload and signatures of it, as JSON.
//!
//! What is signed is the pre-authentication encoding, so that a payload cannot be taken for one of
//! another type.

use crate::signing_key::key_id;
use anyhow::{Context, Result};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// An envelope as it stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// A payload with a good signature.
pub struct SignedPayload {
    /// The media type, such as `application/vnd.in-toto+json`.
    pub payload_type: String,
    /// The bytes that were signed.
    pub payload: Vec<u8>,
}

/// Signs a payload and puts both into an envelope.
pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Result<String> {
    let signature = key.sign(&pre_authentication(payload_type, payload));
    let envelope = Envelope {
        payload_type: payload_type.into(),
        payload: BASE64_STANDARD.encode(payload),
        signatures: vec![EnvelopeSignature {
            keyid: key_id(&key.verifying_key()),
            sig: BASE64_STANDARD.encode(signature.to_bytes()),
        }],
    };
    Ok(serde_json::to_string_pretty(&envelope)? + "\n")
}

/// Opens an envelope; `None` where no signature is the key's. A text that is not an envelope is an
/// error.
///
/// Key ids are hints that anybody may write, so every signature is tried.
pub fn open(text: &[u8], key: &VerifyingKey) -> Result<Option<SignedPayload>> {
    let envelope: Envelope = serde_json::from_slice(text).context("not a DSSE envelope")?;
    let payload = decode(&envelope.payload).context("not a DSSE envelope: its payload is not base64")?;
    let signed = pre_authentication(&envelope.payload_type, &payload);
    let is_good = envelope.signatures.iter().any(|signature| {
        let bytes = decode(&signature.sig).unwrap_or_default();
        Signature::from_slice(&bytes).is_ok_and(|signature| key.verify_strict(&signed, &signature).is_ok())
    });
    Ok(is_good.then_some(SignedPayload { payload_type: envelope.payload_type, payload }))
}

/// Decodes base64 in either alphabet: DSSE allows both.
fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text))
}

fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_protocol() {
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn any_flipped_byte_is_noticed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = sign("text/plain", b"what was built", &key).unwrap().into_bytes();
        assert_eq!(open(&text, &key.verifying_key()).unwrap().unwrap().payload, b"what was built");
        assert!(open(&text, &SigningKey::from_bytes(&[8; 32]).verifying_key()).unwrap().is_none());
        let id = text.windows(5).position(|window| window == b"keyid").unwrap();
        let id_end = text.windows(5).position(|window| window == b"\"sig\"").unwrap();
        for at in 0..text.len() {
            // The key's id is a hint and spaces are only for the eye: neither is signed.
            if (id..id_end).contains(&at) || text[at].is_ascii_whitespace() {
                continue;
            }
            let mut flipped = text.clone();
            flipped[at] ^= 1;
            let opened = open(&flipped, &key.verifying_key());
            assert!(opened.is_err() || opened.is_ok_and(|opened| opened.is_none()), "byte {at}");
        }
    }
}
