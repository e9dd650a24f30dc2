//! The ways that keys take through the service, and the ways on which they are stopped.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use leasehold_api::v1;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallQuery;
use rand::RngCore;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::wire::{Keys, Reader, Wire};
use crate::cloud::{Cloud, of};
use crate::served::Process;
use crate::world::eventually;

/// A tenant of a process.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) process: &'a Process,
    pub(crate) tenant: &'a str,
}

/// A way, by its name, and which of the ways it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Generate,
    Wrap,
    UnwrapCold,
    UnwrapCached,
    Rewrap,
    WrongContext,
    KeyForEnvelope,
    UnknownTenant,
    ReservedContext,
    WrongLength,
    TooLarge,
    Malformed,
    WrapCancelled,
    UnwrapCancelled,
    DeadlinePassed,
    CloudFails,
    AnswerCut,
    AnswerGarbled,
}

impl Way {
    pub(crate) const ALL: [(Self, &'static str); 18] = [
        (Self::Generate, "GenerateDataKey, 5 keys"),
        (Self::Wrap, "WrapKey, 5 keys"),
        (Self::UnwrapCold, "UnwrapKey by the cloud, 5 keys"),
        (Self::UnwrapCached, "UnwrapKey from the cache, 1 key 20 times"),
        (Self::Rewrap, "RewrapKey, 5 keys"),
        (Self::WrongContext, "UnwrapKey, wrong context"),
        (Self::KeyForEnvelope, "UnwrapKey, the key itself in place of the wrapped one"),
        (Self::UnknownTenant, "WrapKey, unknown tenant"),
        (Self::ReservedContext, "WrapKey, reserved context"),
        (Self::WrongLength, "WrapKey, wrong length"),
        (Self::TooLarge, "WrapKey, message too large"),
        (Self::Malformed, "WrapKey, malformed message"),
        (Self::WrapCancelled, "WrapKey, cancelled while the cloud wraps"),
        (Self::UnwrapCancelled, "UnwrapKey, cancelled while the cloud unwraps"),
        (Self::DeadlinePassed, "UnwrapKey, the caller's deadline passes"),
        (Self::CloudFails, "WrapKey, the cloud fails"),
        (Self::AnswerCut, "UnwrapKey, the cloud's answer is cut"),
        (Self::AnswerGarbled, "UnwrapKey, the cloud's answer is garbled"),
    ];
}

/// How long the cloud holds answers back that nobody waits for: long enough to give up before.
const HELD_BACK: Duration = Duration::from_millis(500);

impl Subject<'_> {
    /// Sends keys along `way`; gives what is known of them.
    pub(crate) async fn send(self, way: Way, wire: &Wire) -> Vec<Vec<u8>> {
        let keys = wire.keys.clone();
        let mut sent = Vec::new();
        match way {
            Way::Generate => {
                for _ in 0..5 {
                    sent.push(self.generate(&keys).await);
                }
            }
            Way::Wrap => {
                for _ in 0..5 {
                    sent.push(random_key());
                    self.wrap(&keys, sent.last().unwrap()).await.unwrap();
                }
            }
            Way::UnwrapCold => {
                for (key, wrapped) in self.wrapped(5).await {
                    assert_eq!(self.unwrap(&keys, &wrapped).await.unwrap(), key);
                    sent.push(key);
                }
            }
            Way::UnwrapCached => {
                let (key, wrapped) = self.wrapped(1).await.remove(0);
                for _ in 0..20 {
                    assert_eq!(self.unwrap(&keys, &wrapped).await.unwrap(), key);
                }
                sent.push(key);
            }
            Way::Rewrap => {
                for (key, wrapped) in self.wrapped(5).await {
                    let request = v1::RewrapKeyRequest {
                        tenant: self.name(),
                        wrapped_key: wrapped,
                        encryption_context: context(),
                        ..Default::default()
                    };
                    keys.clone().rewrap_key(request).await.unwrap();
                    sent.push(key);
                }
            }
            Way::WrapCancelled | Way::UnwrapCancelled | Way::DeadlinePassed => {
                sent.push(self.give_up(way, keys).await);
            }
            Way::CloudFails | Way::AnswerCut | Way::AnswerGarbled => sent.push(self.fail(way, keys).await),
            _ => sent.push(self.misuse(way, wire).await),
        }
        sent
    }

    /// What is refused before the cloud hears of it.
    async fn misuse(self, way: Way, wire: &Wire) -> Vec<u8> {
        let (key, mut keys) = (random_key(), wire.keys.clone());
        let mut wrap = self.wrap_request(&key);
        let refused = match way {
            Way::WrongContext => {
                let (key, wrapped) = self.wrapped(1).await.remove(0);
                let mut request = self.unwrap_request(&wrapped);
                request.encryption_context.insert("branch".into(), "another".into());
                assert!(keys.unwrap_key(request).await.is_err());
                return key;
            }
            Way::KeyForEnvelope => keys.unwrap_key(self.unwrap_request(&key.clone().into())).await.err(),
            Way::Malformed => malformed(wire, &key).await.err(),
            _ => {
                match way {
                    Way::UnknownTenant => wrap.tenant = "tenants/nobody".into(),
                    Way::ReservedContext => drop(wrap.encryption_context.insert("aws:x".into(), "y".into())),
                    Way::WrongLength => wrap.plaintext = [&key[..], b"x"].concat().into(),
                    Way::TooLarge => wrap.plaintext = key.repeat(20_000).into(),
                    other => unreachable!("{other:?} is no misuse"),
                }
                keys.wrap_key(wrap).await.err()
            }
        };
        assert!(refused.is_some(), "{way:?} was served");
        key
    }

    /// The caller goes before the cloud's answer comes.
    async fn give_up(self, way: Way, keys: Keys) -> Vec<u8> {
        let (key, wrapped) = self.wrapped(1).await.remove(0);

        self.inject(way, FaultEffect::AnswerAfter { ms: HELD_BACK.as_millis().try_into().unwrap() });
        self.process.cloud.control().clear_calls();
        match way {
            Way::WrapCancelled => {
                let request = self.wrap_request(&key);
                self.cancel(way, async move { keys.clone().wrap_key(request).await.is_ok() }).await;
            }
            Way::UnwrapCancelled => {
                let request = self.unwrap_request(&wrapped);
                self.cancel(way, async move { keys.clone().unwrap_key(request).await.is_ok() }).await;
            }
            _ => {
                let mut request = tonic::Request::new(self.unwrap_request(&wrapped));
                request.set_timeout(HELD_BACK / 5);
                assert!(keys.clone().unwrap_key(request).await.is_err());
            }
        }
        self.process.cloud.control().clear_faults();
        key
    }

    /// Drops `call` once the cloud has it.
    async fn cancel(self, way: Way, call: impl Future<Output = bool> + Send + 'static) {
        let call = tokio::spawn(call);
        eventually(async || (self.calls(way) > 0).then_some(())).await;
        assert!(!call.is_finished());
        call.abort();
    }

    /// The cloud does something wrong.
    async fn fail(self, way: Way, keys: Keys) -> Vec<u8> {
        let (key, wrapped) = self.wrapped(1).await.remove(0);
        self.inject(
            way,
            match way {
                Way::CloudFails => {
                    FaultEffect::Error { status: 500, code: "InternalFailure".into(), message: String::new() }
                }
                Way::AnswerCut => FaultEffect::Truncate,
                _ => FaultEffect::Corrupt,
            },
        );
        let served = if way == Way::CloudFails {
            self.wrap(&keys, &key).await.is_ok()
        } else {
            self.unwrap(&keys, &wrapped).await.is_ok()
        };
        assert!(!served, "{way:?}");
        self.process.cloud.control().clear_faults();
        key
    }

    fn inject(self, way: Way, effect: FaultEffect) {
        let matching = self.operation(way);
        self.process.cloud.control().inject(FaultSpec { matching, effect, count: None });
    }

    fn calls(self, way: Way) -> usize {
        let query = CallQuery { matching: self.operation(way), ..Default::default() };
        self.process.cloud.control().count_calls(&query)
    }

    fn operation(self, way: Way) -> leasehold_cloudsim::log::CallMatch {
        let cloud = self.process.estate.cloud();
        match (way, cloud) {
            (Way::WrapCancelled | Way::CloudFails, Cloud::Azure) => of("WrapKey"),
            (Way::WrapCancelled | Way::CloudFails, _) => of("Encrypt"),
            _ => cloud.unwraps(),
        }
    }

    // === single calls ===

    pub(crate) async fn generate(self, keys: &Keys) -> Vec<u8> {
        let request =
            v1::GenerateDataKeyRequest { tenant: self.name(), key_bytes: 32, encryption_context: context() };
        keys.clone().generate_data_key(request).await.unwrap().into_inner().plaintext.to_vec()
    }

    pub(crate) async fn wrap(self, keys: &Keys, key: &[u8]) -> Result<Bytes, tonic::Status> {
        let wrapped = keys.clone().wrap_key(self.wrap_request(key)).await?;
        Ok(wrapped.into_inner().wrapped_key)
    }

    pub(crate) async fn unwrap(self, keys: &Keys, wrapped: &Bytes) -> Result<Vec<u8>, tonic::Status> {
        let unwrapped = keys.clone().unwrap_key(self.unwrap_request(wrapped)).await?;
        Ok(unwrapped.into_inner().plaintext.to_vec())
    }

    /// Keys that were wrapped over a connection that is closed again.
    pub(crate) async fn wrapped(self, count: usize) -> Vec<(Vec<u8>, Bytes)> {
        let wire = Wire::open(&self.process.socket(), Reader::Ready).await;
        let mut made = Vec::new();
        for _ in 0..count {
            let key = random_key();
            let wrapped = self.wrap(&wire.keys, &key).await.unwrap();
            made.push((key, wrapped));
        }
        made
    }

    pub(crate) fn wrap_request(self, key: &[u8]) -> v1::WrapKeyRequest {
        let plaintext = Bytes::copy_from_slice(key);
        v1::WrapKeyRequest { tenant: self.name(), plaintext, encryption_context: context() }
    }

    pub(crate) fn unwrap_request(self, wrapped: &Bytes) -> v1::UnwrapKeyRequest {
        let wrapped_key = wrapped.clone();
        v1::UnwrapKeyRequest { tenant: self.name(), wrapped_key, encryption_context: context() }
    }

    fn name(self) -> String {
        format!("tenants/{}", self.tenant)
    }
}

/// Sends a message that is none of `WrapKey`: its first field, a text, is `key`.
async fn malformed(wire: &Wire, key: &[u8]) -> Result<(), tonic::Status> {
    let mut bytes = key.to_vec();
    // Never UTF-8.
    bytes.push(0xFF);
    let mut grpc = Grpc::new(wire.channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/leasehold.v1.KeyService/WrapKey");
    let codec = ProstCodec::<Vec<u8>, v1::WrapKeyResponse>::default();
    grpc.unary(tonic::Request::new(bytes), path, codec).await.map(|_| ())
}

fn context() -> std::collections::HashMap<String, String> {
    [("branch".to_owned(), "main".to_owned())].into()
}

pub(crate) fn random_key() -> Vec<u8> {
    let mut key = vec![0; 32];
    rand::rng().fill_bytes(&mut key);
    key
}
