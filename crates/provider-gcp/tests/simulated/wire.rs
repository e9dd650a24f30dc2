//! A server of a few lines that answers what it is told to and keeps what it was asked: for answers that no simulator of
//! a service would give, and for looking at requests as they leave us.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// For example `POST /v1/x HTTP/1.1`.
    pub(crate) line: String,
    /// Lower-case names, as they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The server. It stops with the runtime of the test.
pub(crate) struct Wire {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<VecDeque<Scripted>>>,
}

/// One answer.
struct Scripted {
    status: u16,
    headers: String,
    body: String,
    held: Option<Held>,
}

/// An answer that waits for its release.
#[derive(Clone)]
pub(crate) struct Held {
    arrived: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

/// What the metadata server puts on each of its answers.
const FLAVOR: &str = "metadata-flavor: Google";

/// A secret that must not be seen anywhere.
pub(crate) const TOKEN: &str = "ya29.token-of-the-session";

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Held {
    /// Waits for the request that it answers.
    pub(crate) async fn arrived(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, answers) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<VecDeque<_>>>::default());
        let (kept, given) = (Arc::clone(&requests), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&given)));
            }
        });
        Self { url, requests, answers }
    }

    /// Answers the next unanswered request with this.
    pub(crate) fn answer(&self, status: u16, body: impl Into<String>) {
        self.answer_with("", status, body);
    }

    /// The same as the metadata server answers.
    pub(crate) fn answer_flavored(&self, status: u16, body: impl Into<String>) {
        self.answer_with(FLAVOR, status, body);
    }

    /// The same with one header, `name: value`.
    pub(crate) fn answer_with(&self, header: &str, status: u16, body: impl Into<String>) {
        self.script(header, status, body, None);
    }

    /// Answers the next unanswered request as the metadata server does, but not before it is told to.
    pub(crate) fn answer_held(&self, status: u16, body: impl Into<String>) -> Held {
        let closed = || Arc::new(Semaphore::new(0));
        let held = Held { arrived: closed(), released: closed() };
        self.script(FLAVOR, status, body, Some(held.clone()));
        held
    }

    fn script(&self, header: &str, status: u16, body: impl Into<String>, held: Option<Held>) {
        let headers = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        self.answers.lock().unwrap().push_back(Scripted { status, headers, body: body.into(), held });
    }

    /// Answers the next request, a generateAccessToken, with a session.
    pub(crate) fn answer_session(&self) {
        let body = json!({ "accessToken": TOKEN, "expireTime": "2036-01-01T00:00:00Z" });
        self.answer(200, body.to_string());
    }

    /// Takes back an answer that nobody asked for; false if there is none.
    pub(crate) fn drain(&self) -> bool {
        self.answers.lock().unwrap().pop_front().is_some()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<VecDeque<Scripted>>>,
) -> Option<()> {
    let seen = read_request(&mut stream).await?;
    requests.lock().unwrap().push(seen);
    let Scripted { status, headers, body, held } = answers.lock().unwrap().pop_front().unwrap();
    if let Some(held) = held {
        held.arrived.add_permits(1);
        held.released.acquire().await.unwrap().forget();
    }
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

/// One request with its body, whose length it must state.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut read = Vec::new();
    let head = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    let headers: Vec<_> = rest
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let stated = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = stated.map_or(0, |(_, length)| length.parse().unwrap());
    while read.len() < head + 4 + length {
        stream.read_buf(&mut read).await.ok()?;
    }
    Some(Seen { line: line.to_owned(), headers, body: read[head + 4..].to_vec() })
}
