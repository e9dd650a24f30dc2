//! Points in time as they are written down: RFC 3339 in UTC, always with microseconds, so that text sorts as time does.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serializer};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// `2026-11-05T12:34:56.123456Z`.
const LENGTH: usize = 27;

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // On the way of every record, and so without an allocation.
    let mut text = [0; LENGTH];
    let mut rest = &mut text[..];
    OffsetDateTime::from(*time).format_into(&mut rest, &FORMAT).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339).map(Into::into).map_err(serde::de::Error::custom)
}
