//! Signature Version 4, the verifying side.
//!
//! Written from AWS's description of the algorithm, because the maintained crates only sign.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The parts of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    /// The scope's date, `yyyymmdd`.
    pub date: String,
    /// The scope's region.
    pub region: String,
    /// The scope's service.
    pub service: String,
    /// Names of the signed headers, in the order given.
    pub signed_headers: Vec<String>,
    signature: String,
}

/// Why an `Authorization` header cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not of this algorithm.
    #[error("unsupported signing algorithm")]
    Algorithm,
    /// A part is missing or malformed.
    #[error("authorization header requires '{0}' parameter")]
    Missing(&'static str),
}

impl Authorization {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is of another algorithm, or lacks a part.
    pub fn parse(header: &str) -> Result<Self, HeaderError> {
        let rest = header.trim().strip_prefix(ALGORITHM).ok_or(HeaderError::Algorithm)?;
        let part = |name: &'static str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or(HeaderError::Missing(name))
        };
        let credential: Vec<&str> = part("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = credential[..] else {
            return Err(HeaderError::Missing("Credential"));
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect(),
            signature: part("Signature")?.to_owned(),
        })
    }

    /// Whether `secret` made this signature over the request, dated `timestamp` (`yyyymmddThhmmssZ`).
    pub fn verify(&self, secret: &str, request: &Signed<'_>, timestamp: &str) -> bool {
        let canonical = request.canonical(&self.signed_headers);
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let expected = signature(
            secret,
            &self.date,
            &self.region,
            &self.service,
            &string_to_sign(timestamp, &scope, &canonical),
        );
        expected.as_bytes().ct_eq(self.signature.as_bytes()).into()
    }
}

/// The parts of a request that a signature covers.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query, as sent, without its question mark.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The canonical request.
    fn canonical(&self, signed_headers: &[String]) -> String {
        let mut text =
            format!("{}\n{}\n{}\n", self.method, canonical_path(self.path), canonical_query(self.query));
        for name in signed_headers {
            let values: Vec<String> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| trim(&String::from_utf8_lossy(value.as_bytes())))
                .collect();
            text.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        text.push_str(&format!("\n{}\n{}", signed_headers.join(";"), sha256_hex(self.body)));
        text
    }
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn string_to_sign(timestamp: &str, scope: &str, canonical: &str) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()))
}

fn signature(secret: &str, date: &str, region: &str, service: &str, text: &str) -> String {
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), date);
    for part in [region, service, "aws4_request"] {
        key = hmac(&key, part);
    }
    HEXLOWER.encode(&hmac(&key, text))
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Trims a header's value and makes every run of spaces in it one.
fn trim(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Every segment is encoded once more, as all services but S3 do.
fn canonical_path(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { path.split('/').map(encode).collect::<Vec<_>>().join("/") }
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// `get-vanilla` of AWS's published test suite for Signature Version 4.
    fn get_vanilla() -> (HeaderMap, Authorization) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.amazonaws.com"));
        headers.insert("x-amz-date", HeaderValue::from_static("20150830T123600Z"));
        let authorization = Authorization::parse(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        );
        (headers, authorization.unwrap())
    }

    #[test]
    fn the_published_get_vanilla_vector_verifies() {
        let (headers, authorization) = get_vanilla();
        let request = Signed { method: "GET", path: "/", query: "", headers: &headers, body: b"" };
        assert!(authorization.verify(SECRET, &request, "20150830T123600Z"));
    }

    #[test]
    fn any_change_of_the_request_or_the_secret_breaks_the_signature() {
        let (headers, authorization) = get_vanilla();
        let original = || Signed { method: "GET", path: "/", query: "", headers: &headers, body: b"" };
        let timestamp = "20150830T123600Z";
        assert!(!authorization.verify("wrong", &original(), timestamp));
        assert!(!authorization.verify(SECRET, &original(), "20150830T123601Z"));
        assert!(!authorization.verify(SECRET, &Signed { method: "POST", ..original() }, timestamp));
        assert!(!authorization.verify(SECRET, &Signed { path: "/x", ..original() }, timestamp));
        assert!(!authorization.verify(SECRET, &Signed { query: "a=b", ..original() }, timestamp));
        assert!(!authorization.verify(SECRET, &Signed { body: b"x", ..original() }, timestamp));
        let mut other = headers.clone();
        other.insert("host", HeaderValue::from_static("example.com"));
        assert!(!authorization.verify(SECRET, &Signed { headers: &other, ..original() }, timestamp));
    }

    #[test]
    fn the_canonical_request_sorts_the_query_and_folds_spaces() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("  a   b "));
        let request =
            Signed { method: "GET", path: "/a b", query: "b=2&a=%20x&a=1", headers: &headers, body: b"" };
        let canonical = request.canonical(&[String::from("host")]);
        assert!(canonical.starts_with("GET\n/a%20b\na=%20x&a=1&b=2\nhost:a b\n\nhost\n"), "{canonical}");
    }

    #[test]
    fn a_malformed_header_says_what_it_lacks() {
        assert_eq!(Authorization::parse("Basic x"), Err(HeaderError::Algorithm));
        let scope = "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/kms/aws4_request";
        assert_eq!(Authorization::parse(scope), Err(HeaderError::Missing("SignedHeaders")));
        let short = "AWS4-HMAC-SHA256 Credential=A/20150830/kms, SignedHeaders=host, Signature=0";
        assert_eq!(Authorization::parse(short), Err(HeaderError::Missing("Credential")));
    }
}
