//! Spans of time as people write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A span of time, written as `15s`, `2m 30s` or `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| {
            serde::de::Error::custom(format_args!("{text:?} is no span of time such as 15s: {error}"))
        })
    }
}
