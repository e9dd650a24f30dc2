//! What an input says: what the provider is asked, and what it is answered.
//!
//! ```text
//! unwrap                          what to ask: see `Bench::ask`
//! 400                             the status of the first answer, or `raw`
//! x-amzn-requestid: 1             headers
//!                                 an empty line
//! {"__type":"AccessDenied…"}      the body
//! %%                              and so on with the next answer; the last one is repeated
//! ```
//!
//! Text rather than bytes, so that seeds can be read and written by people; and with a length that the server counts, because
//! most mutations would otherwise do no more than truncate. After `raw` come the bytes of an answer as they are sent.

use serde_json::Value;

/// What stands between two answers.
const SEPARATOR: &[u8] = b"\n%%\n";

/// Headers that decide where an answer ends. Where an input has one, the end is wherever the server closes the connection.
const FRAMING: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "trailer"];

/// An input, taken apart.
#[derive(Debug)]
pub struct Script {
    /// What the provider is asked.
    pub ask: String,
    /// In order; at least one.
    pub answers: Vec<Answer>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; `None` if the whole of it is as the input says, head included.
    pub status: Option<u16>,
    /// Headers and body, as far as they are text.
    pub text: String,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Whether the connection ends with it.
    pub closes: bool,
}

impl Script {
    /// Takes an input apart; `None` if it is none.
    #[must_use]
    pub fn parse(input: &[u8]) -> Option<Self> {
        let (ask, mut rest) = line(input)?;
        let ask = str::from_utf8(ask).ok()?.to_owned();
        let mut answers = Vec::new();
        while let Some(at) = rest.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR) {
            answers.push(Answer::parse(&rest[..at])?);
            rest = &rest[at + SEPARATOR.len()..];
        }
        answers.push(Answer::parse(rest)?);
        Some(Self { ask, answers })
    }

    /// Whether some answer is a success, by its status, and such.
    pub fn grants(&self, is_such: impl Fn(&Answer) -> bool) -> bool {
        // What a raw answer says is not for this simple reader to tell.
        self.answers.iter().any(|answer| answer.status.is_none() || answer.is_success() && is_such(answer))
    }
}

impl Answer {
    fn parse(text: &[u8]) -> Option<Self> {
        let (first, rest) = line(text)?;
        if first == b"raw" {
            let text = String::from_utf8_lossy(rest).into_owned();
            return Some(Self { status: None, text, json: None, bytes: rest.to_vec(), closes: true });
        }
        let status: u16 =
            str::from_utf8(first).ok()?.parse().ok().filter(|status| (100..1000).contains(status))?;
        let (headers, body) = head_and_body(rest);
        let lower = String::from_utf8_lossy(headers).to_ascii_lowercase();
        // Answers to which no body belongs would leave theirs to be read as the next answer.
        let bodiless = status < 200 || matches!(status, 204 | 304);
        let closes = bodiless || FRAMING.iter().any(|name| lower.contains(name));
        let mut bytes = format!("HTTP/1.1 {status} Told\r\n").into_bytes();
        for header in headers.split(|byte| *byte == b'\n').filter(|header| !header.is_empty()) {
            bytes.extend_from_slice(header);
            bytes.extend_from_slice(b"\r\n");
        }
        if !closes {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let (text, json) = (String::from_utf8_lossy(rest).into_owned(), serde_json::from_slice(body).ok());
        Some(Self { status: Some(status), text, json, bytes, closes })
    }

    /// Whether the status says that what was asked was done.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether it says one of these words, escaped or not.
    #[must_use]
    pub fn says(&self, words: &[&str]) -> bool {
        let unescaped = self.json.as_ref().map(Value::to_string).unwrap_or_default();
        words.iter().any(|word| self.text.contains(word) || unescaped.contains(word))
    }

    /// The text at this JSON pointer of the body.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&str> {
        self.json.as_ref()?.pointer(pointer)?.as_str()
    }
}

/// The first line, and what follows it.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

fn head_and_body(text: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = text.strip_prefix(b"\n") {
        return (b"", body);
    }
    match text.windows(2).position(|bytes| bytes == b"\n\n") {
        Some(at) => (&text[..at], &text[at + 2..]),
        None => (text, b""),
    }
}
