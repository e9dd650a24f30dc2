//! The condition operators and how their names are put together.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

/// `[ForAllValues:|ForAnyValue:]{test}[IfExists]`, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) quantifier: Option<Quantifier>,
    pub(super) test: Test,
    /// The `Not…` form: holds if no value matches, and if the key is absent.
    pub(super) negated: bool,
    /// Holds if the key is absent.
    pub(super) if_exists: bool,
}

/// How an operator goes over a key with several values.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// Every value of the request; holds if there is none.
    ForAll,
    /// At least one; does not hold if there is none.
    ForAny,
}

/// What is compared, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The same text; base64 text too.
    Equals,
    /// The same text but for case.
    EqualsIgnoreCase,
    /// Text with wildcards.
    Like,
    /// An ARN with wildcards, part by part; `ArnEquals` is no stricter than `ArnLike`.
    Arn,
    /// Decimal numbers.
    Numeric(Order),
    /// Moments.
    Date(Order),
    /// `true` or `false`.
    Bool,
    /// An address in a range.
    Ip,
    /// Whether the key is absent.
    Null,
}

/// How the request's value has to stand to the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads an operator's name; nothing if there is no such operator.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (quantifier, name) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Quantifier::ForAll), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::ForAny), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (if_exists, name) = match name.strip_suffix("IfExists") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let (test, negated) = test(name)?;
        // "Null" asks for existence itself, so it takes neither prefix nor suffix.
        let bare = quantifier.is_none() && !if_exists;
        (test != Test::Null || bare).then_some(Self { quantifier, test, negated, if_exists })
    }
}

impl Order {
    pub(super) fn holds<T: PartialOrd>(self, actual: &T, expected: &T) -> bool {
        match self {
            Self::Equal => actual == expected,
            Self::Less => actual < expected,
            Self::LessOrEqual => actual <= expected,
            Self::Greater => actual > expected,
            Self::GreaterOrEqual => actual >= expected,
        }
    }
}

fn test(name: &str) -> Option<(Test, bool)> {
    Some(match name {
        "StringEquals" | "BinaryEquals" => (Test::Equals, false),
        "StringNotEquals" => (Test::Equals, true),
        "StringEqualsIgnoreCase" => (Test::EqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoreCase, true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Bool" => (Test::Bool, false),
        "IpAddress" => (Test::Ip, false),
        "NotIpAddress" => (Test::Ip, true),
        "Null" => (Test::Null, false),
        _ => return ordered(name),
    })
}

fn ordered(name: &str) -> Option<(Test, bool)> {
    let (test, order): (fn(Order) -> Test, _) =
        match (name.strip_prefix("Numeric"), name.strip_prefix("Date")) {
            (Some(order), _) => (Test::Numeric, order),
            (_, Some(order)) => (Test::Date, order),
            _ => return None,
        };
    let (order, negated) = match order {
        "Equals" => (Order::Equal, false),
        "NotEquals" => (Order::Equal, true),
        "LessThan" => (Order::Less, false),
        "LessThanEquals" => (Order::LessOrEqual, false),
        "GreaterThan" => (Order::Greater, false),
        "GreaterThanEquals" => (Order::GreaterOrEqual, false),
        _ => return None,
    };
    Some((test(order), negated))
}
