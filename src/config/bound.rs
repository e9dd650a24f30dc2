//! Settings that bound something. Zero would serve nobody, and what is beyond reason bounds nothing.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::Span;

/// Far above what one process can serve, and far below what a semaphore can count.
const COUNT: RangeInclusive<u32> = 1..=1_000_000;

/// Locked memory for keys: from what holds 256 keys to what holds 16 million.
const BYTES: RangeInclusive<usize> = leasehold_secret::ArenaConfig::MIN_BYTES..=1 << 30;

/// A proof costs the cloud two calls and us some milliseconds.
const RATE: RangeInclusive<f64> = 0.1..=10_000.0;

/// Events are few: from one in a quarter of an hour.
const EVENT_RATE: RangeInclusive<f64> = 0.001..=10_000.0;

/// A file of a journal: from what holds a hundred records to what nobody wants to carry around.
const FILE_BYTES: RangeInclusive<u64> = 1 << 16..=1 << 40;

/// What is due once in a while: from every second to once a year.
const AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);

/// A call that takes longer holds its keys for nobody.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// How many of something.
pub(super) fn count<'de, D: Deserializer<'de>, T: TryFrom<u32, Error: Display>>(
    from: D,
) -> Result<T, D::Error> {
    T::try_from(within(u32::deserialize(from)?, &COUNT)?).map_err(D::Error::custom)
}

/// How much locked memory.
pub(super) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    within(usize::deserialize(from)?, &BYTES)
}

/// How many of something per second.
pub(super) fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, &RATE)
}

/// How many events per second.
pub(super) fn event_rate<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, &EVENT_RATE)
}

/// How large a file may grow.
pub(super) fn file_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    within(u64::deserialize(from)?, &FILE_BYTES)
}

/// How old something may grow.
pub(super) fn age<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(from)?;
    match AGE.contains(&span.0) {
        true => Ok(span),
        false => Err(D::Error::custom("must be from 1s to 366d")),
    }
}

/// How long a call may take.
pub(super) fn wait<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(from)?;
    match WAIT.contains(&span.0) {
        true => Ok(span),
        false => Err(D::Error::custom("must be from 1ms to 1h")),
    }
}

fn within<T: PartialOrd + Display, E: Error>(value: T, range: &RangeInclusive<T>) -> Result<T, E> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(E::custom(format_args!("must be from {} to {}", range.start(), range.end()))),
    }
}
