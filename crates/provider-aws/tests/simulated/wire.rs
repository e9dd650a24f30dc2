//! A server of a few lines that answers what it is told to and keeps what it was asked: for answers that no simulator of
//! a service would give, and for looking at requests as they leave us.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    status: u16,
    body: String,
}

/// The server. It stops with the runtime of the test.
pub(crate) struct Wire {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<Canned>>>,
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
        self.answers.lock().unwrap().push_back(Canned { status, body: body.into() });
    }

    /// Answers the next request, an AssumeRole, with a session.
    pub(crate) fn answer_session(&self) {
        self.answer(200, SESSION);
    }

    /// The bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The fields of a request's form.
    pub(crate) fn form(&self, index: usize) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.requests()[index].as_bytes()).into_owned().collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<Canned>>>,
) -> Option<()> {
    let mut read = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        break (end + 4, length.unwrap_or(0));
    };
    while read.len() < head + length {
        stream.read_buf(&mut read).await.ok()?;
    }
    requests.lock().unwrap().push(String::from_utf8_lossy(&read[head..]).into_owned());
    let Canned { status, body } = answers.lock().unwrap().pop_front().unwrap();
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok()
}

/// A secret that must not be seen anywhere.
pub(crate) const SECRET: &str = "secret-access-key-of-the-session";
/// Another.
pub(crate) const TOKEN: &str = "token-of-the-session";

const SESSION: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>secret-access-key-of-the-session</SecretAccessKey>\
    <SessionToken>token-of-the-session</SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";
