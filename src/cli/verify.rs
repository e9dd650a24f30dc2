//! `leasehold binding verify`: the report on a binding, like a good compiler's on a program.

use std::fmt::Write;

use clap::Args;
use leasehold_client::BindingName;
use leasehold_client::api::v1::{self, ErrorReason, Verdict};
use serde_json::{Value, json};

use super::args::{BindingArg, ClientArgs};
use super::binding::Api;
use super::json::{seconds, short};
use super::prose::Page;
use super::{Failure, Output};

/// What follows the options in the help. Scripts go by the exit code.
pub(super) const AFTER_HELP: &str = "\
Example:
  leasehold binding verify acme/main --excess-permissions

Exit codes of their own:
  0  the binding works; there may be warnings
  5  the binding does not work: the report says why
  4  nobody can tell at present: the cloud did not answer, or our own identity failed";

/// Where the text of a step begins, after its verdict.
const MARGIN: usize = 9;

/// Which binding, and how closely to look.
#[derive(Debug, Args)]
pub struct Verify {
    /// Which binding, TENANT/BINDING. In any state but RETIRED.
    binding: BindingArg,
    /// Look also for permissions that the principal has and does not need. Makes more calls in the tenant's account and
    /// leaves refusals in their audit log; nothing that has an effect.
    #[arg(long)]
    excess_permissions: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(verify: Verify, output: Output) -> Result<(), Failure> {
    let Verify { binding: BindingArg(name), excess_permissions, client } = verify;
    let request = v1::VerifyBindingRequest { name: name.to_string(), excess_permissions };
    let call = |mut t: Api, q| async move { t.verify_binding(q).await };
    let report = client.client()?.tenants(request, call).await?;
    let paint = Paint(output.is_colourful());
    output.answer(&json(&name, &report), || text(&report, Page::of(output), paint))?;
    close(&name, &report, output)
}

/// The last line, which says what to do next, and the exit code.
fn close(name: &BindingName, report: &v1::VerifyBindingResponse, output: Output) -> Result<(), Failure> {
    let argument = format!("{}/{}", name.tenant(), name.binding());
    let reason = report.reason();
    match report.verdict() {
        Verdict::Failed if may_pass(reason) => Err(Failure::unavailable(format!(
            "nobody can tell at present whether {argument} works ({}); run `leasehold binding verify {argument}` again",
            reason.wire_name()
        ))),
        Verdict::Failed => Err(Failure::not_working(format!(
            "{argument} does not work ({}); mend the first failure, trying its causes from the first on, and run \
             `leasehold binding verify {argument}` again",
            reason.wire_name()
        ))),
        _ => {
            let warnings = report.findings.iter().filter(|f| f.verdict() == Verdict::Warning).count();
            let but = match warnings {
                0 => String::new(),
                1 => ", with 1 warning".to_owned(),
                n => format!(", with {n} warnings"),
            };
            let next = match report.state() {
                v1::BindingState::Pending => format!("; next: `leasehold binding activate {argument}`"),
                _ => String::new(),
            };
            output.note(&format!("{argument} works{but}{next}"));
            Ok(())
        }
    }
}

/// Whether the reason says nothing about the binding.
fn may_pass(reason: ErrorReason) -> bool {
    use ErrorReason as R;
    matches!(reason, R::CloudUnavailable | R::Throttled | R::OwnIdentity)
}

// === For programs ===

fn json(name: &BindingName, report: &v1::VerifyBindingResponse) -> Value {
    let reason = Some(report.reason()).filter(|reason| *reason != ErrorReason::Unspecified);
    json!({
        "name": name.to_string(),
        "verdict": short(report.verdict().as_str_name(), "VERDICT_"),
        "reason": reason.map(ErrorReason::wire_name),
        "state": short(report.state().as_str_name(), "BINDING_STATE_"),
        "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &v1::Finding) -> Value {
    let cause = |c: &v1::Cause| json!({ "reason": c.reason, "text": c.text, "mend": c.mend });
    json!({
        "check": finding.check,
        "title": finding.title,
        "verdict": short(finding.verdict().as_str_name(), "VERDICT_"),
        "detail": finding.detail,
        "edge": finding.edge,
        "hop": finding.hop,
        "cloud_code": finding.cloud_code,
        "cloud_request_id": finding.cloud_request_id,
        "latency_seconds": finding.latency.map(seconds),
        "causes": finding.causes.iter().map(cause).collect::<Vec<_>>(),
    })
}

// === For people ===

/// A report as it is written for people.
struct Writer<'a> {
    page: Page,
    paint: Paint,
    out: String,
    /// What failures before this one said, which is not said again.
    told: Vec<&'a v1::Finding>,
}

fn text(report: &v1::VerifyBindingResponse, page: Page, paint: Paint) -> String {
    let mut writer = Writer { page, paint, out: String::new(), told: Vec::new() };
    report.findings.iter().for_each(|finding| writer.finding(finding));
    writer.out.trim_end().trim_start_matches('\n').to_owned()
}

impl<'a> Writer<'a> {
    /// One line for what passed or was skipped; for the rest, all that is known.
    fn finding(&mut self, finding: &'a v1::Finding) {
        let took = finding.latency.map(seconds).map(|s| format!(" ({:.0} ms)", s * 1000.0));
        let title = format!("{}{}", finding.title, took.unwrap_or_default());
        match finding.verdict() {
            Verdict::Passed => self.line("passed", GREEN, &format!("{title}: {}", finding.detail)),
            Verdict::Failed => {
                self.out.push('\n');
                self.explained("FAILED", RED, &title, finding);
            }
            Verdict::Warning => self.explained("warning", YELLOW, &title, finding),
            _ if self.is_told(finding) => self.line("skipped", DIM, &title),
            _ => self.line("skipped", DIM, &format!("{title}: {}", finding.detail)),
        }
        if finding.verdict() != Verdict::Passed {
            self.told.push(finding);
        }
    }

    /// Whether the reason of the skipped `finding` is that of the one before it, or the failure of another.
    fn is_told(&self, finding: &v1::Finding) -> bool {
        let mut failed = self.told.iter().filter(|told| told.verdict() == Verdict::Failed);
        failed.any(|told| told.detail == finding.detail)
            || self.told.last().is_some_and(|told| told.detail == finding.detail)
    }

    fn line(&mut self, word: &str, colour: &str, text: &str) {
        let filled = self.page.fill(text, MARGIN);
        self.write(&format!("{}{filled}\n", self.paint.verdict(word, colour)));
    }

    fn explained(&mut self, word: &str, colour: &str, title: &str, finding: &'a v1::Finding) {
        let title = self.paint.bold(&self.page.fill(title, MARGIN));
        self.write(&format!("{}{title}\n", self.paint.verdict(word, colour)));
        let seen = self.page.fill(&seen(finding), MARGIN);
        self.write(&format!("{:MARGIN$}{seen}\n", ""));
        if !finding.causes.is_empty() {
            self.causes(finding);
        }
        self.out.push('\n');
    }

    fn causes(&mut self, finding: &v1::Finding) {
        let of_this = if finding.causes.len() > 1 { "likely causes" } else { "cause" };
        let above: Vec<_> = self.told.iter().flat_map(|told| &told.causes).cloned().collect();
        let is_above = |cause: &v1::Cause| above.iter().any(|told| told == cause);
        if finding.causes.iter().all(is_above) {
            let reasons: Vec<_> = finding.causes.iter().map(|cause| cause.reason.as_str()).collect();
            let text = self.page.fill(&format!("{of_this}: as above ({})", reasons.join(", ")), MARGIN);
            return self.write(&format!("\n{:MARGIN$}{text}\n", ""));
        }
        let order = if finding.causes.len() > 1 { ", the likeliest first" } else { "" };
        self.write(&format!("\n{:MARGIN$}{of_this}{order}:\n", ""));
        for (number, cause) in (1..).zip(&finding.causes) {
            let margin = MARGIN + format!("{number}. ").len();
            let text = self.page.fill(&format!("{} ({})", cause.text, cause.reason), margin);
            let same = (1..number).zip(&finding.causes).find(|(_, earlier)| earlier.mend == cause.mend);
            let mend = match same {
                Some((earlier, _)) => format!("# As for {earlier}."),
                None if is_above(cause) => "# As above.".to_owned(),
                None => cause.mend.clone(),
            };
            self.write(&format!("{:MARGIN$}{number}. {text}\n{}", "", self.page.commands(&mend, MARGIN + 5)));
        }
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
    }
}

/// What was seen, and where the tenant finds it in their own log.
fn seen(finding: &v1::Finding) -> String {
    let mut lines = finding.detail.clone();
    // Writing to a string does not fail.
    let _ = match (finding.edge.as_str(), finding.hop) {
        ("trust", hop) if hop > 1 => write!(lines, "\nrefused at: the trust edge, hop {hop}"),
        ("trust", _) => write!(lines, "\nrefused at: the trust edge (may we become the principal?)"),
        ("key", _) => {
            write!(lines, "\nrefused at: the key edge (may the principal use the key, and is it usable?)")
        }
        _ => Ok(()),
    };
    if !finding.cloud_code.is_empty() {
        let _ = write!(lines, "\ncloud code: {}", finding.cloud_code);
    }
    if !finding.cloud_request_id.is_empty() {
        let _ = write!(lines, "\nrequest id: {} (find it in your audit log)", finding.cloud_request_id);
    }
    lines
}

// === Colours ===

const GREEN: &str = "32";
const YELLOW: &str = "1;33";
const RED: &str = "1;31";
const DIM: &str = "2";

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    /// A verdict, as wide as the margin.
    fn verdict(self, word: &str, colour: &str) -> String {
        let width = MARGIN - 1;
        format!(" {}", self.with(&format!("{word:<width$}"), colour))
    }

    fn bold(self, text: &str) -> String {
        self.with(text, "1")
    }

    fn with(self, text: &str, codes: &str) -> String {
        if self.0 { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(title: &str, verdict: Verdict, detail: &str) -> v1::Finding {
        let (title, detail) = (title.to_owned(), detail.to_owned());
        v1::Finding { title, verdict: verdict.into(), detail, ..Default::default() }
    }

    fn report() -> v1::VerifyBindingResponse {
        let cause = |reason: &str, text: &str, mend: &str| v1::Cause {
            reason: reason.to_owned(),
            text: text.to_owned(),
            mend: mend.to_owned(),
        };
        let took = prost_types::Duration { seconds: 0, nanos: 34_000_000 };
        let mend = "# With credentials of the account that the role and the key are in, and nobody else's:\naws iam \\\n  update";
        let causes = vec![
            cause(
                "EXTERNAL_ID_DIFFERS",
                "It asks for another external id than the one that was issued to it.",
                mend,
            ),
            cause("PRINCIPAL_DIFFERS", "It names somebody else.", mend),
        ];
        let denied = v1::Finding {
            edge: "trust".into(),
            hop: 1,
            cloud_code: "AccessDenied".into(),
            cloud_request_id: "r-1".into(),
            latency: Some(took),
            causes: causes.clone(),
            ..finding(
                "become the role",
                Verdict::Failed,
                "User: us is not authorized to perform: sts:AssumeRole on resource: the role",
            )
        };
        let again = v1::Finding {
            edge: "trust".into(),
            hop: 2,
            causes,
            ..finding("unwrap the canary", Verdict::Failed, "not authorized")
        };
        v1::VerifyBindingResponse {
            findings: vec![
                finding("find out who we are", Verdict::Passed, "we are us"),
                denied,
                finding("wrap a random value", Verdict::Skipped, "no session"),
                finding("unwrap it again", Verdict::Skipped, "no session"),
                again,
            ],
            verdict: Verdict::Failed.into(),
            state: v1::BindingState::Pending.into(),
            reason: ErrorReason::BindingDenied.into(),
        }
    }

    const TEXT: &str = " passed  find out who we are: we are us

 FAILED  become the role (34 ms)
         User: us is not authorized to perform: sts:AssumeRole on resource: the
         role
         refused at: the trust edge (may we become the principal?)
         cloud code: AccessDenied
         request id: r-1 (find it in your audit log)

         likely causes, the likeliest first:
         1. It asks for another external id than the one that was issued to it.
            (EXTERNAL_ID_DIFFERS)
              # With credentials of the account that the role and the key are
              # in, and nobody else's:
              aws iam \\
                update
         2. It names somebody else. (PRINCIPAL_DIFFERS)
              # As for 1.

 skipped wrap a random value: no session
 skipped unwrap it again

 FAILED  unwrap the canary
         not authorized
         refused at: the trust edge, hop 2

         likely causes: as above (EXTERNAL_ID_DIFFERS, PRINCIPAL_DIFFERS)";

    #[test]
    fn a_failure_is_told_once_with_edge_code_causes_and_what_to_paste() {
        assert_eq!(text(&report(), Page::wide(80), Paint(false)), TEXT);
        let coloured = text(&report(), Page::wide(80), Paint(true));
        assert!(coloured.contains("\x1b[1;31mFAILED"), "{coloured:?}");
    }

    #[test]
    fn the_exit_code_tells_what_does_not_work_from_what_nobody_can_tell() {
        let name = "tenants/acme/bindings/main".parse().unwrap();
        for (verdict, reason, exit) in [
            (Verdict::Passed, ErrorReason::Unspecified, 0),
            (Verdict::Warning, ErrorReason::Unspecified, 0),
            (Verdict::Failed, ErrorReason::BindingDenied, 5),
            (Verdict::Failed, ErrorReason::KeyUnusable, 5),
            (Verdict::Failed, ErrorReason::BindingMisconfigured, 5),
            (Verdict::Failed, ErrorReason::Internal, 5),
            (Verdict::Failed, ErrorReason::CloudUnavailable, 4),
            (Verdict::Failed, ErrorReason::Throttled, 4),
            (Verdict::Failed, ErrorReason::OwnIdentity, 4),
        ] {
            let report =
                v1::VerifyBindingResponse { verdict: verdict.into(), reason: reason.into(), ..report() };
            let closed = close(&name, &report, Output::new(true));
            assert_eq!(closed.map_or_else(|failure| failure.exit_code(), |()| 0), exit, "{reason:?}");
        }
    }

    #[test]
    fn programs_get_everything_that_people_get() {
        let value = json(&"tenants/acme/bindings/main".parse().unwrap(), &report());
        assert_eq!((&value["verdict"], &value["reason"]), (&json!("FAILED"), &json!("BINDING_DENIED")));
        let denied = &value["findings"][1];
        assert!(denied["causes"][0]["mend"].as_str().unwrap().ends_with("aws iam \\\n  update"));
        assert_eq!((&denied["edge"], &denied["hop"]), (&json!("trust"), &json!(1)));
    }
}
