//! `leasehold binding kit`: what the tenant pastes, how they revoke, and what it costs them.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use leasehold_client::api::v1;
use serde_json::{Value, json};

use super::args::{BindingArg, ClientArgs};
use super::binding::Api;
use super::prose::Page;
use super::{Failure, Output};

/// Which binding, and which part of its kit.
#[derive(Debug, Args)]
pub struct Kit {
    /// Which binding, TENANT/BINDING.
    binding: BindingArg,
    /// Print just this section, as it can be pasted: its number, or a part of its title that no other section has.
    #[arg(long, value_name = "NUMBER|TITLE")]
    section: Option<String>,
    /// Print just what is written in this, as it can be pasted.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What a section is written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Terraform.
    Hcl,
    /// Commands of the cloud's own command line.
    Shell,
    /// Policy documents.
    Json,
    /// For people.
    Text,
}

/// A section and its number in the whole kit.
type Numbered<'a> = (usize, &'a v1::KitSection);

pub(super) async fn run(args: Kit, output: Output) -> Result<(), Failure> {
    let request = v1::GetOnboardingKitRequest { name: args.binding.0.to_string() };
    let call = |mut t: Api, q| async move { t.get_onboarding_kit(q).await };
    let kit = args.client.client()?.tenants(request, call).await?.kit.unwrap_or_default();
    if args.section.is_none() && args.format.is_none() {
        return output.answer(&json(&kit), || text(&kit, Page::of(output)));
    }
    let chosen = choose(&kit, args.section.as_deref(), args.format)?;
    let value = json!({ "sections": chosen.iter().map(|(_, s)| section_json(s)).collect::<Vec<_>>() });
    output.answer(&value, || chosen.iter().map(|(_, s)| s.body.trim_end()).collect::<Vec<_>>().join("\n\n"))
}

/// The sections that are asked for.
fn choose<'a>(
    kit: &'a v1::OnboardingKit,
    section: Option<&str>,
    format: Option<Format>,
) -> Result<Vec<Numbered<'a>>, Failure> {
    let all: Vec<Numbered<'a>> = (1..).zip(&kit.sections).collect();
    let format = format.and_then(|f| f.to_possible_value());
    let in_format: Vec<_> = all
        .iter()
        .filter(|(_, s)| format.as_ref().is_none_or(|f| f.get_name() == s.format))
        .copied()
        .collect();
    let chosen: Vec<_> = match section {
        None => in_format,
        Some(wanted) => in_format.into_iter().filter(|s| is_named(s, wanted)).collect(),
    };
    match (chosen.len(), section) {
        (0, _) => Err(Failure::new(format!("no section of the kit is that; there are:\n{}", titles(&all)))),
        (2.., Some(_)) => {
            Err(Failure::new(format!("several sections of the kit are that:\n{}", titles(&chosen))))
        }
        _ => Ok(chosen),
    }
}

fn is_named((number, section): &Numbered<'_>, wanted: &str) -> bool {
    match wanted.parse::<usize>() {
        Ok(wanted) => *number == wanted,
        Err(_) => section.title.to_lowercase().contains(&wanted.to_lowercase()),
    }
}

fn titles(sections: &[Numbered<'_>]) -> String {
    let line = |(number, s): &Numbered<'_>| format!("  {number}. {} ({})", s.title, s.format);
    sections.iter().map(line).collect::<Vec<_>>().join("\n")
}

// === For programs ===

fn json(kit: &v1::OnboardingKit) -> Value {
    let lever = |lever: &v1::Lever| {
        json!({
            "title": lever.title,
            "revoke": lever.revoke,
            "restore": lever.restore,
            "propagation": lever.propagation,
            "reach": lever.reach,
        })
    };
    json!({
        "sections": kit.sections.iter().map(section_json).collect::<Vec<_>>(),
        "levers": kit.levers.iter().map(lever).collect::<Vec<_>>(),
        "costs": kit.costs.as_ref().map(costs_json),
    })
}

fn section_json(section: &v1::KitSection) -> Value {
    json!({ "title": section.title, "format": section.format, "body": section.body })
}

fn costs_json(costs: &v1::ProofCosts) -> Value {
    let call = |call: &v1::CallCost| {
        json!({
            "operation": call.operation,
            "per_proof": call.per_proof,
            "usd_per_ten_thousand": call.usd_per_ten_thousand,
        })
    };
    json!({
        "calls": costs.calls.iter().map(call).collect::<Vec<_>>(),
        "proofs_per_month": costs.proofs_per_month,
        "log_events_per_month": costs.log_events_per_month,
        "usd_per_month": costs.usd_per_month,
        "notes": costs.notes,
    })
}

// === For people ===

fn text(kit: &v1::OnboardingKit, page: Page) -> String {
    let mut out = String::new();
    for (number, section) in (1..).zip(&kit.sections) {
        let body = match section.format.as_str() {
            "text" => page.fill(&section.body, 0),
            _ => section.body.trim_end().to_owned(),
        };
        // Writing to a string does not fail.
        let _ = write!(out, "# {number}. {}\n\n{body}\n\n", section.title);
    }
    if !kit.levers.is_empty() {
        out.push_str("# How to revoke, the fastest way first\n\n");
        out.push_str("Your revocation bound comes on top of the times given here.\n\n");
    }
    for (number, lever) in (1..).zip(&kit.levers) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{number}. {}", lever.title);
        let _ = writeln!(out, "   takes effect: {}", page.fill(&lever.propagation, 17));
        let _ = writeln!(out, "   stops:        {}", page.fill(&lever.reach, 17));
        let _ = writeln!(out, "   to revoke:\n{}", page.commands(&lever.revoke, 6));
        let _ = writeln!(out, "   to restore:\n{}", page.commands(&lever.restore, 6));
    }
    if let Some(costs) = kit.costs.as_ref().filter(|costs| !costs.calls.is_empty()) {
        costs_text(costs, page, &mut out);
    }
    out.trim_end().to_owned()
}

fn costs_text(costs: &v1::ProofCosts, page: Page, out: &mut String) {
    out.push_str("# What the proofs cost\n\n");
    let sum = format!(
        "In a month of uninterrupted use, per replica: {} proofs, {} events in your audit log, about ${:.2}.",
        grouped(costs.proofs_per_month),
        grouped(costs.log_events_per_month),
        costs.usd_per_month
    );
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}", page.fill(&sum, 0));
    for call in &costs.calls {
        let price = match call.usd_per_ten_thousand {
            free if free <= 0.0 => "free".to_owned(),
            price => format!("${price} per 10,000"),
        };
        let _ = writeln!(out, "  {} × {} in each proof, {price}", call.per_proof, call.operation);
    }
    for note in &costs.notes {
        let _ = writeln!(out, "- {}", page.fill(note, 2));
    }
}

/// With a comma after each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> v1::OnboardingKit {
        let section = |title: &str, format: &str, body: &str| v1::KitSection {
            title: title.to_owned(),
            format: format.to_owned(),
            body: body.to_owned(),
        };
        v1::OnboardingKit {
            sections: vec![
                section("Trust policy of the role", "json", "{}"),
                section("Key policy", "json", "[]"),
                section("All of it as commands", "shell", "aws iam create-role\n"),
            ],
            levers: vec![v1::Lever {
                title: "Disable the key".into(),
                revoke: "aws kms disable-key \\\n  --key-id k".into(),
                restore: "aws kms enable-key".into(),
                propagation: "seconds".into(),
                reach: "everybody who uses the key".into(),
            }],
            costs: Some(v1::ProofCosts {
                calls: vec![
                    v1::CallCost { operation: "AssumeRole".into(), per_proof: 1, usd_per_ten_thousand: 0.0 },
                    v1::CallCost { operation: "Decrypt".into(), per_proof: 1, usd_per_ten_thousand: 0.03 },
                ],
                proofs_per_month: 19_200,
                log_events_per_month: 38_400,
                usd_per_month: 0.0576,
                notes: vec!["Prices as of then.".into()],
            }),
        }
    }

    fn bodies(section: Option<&str>, format: Option<Format>) -> Result<Vec<String>, String> {
        let kit = kit();
        let chosen = choose(&kit, section, format).map_err(|failure| failure.to_string())?;
        Ok(chosen.into_iter().map(|(_, section)| section.body.clone()).collect())
    }

    #[test]
    fn a_section_is_chosen_by_number_or_title_and_a_format_may_have_several() {
        assert_eq!(bodies(Some("2"), None).unwrap(), ["[]"]);
        assert_eq!(bodies(Some("trust"), None).unwrap(), ["{}"]);
        assert_eq!(bodies(None, Some(Format::Json)).unwrap(), ["{}", "[]"]);
        assert_eq!(bodies(Some("policy"), Some(Format::Shell)).unwrap_err().lines().count(), 4);
    }

    #[test]
    fn what_is_not_there_or_not_one_is_told_with_what_there_is() {
        assert!(bodies(Some("4"), None).unwrap_err().contains("3. All of it as commands (shell)"));
        let several = bodies(Some("policy"), None).unwrap_err();
        assert!(several.contains("several") && several.lines().count() == 3, "{several}");
        assert!(bodies(None, Some(Format::Hcl)).is_err());
    }

    #[test]
    fn people_read_sections_levers_and_costs() {
        let text = text(&kit(), Page::wide(80));
        for part in [
            "# 1. Trust policy of the role\n\n{}\n\n",
            "1. Disable the key\n   takes effect: seconds\n   stops:        everybody who uses the key\n",
            "      aws kms disable-key \\\n        --key-id k\n",
            "19,200 proofs, 38,400 events in\nyour audit log, about $0.06.",
            "  1 × AssumeRole in each proof, free\n  1 × Decrypt in each proof, $0.03 per 10,000\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
