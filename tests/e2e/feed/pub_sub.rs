//! Google Cloud: a log sink and a push subscription, as `deploy/events/gcp` makes them.

use data_encoding::BASE64;
use leasehold_cloudsim::GcpControl;
use leasehold_cloudsim::tenants::Tenant;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Asking, Feed, query, render};

/// The sink's filter, and what it has seen.
pub(super) struct PubSub {
    control: GcpControl,
    filter: String,
    /// The project whose log the sink reads.
    log: String,
    asking: Asking,
    /// The newest entry that it has seen.
    seen: u64,
}

impl PubSub {
    pub(super) fn new(control: GcpControl, tenant: &Tenant, asking: Asking) -> Self {
        let project = tenant.key.split('/').nth(1).unwrap();
        let variables =
            [("project", project), ("key", &*tenant.key), ("service_account", &*tenant.principal)];
        let filter = render("gcp/filter.tftpl", &variables);
        Self { control, filter, log: format!("projects/{project}/logs/"), asking, seen: 0 }
    }

    /// <https://cloud.google.com/pubsub/docs/push#receive_push>
    fn push(&self, entry: &Value) -> RequestBuilder {
        let body = json!({
            "message": {
                "data": BASE64.encode(entry.to_string().as_bytes()),
                "messageId": entry["insertId"],
                "publishTime": entry["timestamp"],
            },
            "subscription": "projects/acme/subscriptions/leasehold-acme",
        });
        self.asking.client.post(&self.asking.url).bearer_auth(&self.asking.token).json(&body)
    }
}

impl Feed for PubSub {
    fn requests(&mut self) -> Vec<RequestBuilder> {
        let entries = self.control.log_entries(self.seen);
        self.seen = entries.last().map_or(self.seen, |(sequence, _)| *sequence);
        let ours = |entry: &Value| entry["logName"].as_str().unwrap().starts_with(&self.log);
        let meant = entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| ours(entry) && query::logging(&self.filter, entry));
        meant.map(|entry| self.push(entry)).collect()
    }
}
