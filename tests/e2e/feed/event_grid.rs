//! Azure: subscriptions of Event Grid, and a log alert for what Event Grid does not tell, as `deploy/events/azure` makes them.

use leasehold_cloudsim::AzureControl;
use leasehold_cloudsim::tenants::Tenant;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Asking, Feed, query, render, template};

/// The subscription and the alert, and what they have seen.
pub(super) struct EventGrid {
    control: AzureControl,
    topic: String,
    kinds: Vec<String>,
    operations: Vec<String>,
    query: String,
    asking: Asking,
    /// The newest event and row that were seen.
    seen: u64,
}

impl EventGrid {
    pub(super) fn new(control: AzureControl, tenant: &Tenant, asking: Asking) -> Self {
        let world = control.world();
        let vault =
            world.vaults.iter().find(|vault| tenant.key.starts_with(&format!("{}/", vault.url))).unwrap();
        let directory = world.directories.iter().find(|known| known.id == vault.directory).unwrap();
        let principal = directory.principals.values().next().unwrap().object_id.to_string();
        let key = tenant.key.rsplit('/').next().unwrap();
        let variables = [("vault_id", &*vault.resource_id), ("key", key), ("principal_id", &*principal)];
        let main = template("azure/main.tf");
        let (_, assignments) = main.split_once("event_subscription\" \"assignments\"").unwrap();
        Self {
            topic: format!("/subscriptions/{}", directory.subscription),
            kinds: strings(assignments, "included_event_types"),
            operations: strings(assignments, "values"),
            query: render("azure/query.tftpl", &variables),
            control,
            asking,
            seen: 0,
        }
    }

    /// <https://learn.microsoft.com/azure/event-grid/delivery-properties>
    fn deliver(&self, event: &Value) -> RequestBuilder {
        let request = self.asking.client.post(&self.asking.url).header("aeg-event-type", "Notification");
        request.header("x-api-key", &self.asking.secret).json(&json!([event]))
    }

    /// <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema>
    fn alert(&self) -> RequestBuilder {
        let essentials = json!({"alertRule": "leasehold-acme", "monitorCondition": "Fired"});
        let body = json!({"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": essentials}});
        self.asking.client.post(&self.asking.url).bearer_auth(&self.asking.token).json(&body)
    }
}

impl Feed for EventGrid {
    fn requests(&mut self) -> Vec<RequestBuilder> {
        let (events, rows) = (self.control.grid_events(self.seen), self.control.log_rows(self.seen));
        let newest = events.last().map(|(newest, _)| *newest).max(rows.last().map(|(newest, _)| *newest));
        self.seen = newest.unwrap_or(self.seen);
        let within = |texts: &[String], text: &Value| texts.iter().any(|known| *text == **known);
        let meant = events.iter().map(|(_, event)| event).filter(|event| {
            event["topic"] == *self.topic
                && within(&self.kinds, &event["eventType"])
                && within(&self.operations, &event["data"]["operationName"])
        });
        let mut requests: Vec<_> = meant.map(|event| self.deliver(event)).collect();
        if rows.iter().any(|(_, (table, row))| query::kusto(&self.query, table, row)) {
            requests.push(self.alert());
        }
        requests
    }
}

/// The strings of the first list of this name.
fn strings(text: &str, name: &str) -> Vec<String> {
    let (_, list) = text.split_once(&format!("{name} = [")).unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}
