//! The client's deadline.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// The value of `grpc-timeout`: at most 8 digits and a unit
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). None if there is none that makes sense.
pub(crate) fn of_client(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.get("grpc-timeout")?.to_str().ok()?)
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.len().checked_sub(1).filter(|n| (1..=8).contains(n) && text.is_char_boundary(*n))?;
    let (number, unit) = text.split_at(digits);
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, seconds) in
            [("1H", 3600.0), ("2M", 120.0), ("3S", 3.0), ("4m", 0.004), ("15000000u", 15.0)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "1", "1x", "-1S", "+1S", "123456789S", "1 S", "1ä"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
