//! `leasehold authz`: what the rules of a configuration say, without a server.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use leasehold_authz::{Captures, Finding, Identity, Operation, Rule, Rules};
use leasehold_ids::TenantId;
use serde_json::{Value, json};

use super::{Failure, Output};
use crate::config::{self, Config, VouchesFor};

/// What can be asked about rules.
#[derive(Debug, Subcommand)]
pub enum AuthzCommand {
    /// Say whether a caller may do something, which rule decides, and what each other rule is about instead.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Explain),
}

const EXPLAIN_HELP: &str = "\
Example:
  leasehold authz explain --config leasehold.toml --identity spiffe://prod/tenant/acme/compute/7 \\
    --operation UnwrapKey --tenant acme

Exit codes of their own:
  0  the caller may
  3  the caller may not";

/// The question.
#[derive(Debug, Args)]
pub struct Explain {
    /// The configuration of the server, as for `serve`; LEASEHOLD__… variables are laid over it.
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The caller: spiffe://DOMAIN/PATH, dns:NAME, unix:uid=N,gid=N, loopback or feed:NAME, as audit records have it.
    #[arg(long)]
    identity: Identity,
    /// The method: UnwrapKey, for example.
    #[arg(long)]
    operation: Operation,
    /// The tenant, existing or not. Without one: whether the caller may do it to any tenant at all.
    #[arg(long)]
    tenant: Option<TenantId>,
}

pub(super) fn run(command: AuthzCommand, output: Output) -> Result<(), Failure> {
    let AuthzCommand::Explain(asked) = command;
    let config = config::load(asked.config.as_deref(), std::env::vars_os())?;
    let unknown = unknown(&config, &asked.identity);
    let rules = config.rules().map_err(|error| Failure::from_error(&error))?;
    let answer = Answer { asked: &asked, findings: findings(&rules, &asked), unknown };
    output.answer(&answer.json(), || answer.text())?;
    match answer.decides() {
        Some(_) => Ok(()),
        None => Err(Failure::denied(format!(
            "{} may not, and would read only that it is refused",
            asked.identity
        ))),
    }
}

struct Answer<'a> {
    asked: &'a Explain,
    findings: Vec<(&'a Rule, Finding<'a>)>,
    /// Why nobody can be this caller.
    unknown: Option<&'static str>,
}

fn findings<'a>(rules: &'a Rules, asked: &'a Explain) -> Vec<(&'a Rule, Finding<'a>)> {
    rules.explain(&asked.identity, asked.operation, asked.tenant.as_ref()).collect()
}

/// Why no caller of this configuration's server turns out to be `identity`, if none does.
fn unknown(config: &Config, identity: &Identity) -> Option<&'static str> {
    let vouched = |who: &VouchesFor| who.cover(identity);
    let tls = config.listen.tls.iter().flat_map(|tls| &tls.authorities);
    match identity {
        Identity::Spiffe(_) | Identity::Dns(_) => (!tls.map(|a| &a.vouches_for).any(vouched))
            .then_some("no authority in listen.tls vouches for this identity, so nobody can connect with it"),
        Identity::UnixPeer { .. } => config.listen.unix.is_empty().then_some("listen.unix names no socket"),
        Identity::Loopback => config.listen.tcp.is_empty().then_some("listen.tcp names no address"),
        _ => None,
    }
}

impl Answer<'_> {
    fn decides(&self) -> Option<&Rule> {
        let allows = |(_, finding): &&(_, Finding<'_>)| matches!(finding, Finding::Allows(_));
        self.findings.iter().find(allows).map(|(rule, _)| *rule)
    }

    fn json(&self) -> Value {
        let rule = |(rule, finding): &(&Rule, Finding<'_>)| {
            let (finding, captures) = told(finding);
            json!({ "rule": rule.name, "finding": finding, "captures": captures })
        };
        json!({
            "identity": self.asked.identity.to_string(),
            "operation": self.asked.operation.as_str(),
            "tenant": self.asked.tenant.as_ref().map(TenantId::as_str),
            "allowed": self.decides().is_some(),
            "rule": self.decides().map(|rule| &rule.name),
            "rules": self.findings.iter().map(rule).collect::<Vec<_>>(),
            "warning": self.unknown,
        })
    }

    fn text(&self) -> String {
        let mut text = match self.decides() {
            Some(rule) => format!("allowed by the rule {:?}\n", rule.name),
            None => "refused: no rule allows it\n".to_owned(),
        };
        for (rule, finding) in &self.findings {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {:<24} {}", rule.name, self.line(finding));
        }
        if let Some(unknown) = self.unknown {
            let _ = writeln!(text, "warning: {unknown}");
        }
        text.trim_end().to_owned()
    }

    fn line(&self, finding: &Finding<'_>) -> String {
        let of = |captures: &Captures<'_>| {
            let texts: Vec<_> = captures.iter().map(|(name, text)| format!("{{{name}}} is {text}")).collect();
            if texts.is_empty() { String::new() } else { format!(": {}", texts.join(", ")) }
        };
        match finding {
            Finding::Allows(captures) => format!("allows it{}", of(captures)),
            Finding::OtherIdentity => "is about other callers".to_owned(),
            Finding::OtherOperation => {
                format!("is about this caller, but not about {}", self.asked.operation)
            }
            Finding::OtherTenant(captures) => format!("is about other tenants{}", of(captures)),
        }
    }
}

/// A finding for programs.
fn told(finding: &Finding<'_>) -> (&'static str, Value) {
    let object = |captures: &Captures<'_>| captures.iter().map(|(n, t)| (n.to_owned(), t.into())).collect();
    match finding {
        Finding::Allows(captures) => ("ALLOWS", Value::Object(object(captures))),
        Finding::OtherIdentity => ("OTHER_IDENTITY", json!({})),
        Finding::OtherOperation => ("OTHER_OPERATION", json!({})),
        Finding::OtherTenant(captures) => ("OTHER_TENANT", Value::Object(object(captures))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(identity: &str, operation: &str, tenant: &str) -> (Value, String) {
        let config: Config = toml::from_str(
            r#"
            deployment = "prod"
            [[rules]]
            name = "compute"
            identity = "spiffe://prod/tenant/{t}/compute/*"
            operations = ["UnwrapKey", "WatchLeases"]
            tenants = ["{t}"]
            [[rules]]
            name = "operators"
            identity = "unix:uid=900"
            operations = ["*"]
            tenants = ["*"]
            "#,
        )
        .unwrap();
        let asked = Explain {
            config: None,
            identity: identity.parse().unwrap(),
            operation: operation.parse().unwrap(),
            tenant: Some(tenant.parse().unwrap()),
        };
        let unknown = unknown(&config, &asked.identity);
        let rules = config.rules().unwrap();
        let answer = Answer { asked: &asked, findings: findings(&rules, &asked), unknown };
        (answer.json(), answer.text())
    }

    #[test]
    fn an_explanation_names_the_rule_that_decides_and_what_the_others_are_about() {
        let compute = "spiffe://prod/tenant/acme/compute/7";
        let (value, text) = explained(compute, "UnwrapKey", "acme");
        assert_eq!((&value["allowed"], &value["rule"]), (&json!(true), &json!("compute")));
        assert_eq!(value["rules"][0]["captures"], json!({"t": "acme"}));
        assert!(text.contains("allows it: {t} is acme"), "{text}");
        assert!(text.contains("warning: no authority"), "{text}");

        let (value, text) = explained(compute, "UnwrapKey", "globex");
        assert_eq!((&value["allowed"], &value["rule"]), (&json!(false), &Value::Null));
        assert_eq!(value["rules"][0]["finding"], "OTHER_TENANT");
        assert!(text.starts_with("refused") && text.contains("other tenants: {t} is acme"), "{text}");

        let (value, _) = explained(compute, "SuspendTenant", "acme");
        assert_eq!(value["rules"][0]["finding"], "OTHER_OPERATION");
        let (value, _) = explained("unix:uid=900,gid=1", "SuspendTenant", "acme");
        assert_eq!(
            (&value["rule"], &value["warning"]),
            (&json!("operators"), &json!("listen.unix names no socket"))
        );
    }
}
