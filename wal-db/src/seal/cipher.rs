//! Encryption, digests and random numbers. The only module that names the crates.

use std::fmt;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::error::SealError;
use crate::format::keyring::{NONCE, TAG};

/// A key of 32 bytes, which is wiped when it is dropped. Copies that were made of it on the stack may stay in memory.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A key of these bytes. Wipe what they were copied from.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Secret(bytes)
    }

    /// A random key.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self, SealError> {
        let mut secret = Secret([0; 32]);
        fill(&mut secret.0)?;
        Ok(secret)
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Without the key.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|error| SealError::Random(error.to_string().into()))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Encrypts and authenticates with one key. Nonces are random: with 24 bytes, none comes twice.
pub(super) struct Cipher(XChaCha20Poly1305);

/// What was encrypted is not what is there, or was under another key.
#[derive(Debug)]
pub(super) struct NotAuthentic;

impl Cipher {
    pub(super) fn new(key: &Secret) -> Self {
        Cipher(XChaCha20Poly1305::new(key.as_bytes().into()))
    }

    /// Encrypts in place.
    pub(super) fn seal(
        &self,
        context: &[u8],
        nonce: &[u8; NONCE],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG], SealError> {
        let len = bytes_len(bytes);
        let sealed = self
            .0
            .encrypt_inout_detached(<&XNonce>::from(nonce), context, bytes.into());
        // It fails only for what is longer than its counter can count.
        let too_long = |_| SealError::TooLong {
            what: "what is to be encrypted",
            len,
            max: u64::from(u32::MAX),
        };
        Ok(sealed.map_err(too_long)?.into())
    }

    /// Decrypts in place; after an error the bytes are as they were or wiped.
    pub(super) fn open(
        &self,
        context: &[u8],
        nonce: &[u8; NONCE],
        bytes: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        self.0
            .decrypt_inout_detached(<&XNonce>::from(nonce), context, bytes.into(), tag.into())
            .map_err(|_| NotAuthentic)
    }
}

fn bytes_len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// HMAC-SHA-256 with one key, of parts whose bounds count.
#[derive(Clone)]
pub(super) struct Hasher(Hmac<Sha256>);

impl Hasher {
    pub(super) fn new(key: &Secret) -> Self {
        // A shorter key than a block counts as one with zeros after it.
        let mut block = [0; 64];
        block[..32].copy_from_slice(key.as_bytes());
        let mac = Hmac::new((&block).into());
        block.zeroize();
        Hasher(mac)
    }

    pub(super) fn hash(&self, kind: u8, purpose: &str, value: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(&[kind]);
        mac.update(&bytes_len(purpose.as_bytes()).to_le_bytes());
        mac.update(purpose.as_bytes());
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// SHA-256, over bytes that come in pieces.
#[derive(Clone, Default)]
pub(super) struct Sha(Sha256);

impl Sha {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sha = Sha::default();
    sha.add(bytes);
    sha.finish()
}
