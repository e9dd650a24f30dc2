//! Set-ups that do not work, each of which is diagnosed, and each mended by what the diagnosis says.
//!
//! A [`Case`] breaks one thing of a tenant for whom everything works. The report must fail first at the step that the thing
//! is about, with the edge, the cloud's code and the likely causes; and what it says of the cause that it really is, run by a
//! shell as it was printed, must make everything work again.

mod aws;
mod azure;
mod gcp;
mod shell;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use leasehold_api::v1::{self, Finding, Verdict};

use crate::world::{self, BINDING, World};
use shell::Call;

/// A cloud's tenant, whose set-up is broken and mended.
trait Patient {
    /// The programs that advice about this cloud uses.
    const PROGRAMS: &'static [&'static str];

    /// Has us in order, whatever was broken of it before.
    fn prepare(&self);

    /// Does in the simulated cloud what this command does in the real one.
    fn run(&self, call: &Call);
}

/// One set-up that does not work.
struct Case<P> {
    /// What is wrong.
    set_up: &'static str,
    /// Does it to a tenant for whom everything works.
    broken: fn(&P),
    /// Whether the binding was activated before.
    activated: bool,
    /// What the tenant hands over, if it is not their key and principal.
    hands_over: Option<fn(&P) -> v1::binding::Cloud>,
    /// The first step that fails, the edge that said no, and the cloud's code.
    fails: (&'static str, &'static str, &'static str),
    /// The causes of that, in their order.
    causes: &'static [&'static str],
    mended: Mended<P>,
}

/// What makes it work again.
enum Mended<P> {
    /// What is said of this cause.
    By(&'static str),
    /// What the onboarding kit says.
    ByTheKit,
    /// This, which no command of the advice could do, and what is said of this cause names.
    Undone(&'static str, fn(&P)),
    /// Time.
    Later(Duration),
    /// Another binding, with what the tenant hands over usually.
    ByAnother,
}

impl<P> Case<P> {
    /// A set-up that is broken by something else than what the tenant does.
    fn new(
        set_up: &'static str,
        fails: (&'static str, &'static str, &'static str),
        causes: &'static [&'static str],
        mended: Mended<P>,
    ) -> Self {
        Self { set_up, broken: |_| (), activated: false, hands_over: None, fails, causes, mended }
    }
}

impl<P: Patient> Case<P> {
    /// All of it with a tenant who did what the kit says.
    async fn tried(&self, world: &World, tenant: &str, patient: P) {
        world::create_tenant(&world.client, tenant).await;
        patient.prepare();
        let hands_over = self.hands_over.map(|over| over(&patient));
        let cloud = hands_over.unwrap_or_else(|| world.estate.binding(tenant));
        let binding = world::create_binding(&world.client, tenant, BINDING, cloud).await.unwrap();
        if let Some(kit) = kit(world, &binding.name).await {
            follow(&patient, &kit);
        }
        if self.activated {
            world.activate(tenant).await.unwrap();
        }
        self.verify(world, tenant, &binding.name, patient).await;
    }

    /// Breaks it, has it diagnosed, and mends it.
    async fn verify(&self, world: &World, tenant: &str, name: &str, patient: P) {
        (self.broken)(&patient);
        let broken = verify(world, name).await;
        let first = self.diagnosed(&broken);
        match &self.mended {
            Mended::By(reason) => follow(&patient, &self.mend(first, reason)),
            Mended::Undone(reason, undo) => {
                follow_nothing::<P>(&self.mend(first, reason));
                undo(&patient);
            }
            Mended::Later(time) => world.cloud.control().advance(*time),
            Mended::ByTheKit => follow(&patient, &kit(world, name).await.unwrap()),
            Mended::ByAnother => return self.by_another(world, tenant, patient).await,
        }
        self.works(&verify(world, name).await);
    }

    /// The first failure, which must be the one that it is.
    fn diagnosed<'a>(&self, report: &'a v1::VerifyBindingResponse) -> &'a Finding {
        let set_up = self.set_up;
        assert_eq!(report.verdict(), Verdict::Failed, "{set_up}");
        let first = failures(report).next().unwrap();
        let seen = (first.check.as_str(), first.edge.as_str(), first.cloud_code.as_str());
        let reasons: Vec<_> = first.causes.iter().map(|cause| cause.reason.as_str()).collect();
        assert_eq!((seen, &reasons[..]), (self.fails, self.causes), "{set_up}: {first:#?}");
        // The tenant finds what their cloud refused in their own log.
        assert!(first.edge.is_empty() || !first.cloud_request_id.is_empty(), "{set_up}: {first:#?}");
        for failure in failures(report) {
            assert!(!failure.causes.is_empty() && !failure.detail.is_empty(), "{set_up}: {failure:#?}");
            for cause in &failure.causes {
                assert!(cause.text.ends_with('.'), "{set_up}: {cause:#?}");
                // All of it is shell, whatever else it is.
                let _ = shell::run(&cause.mend, P::PROGRAMS);
            }
        }
        first
    }

    fn mend(&self, finding: &Finding, reason: &str) -> String {
        let cause = finding.causes.iter().find(|cause| cause.reason == reason);
        cause.unwrap_or_else(|| panic!("{}: {reason} is no cause: {finding:#?}", self.set_up)).mend.clone()
    }

    async fn by_another(&self, world: &World, tenant: &str, patient: P) {
        let cloud = world.estate.binding(tenant);
        let another = world::create_binding(&world.client, tenant, "another", cloud).await.unwrap();
        follow(&patient, &kit(world, &another.name).await.unwrap());
        self.works(&verify(world, &another.name).await);
    }

    #[track_caller]
    fn works(&self, report: &v1::VerifyBindingResponse) {
        let failed: Vec<_> = failures(report).collect();
        assert!(failed.is_empty(), "{}: {failed:#?}", self.set_up);
    }
}

/// Runs each case with a tenant of its own, for whom `patient` gives what the case breaks.
async fn each<P: Patient>(world: &World, cases: &[Case<P>], patient: impl Fn(&str) -> P) {
    let mut wrong = Vec::new();
    for (case, tenant) in cases.iter().zip(names(cases.len())) {
        let tried = case.tried(world, &tenant, patient(&tenant));
        // Each says itself what is wrong with it.
        if AssertUnwindSafe(tried).catch_unwind().await.is_err() {
            wrong.push(case.set_up);
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong: {wrong:#?}", wrong.len(), cases.len());
}

/// Names of that many tenants.
fn names(many: usize) -> Vec<String> {
    (1..=many).map(|number| format!("tenant-{number}")).collect()
}

async fn verify(world: &World, name: &str) -> v1::VerifyBindingResponse {
    let verify = v1::VerifyBindingRequest { name: name.to_owned(), excess_permissions: false };
    world.tenants(verify, |mut t, q| async move { t.verify_binding(q).await }).await.unwrap()
}

/// The commands of the kit, if there is one.
async fn kit(world: &World, name: &str) -> Option<String> {
    let kit = v1::GetOnboardingKitRequest { name: name.to_owned() };
    let kit = world.tenants(kit, |mut t, q| async move { t.get_onboarding_kit(q).await }).await.ok()?;
    kit.kit?.sections.into_iter().find(|section| section.format == "shell").map(|section| section.body)
}

fn finding<'a>(report: &'a v1::VerifyBindingResponse, check: &str) -> &'a Finding {
    report.findings.iter().find(|finding| finding.check == check).unwrap()
}

fn failures(report: &v1::VerifyBindingResponse) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(|finding| finding.verdict() == Verdict::Failed)
}

fn follow<P: Patient>(patient: &P, advice: &str) {
    let calls = shell::run(advice, P::PROGRAMS);
    let acts: Vec<_> = calls.iter().filter(|call| !call.is_read()).collect();
    assert!(!acts.is_empty(), "it changes nothing:\n{advice}");
    acts.into_iter().for_each(|call| patient.run(call));
}

/// That no command of the advice could be followed here.
fn follow_nothing<P: Patient>(advice: &str) {
    let calls = shell::run(advice, P::PROGRAMS);
    assert!(calls.iter().all(Call::is_read), "it could be followed:\n{advice}");
}
