//! A set of policy documents as its owner wrote it, the named edits laid over it, and what is in effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::aws::edits::{EditId, PolicyEdit};
use crate::aws::policy::{PolicyDocument, PolicyKind};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::propagated::Propagated;

/// When an edit is made and when it takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EditTime {
    pub(crate) now: Timestamp,
    pub(crate) effective: Timestamp,
}

/// The documents of one place that holds policies: a trust policy, a key policy, or a role's inline policies.
#[derive(Debug)]
pub(crate) struct EditablePolicies {
    kind: PolicyKind,
    /// By policy name; a trust or key policy is the only one of its place.
    base: BTreeMap<String, Value>,
    edits: BTreeMap<EditId, PolicyEdit>,
    effective: Propagated<Arc<Vec<PolicyDocument>>>,
}

impl EditablePolicies {
    pub(crate) fn new(kind: PolicyKind, base: BTreeMap<String, Value>) -> Result<Self, SimError> {
        let documents = Arc::new(parse_all(kind, base.values())?);
        Ok(Self { kind, base, edits: BTreeMap::new(), effective: Propagated::new(documents) })
    }

    /// A place that holds exactly one document.
    pub(crate) fn single(kind: PolicyKind, document: Value) -> Result<Self, SimError> {
        Self::new(kind, BTreeMap::from([(String::from("default"), document)]))
    }

    /// The documents in effect at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> Arc<Vec<PolicyDocument>> {
        self.effective.at(now).clone()
    }

    /// What the owner would read back: the newest documents, edits included.
    pub(crate) fn newest(&self) -> Vec<Value> {
        self.edited()
    }

    /// Replaces the documents; edits laid over the old ones go with them.
    pub(crate) fn replace(&mut self, base: BTreeMap<String, Value>, time: EditTime) -> Result<(), SimError> {
        let documents = parse_all(self.kind, base.values())?;
        self.base = base;
        self.edits.clear();
        self.effective.set(Arc::new(documents), time.now, time.effective);
        Ok(())
    }

    /// Replaces the one document.
    pub(crate) fn replace_single(&mut self, document: Value, time: EditTime) -> Result<(), SimError> {
        self.replace(BTreeMap::from([(String::from("default"), document)]), time)
    }

    /// Lays an edit over the documents.
    pub(crate) fn lay(&mut self, id: EditId, edit: PolicyEdit, time: EditTime) -> Result<(), SimError> {
        self.edits.insert(id, edit);
        let outcome = self.publish(time);
        if outcome.is_err() {
            self.edits.remove(&id);
        }
        outcome
    }

    /// Takes an edit away again; says whether it was there.
    pub(crate) fn lift(&mut self, id: EditId, time: EditTime) -> Result<bool, SimError> {
        if self.edits.remove(&id).is_none() {
            return Ok(false);
        }
        self.publish(time).map(|()| true)
    }

    fn publish(&mut self, time: EditTime) -> Result<(), SimError> {
        let documents = parse_all(self.kind, self.edited().iter())?;
        self.effective.set(Arc::new(documents), time.now, time.effective);
        Ok(())
    }

    fn edited(&self) -> Vec<Value> {
        let mut documents: Vec<Value> = self.base.values().cloned().collect();
        for edit in self.edits.values() {
            edit.apply(&mut documents);
        }
        documents
    }
}

/// The statements of a document, made a list if the owner wrote a single one.
pub(crate) fn statements_mut(document: &mut Value) -> Option<&mut Vec<Value>> {
    let statement = document.get_mut("Statement")?;
    if statement.is_object() {
        *statement = json!([statement.take()]);
    }
    statement.as_array_mut()
}

/// Reads a policy document from JSON, and checks that it has what its use asks for.
pub(crate) fn parse(kind: PolicyKind, document: &Value) -> Result<PolicyDocument, SimError> {
    PolicyDocument::try_from(document)
        .and_then(|parsed| parsed.check(kind).map(|()| parsed))
        .map_err(|error| SimError::invalid("policy document", error.to_string()))
}

fn parse_all<'a>(
    kind: PolicyKind,
    documents: impl Iterator<Item = &'a Value>,
) -> Result<Vec<PolicyDocument>, SimError> {
    documents.map(|document| parse(kind, document)).collect()
}
