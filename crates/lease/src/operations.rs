//! What is done for callers under a lease: generate, wrap, unwrap.

mod request;

use leasehold_envelope::{
    Body, EncryptionContext, Envelope, Header, Hierarchy, KeyVersion, Purpose, WrappedKey,
};
use leasehold_provider::{Answer, Ciphertext, KeyProvider, ProviderError, Session, WrapContext};
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::{Binding, CacheMode};

use self::request::UnwrapRequest;
use crate::cache::{Entry, EntryKey};
use crate::canary;
use crate::cell::{Asked, Run};
use crate::lent::Loan;
use crate::prover::is_of_principal;
use crate::subject::LeaseId;
use crate::{Held, LeaseError, Leases, Source, Subject};

/// How often a request begins again because its session or its sealing key was renewed under it, or the call that it
/// joined counts no more: twice for all of them. Whoever needs more is told to retry.
const MAX_REPEATS: usize = 2;

/// How often a request begins again because the version of the key that wraps was denied and another one wraps in its
/// place: that of a rotation whose old version is disabled, and the one before if the new one is, too.
const MAX_SUCCESSORS: usize = 2;

/// A new key and its envelope. Has no Debug: it holds plaintext.
pub struct NewKey {
    /// The key.
    pub key: PlaintextKey,
    /// The same key, wrapped.
    pub wrapped: WrappedKey,
}

impl Leases {
    /// A new key, in the clear and wrapped.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn generate(
        &self,
        subject: &Subject,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Held<NewKey>, LeaseError> {
        self.make(subject, context, Make::Key(length)).await?.try_map(|made| match made.key {
            Some(key) => Ok(NewKey { key, wrapped: made.wrapped }),
            None => Err(LeaseError::Internal("a key was generated without its plaintext")),
        })
    }

    /// A new wrapped key; on clouds that can, its plaintext never leaves them.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn generate_without_plaintext(
        &self,
        subject: &Subject,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Held<WrappedKey>, LeaseError> {
        Ok(self.make(subject, context, Make::WrappedKey(length)).await?.map(|made| made.wrapped))
    }

    /// `key`, wrapped.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn wrap(
        &self,
        subject: &Subject,
        key: &PlaintextKey,
        context: &EncryptionContext,
    ) -> Result<Held<WrappedKey>, LeaseError> {
        Ok(self.make(subject, context, Make::Wrapping(key)).await?.map(|made| made.wrapped))
    }

    /// The key that `wrapped` wraps: from the sealed cache, or unwrapped by the tenant's cloud, once for all who ask at
    /// the same time.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn unwrap(
        &self,
        subject: &Subject,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<Held<PlaintextKey>, LeaseError> {
        let request = UnwrapRequest::check(&subject.binding, wrapped, context)?;
        let id =
            LeaseId { binding: subject.name().clone(), key_version: request.ciphertext.key_version.clone() };
        let lent = Loan { header: &request.header, ciphertext: &request.ciphertext, context };
        let mut attempts = Attempts::new(self, &id, subject, Some(lent));
        loop {
            let run = attempts.begin().await?;
            let unwrapped = match subject.terms.cache() {
                CacheMode::On => self.unwrap_cached(run.clone(), subject, &request).await,
                CacheMode::Off => {
                    let answer = self.unwrap_in_cloud(&run, &subject.binding, &request).await;
                    answer
                        .map(|answer| self.held(run.clone(), answer.value, Source::Cloud, answer.request_id))
                }
            };
            match unwrapped {
                Err(error) if attempts.may_repeat(&run, &error) => {}
                done => return done,
            }
        }
    }

    async fn unwrap_cached(
        &self,
        run: Run,
        subject: &Subject,
        request: &UnwrapRequest<'_>,
    ) -> Result<Held<PlaintextKey>, LeaseError> {
        let cache = &self.hub().cache;
        let commitment = request.header.context;
        let (epoch, tenant) = (run.live.epoch, subject.tenant());
        let key = EntryKey::new(epoch, subject.name(), subject.binding.version, request.wrapped, &commitment);
        let max_age = subject.terms.entry_max_age();
        if let Some(entry) = cache.get(&key).await {
            let fresh = self.hub().clock.now().since(entry.asked) < max_age;
            if fresh && run.cell.allows(&commitment, entry.order) {
                let plaintext = entry.open(&run.live.key, &key)?;
                return Ok(self.held(run, plaintext, Source::Cache, entry.request_id.clone()));
            }
            cache.remove(&key).await;
        }
        let load = async {
            let (asked, mark) = (self.hub().clock.now(), run.cell.mark());
            let answer = self.unwrap_in_cloud(&run, &subject.binding, request).await?;
            Ok(Entry::seal(&answer.value, &run.live.key, &key, asked, mark, answer.request_id)?)
        };
        let (entry, loaded) = cache.get_or_load(tenant, epoch, key, load).await?;
        // The cloud allowed this very call, if it was ours. Of somebody else's, which may have begun long before, it
        // counts only if the context was not denied since.
        if !loaded && !run.cell.allows(&commitment, entry.order) {
            cache.remove(&key).await;
            return Err(LeaseError::LeaseOver);
        }
        let source = if loaded { Source::Cloud } else { Source::Cache };
        let plaintext = entry.open(&run.live.key, &key)?;
        Ok(self.held(run, plaintext, source, entry.request_id.clone()))
    }

    async fn unwrap_in_cloud(
        &self,
        run: &Run,
        binding: &Binding,
        request: &UnwrapRequest<'_>,
    ) -> Result<Answer<PlaintextKey>, LeaseError> {
        let header = request.header.digest();
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: request.context };
        let provider = &run.cell.prover().provider;
        let answer = provider.unwrap(&run.live.session, &request.ciphertext, context).await;
        answer.map_err(|error| {
            run.cell.conclude(binding.version, &request.header.context, Asked::Unwrap, error)
        })
    }

    /// Makes a wrapped key under the version of the binding's key that wraps. If that one turns out to be denied, and
    /// another one wraps in its place, under that.
    async fn make(
        &self,
        subject: &Subject,
        context: &EncryptionContext,
        make: Make<'_>,
    ) -> Result<Held<Made>, LeaseError> {
        if subject.binding.hierarchy != Hierarchy::Direct {
            return Err(LeaseError::WrongHierarchy);
        }
        let mut version = self.hub().family(subject)?.wrapping();
        for _ in 0..MAX_SUCCESSORS {
            match self.make_under(&version, subject, context, make).await {
                // Of a denied principal the version does not matter.
                Err(LeaseError::Denied(error)) if !is_of_principal(&error) => {
                    let successor = self.successor(&version, subject).await?;
                    version = successor.ok_or(LeaseError::Denied(error))?;
                }
                Err(LeaseError::OutOfDate(error)) => {
                    let wrapping = self.hub().family(subject)?.wrapping();
                    let newer = Some(wrapping).filter(|wrapping| *wrapping != version);
                    version = newer.ok_or(LeaseError::OutOfDate(error))?;
                }
                done => return done,
            }
        }
        self.make_under(&version, subject, context, make).await
    }

    /// The version that wraps in place of `denied`, once it is known whether there is one.
    async fn successor(
        &self,
        denied: &KeyVersion,
        subject: &Subject,
    ) -> Result<Option<KeyVersion>, LeaseError> {
        if denied.is_none() {
            return Ok(None);
        }
        self.proofs_under_way(denied, subject).await;
        Ok(Some(self.hub().family(subject)?.wrapping()).filter(|version| version != denied))
    }

    async fn make_under(
        &self,
        version: &KeyVersion,
        subject: &Subject,
        context: &EncryptionContext,
        make: Make<'_>,
    ) -> Result<Held<Made>, LeaseError> {
        let binding = &subject.binding;
        let id = LeaseId { binding: subject.name().clone(), key_version: version.clone() };
        let header = canary::header(binding, version, context);
        let digest = header.digest();
        let bound = WrapContext { purpose: Purpose::Dek, header: &digest, context };
        let mut attempts = Attempts::new(self, &id, subject, None);
        let conclude =
            |run: &Run, error| run.cell.conclude(binding.version, &header.context, Asked::Wrap, error);
        loop {
            let run = attempts.begin().await?;
            let answer =
                make.ask(run.cell.prover().provider.as_ref(), &run.live.session, version, bound).await;
            match answer.map_err(|error| conclude(&run, error)) {
                Err(error) if attempts.may_repeat(&run, &error) => {}
                Err(error @ LeaseError::OutOfDate(_)) => {
                    run.cell.look_for_newer(subject, &run.live.session).await;
                    return Err(error);
                }
                Err(error) => return Err(error),
                Ok(Answer { value: (key, ciphertext), request_id }) => {
                    let made = Made { key, wrapped: envelope(header, ciphertext)? };
                    return Ok(self.held(run, made, Source::Cloud, request_id));
                }
            }
        }
    }

    fn held<T>(&self, run: Run, value: T, source: Source, request_id: Option<Box<str>>) -> Held<T> {
        let proof_age = self.hub().clock.now().since(run.live.proof_started);
        Held { value, run, also: None, source, request_id, proof_age }
    }
}

fn envelope(header: Header, ciphertext: Ciphertext) -> Result<WrappedKey, LeaseError> {
    if ciphertext.key_version != header.key_version {
        return Err(LeaseError::Internal(canary::OTHER_VERSION));
    }
    let body = Body::Direct { ciphertext: ciphertext.bytes };
    Ok(Envelope::new(header, body).map_err(LeaseError::Envelope)?.encode())
}

/// What to make.
#[derive(Clone, Copy)]
enum Make<'a> {
    Key(KeyLength),
    WrappedKey(KeyLength),
    Wrapping(&'a PlaintextKey),
}

/// What was made.
struct Made {
    key: Option<PlaintextKey>,
    wrapped: WrappedKey,
}

impl Make<'_> {
    async fn ask(
        self,
        provider: &dyn KeyProvider,
        session: &Session,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<(Option<PlaintextKey>, Ciphertext)>, ProviderError> {
        let sealed = match self {
            Self::Key(length) => {
                let Answer { value, request_id } =
                    provider.generate(session, length, version, context).await?;
                return Ok(Answer { value: (Some(value.key), value.ciphertext), request_id });
            }
            Self::WrappedKey(length) => {
                provider.generate_without_plaintext(session, length, version, context).await?
            }
            Self::Wrapping(key) => provider.wrap(session, key, version, context).await?,
        };
        Ok(Answer { value: (None, sealed.value), request_id: sealed.request_id })
    }
}

/// The tries of one request: under a live lease each, and again with a newer session if the first expired, or under a
/// newer sealing key if that was renewed.
struct Attempts<'a> {
    leases: &'a Leases,
    id: &'a LeaseId,
    subject: &'a Subject,
    /// What proves the lease, if nothing else does.
    lent: Option<Loan<'a>>,
    repeats: usize,
    expired: Option<Run>,
}

impl<'a> Attempts<'a> {
    fn new(leases: &'a Leases, id: &'a LeaseId, subject: &'a Subject, lent: Option<Loan<'a>>) -> Self {
        Self { leases, id, subject, lent, repeats: 0, expired: None }
    }

    async fn begin(&mut self) -> Result<Run, LeaseError> {
        match self.expired.take() {
            Some(used) => self.leases.live_with_newer_session(&used, self.subject, self.lent).await,
            None => self.leases.live(self.id, self.subject, self.lent).await,
        }
    }

    fn may_repeat(&mut self, run: &Run, error: &LeaseError) -> bool {
        match error {
            LeaseError::SessionExpired(_) => self.expired = Some(run.clone()),
            LeaseError::LeaseOver => {}
            _ => return false,
        }
        self.repeats += 1;
        self.repeats <= MAX_REPEATS
    }
}
