//! Reasons as they travel in `google.rpc.ErrorInfo`.

use crate::v1::ErrorReason;

/// The domain of every [`ErrorReason`] (<https://google.aip.dev/193>).
pub const ERROR_DOMAIN: &str = "leasehold.dev";

const PREFIX: &str = "ERROR_REASON_";

impl ErrorReason {
    /// The reason as it travels: the name without its prefix, `BINDING_DENIED` for example.
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        self.as_str_name().trim_start_matches(PREFIX)
    }

    /// The reason of this name as it travels; none if this release does not know it.
    #[must_use]
    pub fn from_wire_name(name: &str) -> Option<Self> {
        Self::from_str_name(&format!("{PREFIX}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_travel_without_their_prefix() {
        for number in 1..=32 {
            let reason = ErrorReason::try_from(number).unwrap();
            assert!(!reason.wire_name().contains(PREFIX));
            assert_eq!(ErrorReason::from_wire_name(reason.wire_name()), Some(reason));
        }
        assert!(ErrorReason::try_from(33).is_err(), "every reason is looked at");
        assert_eq!(ErrorReason::BindingDenied.wire_name(), "BINDING_DENIED");
        assert_eq!(ErrorReason::from_wire_name("NO_SUCH"), None);
    }
}
