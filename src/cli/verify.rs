//! `leasehold binding verify`: the report on a binding, like a good compiler's on a program.

use std::fmt::Write;

use clap::Args;
use leasehold_client::BindingName;
use leasehold_client::api::v1::{self, ErrorReason, Verdict};
use serde_json::{Value, json};

use super::args::{BindingArg, ClientArgs};
use super::binding::Api;
use super::json::{seconds, short};
use super::kit::indented;
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
    output.answer(&json(&name, &report), || text(&report, Paint(output.is_colourful())))?;
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

/// One line for what passed or was skipped; for the rest, all that is known.
fn text(report: &v1::VerifyBindingResponse, paint: Paint) -> String {
    let mut out = String::new();
    let mut skipped_because = "";
    for finding in &report.findings {
        let took =
            finding.latency.map(seconds).map_or_else(String::new, |s| format!(" ({:.0} ms)", s * 1000.0));
        let title = format!("{}{took}", finding.title);
        // Writing to a string does not fail.
        let _ = match finding.verdict() {
            Verdict::Passed => writeln!(out, "{}{title}: {}", paint.verdict("passed", GREEN), finding.detail),
            Verdict::Failed => writeln!(out, "\n{}{}", paint.verdict("FAILED", RED), paint.bold(&title))
                .map(|()| explain(finding, &mut out)),
            Verdict::Warning => writeln!(out, "{}{}", paint.verdict("warning", YELLOW), paint.bold(&title))
                .map(|()| explain(finding, &mut out)),
            // What one failure keeps from being done is skipped for the same reason; it is said once.
            _ if finding.detail == skipped_because => {
                writeln!(out, "{}{title}", paint.verdict("skipped", DIM))
            }
            _ => {
                skipped_because = &finding.detail;
                writeln!(out, "{}{title}: {}", paint.verdict("skipped", DIM), finding.detail)
            }
        };
    }
    out.trim_end().trim_start_matches('\n').to_owned()
}

fn explain(finding: &v1::Finding, out: &mut String) {
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
    let _ = writeln!(out, "{}", indented(&lines, MARGIN));
    let likely = if finding.causes.len() > 1 { "likely causes, the likeliest first:" } else { "cause:" };
    if !finding.causes.is_empty() {
        let _ = writeln!(out, "\n{:MARGIN$}{likely}", "");
    }
    for (number, cause) in (1..).zip(&finding.causes) {
        let _ = writeln!(out, "{:MARGIN$}{number}. {} ({})", "", cause.text, cause.reason);
        let _ = writeln!(out, "{}", indented(&cause.mend, MARGIN + 7));
    }
    if finding.verdict() == Verdict::Failed || !finding.causes.is_empty() {
        out.push('\n');
    }
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
        let denied = v1::Finding {
            edge: "trust".into(),
            hop: 1,
            cloud_code: "AccessDenied".into(),
            cloud_request_id: "r-1".into(),
            latency: Some(took),
            causes: vec![
                cause("EXTERNAL_ID_DIFFERS", "It asks for another external id.", "aws iam \\\n  update"),
                cause("PRINCIPAL_DIFFERS", "It names somebody else.", "aws iam other"),
            ],
            ..finding("become the role", Verdict::Failed, "not authorized")
        };
        v1::VerifyBindingResponse {
            findings: vec![
                finding("find out who we are", Verdict::Passed, "we are us"),
                denied,
                finding("wrap a random value", Verdict::Skipped, "no session"),
                finding("unwrap it again", Verdict::Skipped, "no session"),
            ],
            verdict: Verdict::Failed.into(),
            state: v1::BindingState::Pending.into(),
            reason: ErrorReason::BindingDenied.into(),
        }
    }

    const TEXT: &str = " passed  find out who we are: we are us

 FAILED  become the role (34 ms)
         not authorized
         refused at: the trust edge (may we become the principal?)
         cloud code: AccessDenied
         request id: r-1 (find it in your audit log)

         likely causes, the likeliest first:
         1. It asks for another external id. (EXTERNAL_ID_DIFFERS)
                aws iam \\
                  update
         2. It names somebody else. (PRINCIPAL_DIFFERS)
                aws iam other

 skipped wrap a random value: no session
 skipped unwrap it again";

    #[test]
    fn a_failure_is_told_with_edge_code_causes_and_what_to_paste() {
        assert_eq!(text(&report(), Paint(false)), TEXT);
        let coloured = text(&report(), Paint(true));
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
        assert_eq!(denied["causes"][0]["mend"], "aws iam \\\n  update");
        assert_eq!((&denied["edge"], &denied["hop"]), (&json!("trust"), &json!(1)));
    }
}
