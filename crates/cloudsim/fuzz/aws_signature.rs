//! Requests with a signature of AWS: an `Authorization` header in the first line, then path, query and a header of the
//! request in a line each, then its body.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use leasehold_cloudsim::aws::sigv4::{Authorization, Signed};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "a secret that no input knows";

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (header, path, query, named, body) = (line(), line(), line(), line(), line());
    let Ok(authorization) = Authorization::parse(header) else { return };
    assert_eq!(Authorization::parse(header).as_ref(), Ok(&authorization));
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = named.split_once(": ")
        && let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
    {
        headers.insert(name, value);
    }
    let signed = Signed { method: "POST", path, query, headers: &headers, body: body.as_bytes() };
    for timestamp in ["20260131T120000Z", "", text] {
        assert!(!authorization.verify(SECRET, &signed, timestamp), "signed without the secret");
    }
});
