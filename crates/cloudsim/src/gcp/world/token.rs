//! Access tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::SimError;
use crate::gcp::iam::Principal;
use crate::secret::SecretText;

/// Tokens are remembered this long after their end, so that using one says "expired" rather than "unknown".
const MEMORY: Duration = Duration::from_secs(3600);
/// Above this number of tokens, ended ones are swept on every 256th issue.
const SWEEP_ABOVE: usize = 4096;

/// What an access token stands for.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) principal: Principal,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Timestamp,
}

/// The tokens issued. They are known by their digests alone.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    by_digest: HashMap<[u8; 32], Arc<Token>>,
    issued: usize,
}

impl Tokens {
    /// Issues a token, and sweeps long-ended ones now and then.
    pub(crate) fn issue(&mut self, token: Token, now: Timestamp) -> Result<SecretText, SimError> {
        self.issued = self.issued.wrapping_add(1);
        if self.by_digest.len() > SWEEP_ABOVE && self.issued.is_multiple_of(256) {
            self.by_digest.retain(|_, token| token.expires_at.plus(MEMORY) > now);
        }
        let kind = if matches!(token.principal, Principal::Federated(_)) { 'd' } else { 'c' };
        let text = SecretText::new(format!("ya29.{kind}.{}", SecretText::generate(48)?.expose()));
        self.by_digest.insert(digest(text.expose()), Arc::new(token));
        Ok(text)
    }

    pub(crate) fn get(&self, text: &str) -> Option<&Arc<Token>> {
        self.by_digest.get(&digest(text))
    }

    /// Ends all tokens now; gives how many were alive.
    pub(crate) fn expire_all(&mut self, now: Timestamp) -> usize {
        let mut ended = 0;
        for token in self.by_digest.values_mut().filter(|token| token.expires_at > now) {
            let (principal, scopes) = (token.principal.clone(), token.scopes.clone());
            *token = Arc::new(Token { principal, scopes, expires_at: now });
            ended += 1;
        }
        ended
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
