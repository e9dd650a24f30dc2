//! The audit journal, as whoever audits it reads it.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use leasehold_audit::{Options, Report, SigningKey, list, verify};
use serde_json::Value;

/// The directory of a journal.
pub(crate) struct Journal(pub(crate) PathBuf);

impl Journal {
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        list(&self.0).unwrap().into_iter().map(|(_, path)| path).collect()
    }

    /// Every line of every file.
    pub(crate) fn text(&self) -> String {
        self.files().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// The lines of this type.
    pub(crate) fn entries(&self, kind: &str) -> Vec<Value> {
        let entries =
            self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
        entries.into_iter().filter(|entry| entry["type"] == kind).collect()
    }

    /// Holds the chain to its hashes and signatures.
    pub(crate) fn verify(&self) -> Report {
        let key = SigningKey::read(&self.0.join("signing.pem")).unwrap().public_key();
        let files = self.files().into_iter();
        let files = files.map(|path| (path.display().to_string(), File::open(path).map(BufReader::new)));
        verify(files, &Options { keys: vec![key], ..Options::default() }).unwrap()
    }
}
