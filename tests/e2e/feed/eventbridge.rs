//! AWS: rules of EventBridge with an API destination, as `deploy/events/aws` makes them.

use leasehold_cloudsim::AwsControl;
use leasehold_cloudsim::tenants::Tenant;
use reqwest::RequestBuilder;
use serde_json::{Map, Value};

use super::{Asking, Feed, render, template};

/// The rules on the bus of one account, which gets the events of that account alone, and what they have seen.
pub(super) struct EventBridge {
    control: AwsControl,
    account: String,
    patterns: [Value; 2],
    paths: Map<String, Value>,
    template: String,
    asking: Asking,
    /// The newest event that it has seen.
    seen: u64,
}

impl EventBridge {
    pub(super) fn new(control: AwsControl, tenant: &Tenant, asking: Asking) -> Self {
        let role = tenant.principal.rsplit('/').next().unwrap();
        let patterns = [
            render("aws/region/role-events.json.tftpl", &[("role_name", role)]),
            render("aws/region/key-events.json.tftpl", &[("key_arn", &tenant.key)]),
        ];
        Self {
            control,
            account: tenant.principal.split(':').nth(4).unwrap().to_owned(),
            patterns: patterns.map(|pattern| serde_json::from_str(&pattern).unwrap()),
            paths: serde_json::from_str(&template("aws/region/input-paths.json")).unwrap(),
            template: template("aws/region/input-template.json"),
            asking,
            seen: 0,
        }
    }

    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>
    fn transform(&self, event: &Value) -> String {
        self.paths.iter().fold(self.template.clone(), |text, (name, path)| {
            let pointer = path.as_str().unwrap().trim_start_matches('$').replace('.', "/");
            let value = event.pointer(&pointer).unwrap().as_str().unwrap();
            text.replace(&format!("<{name}>"), value)
        })
    }
}

impl Feed for EventBridge {
    fn requests(&mut self) -> Vec<RequestBuilder> {
        let events = self.control.bus_events(self.seen);
        self.seen = events.last().map_or(self.seen, |(sequence, _)| *sequence);
        let meant = |event: &Value| {
            event["account"] == *self.account && self.patterns.iter().any(|pattern| matches(pattern, event))
        };
        let meant = events.into_iter().map(|(_, event)| event).filter(meant);
        let Asking { client, url, secret, .. } = &self.asking;
        meant.map(|event| client.post(url).header("x-api-key", secret).body(self.transform(&event))).collect()
    }
}

/// Whether an event matches a pattern of exact values:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>. Of an array one element must match.
fn matches(pattern: &Value, event: &Value) -> bool {
    match (pattern, event) {
        (_, Value::Array(elements)) => elements.iter().any(|element| matches(pattern, element)),
        (Value::Object(fields), event) => {
            fields.iter().all(|(name, field)| event.get(name).is_some_and(|value| matches(field, value)))
        }
        (Value::Array(values), event) => values.contains(event),
        _ => panic!("not a pattern: {pattern}"),
    }
}
