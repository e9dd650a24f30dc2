//! What a command prints.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Failure;

/// Prints answers to the standard output stream and everything else to the standard error stream, for people or programs.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For programs if `json`, else for people.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// An answer, in one of its two forms.
    pub(crate) fn answer(self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.line(&value.to_string()) } else { self.line(&text()) }
    }

    /// A line on the standard output stream.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }

    /// A line for people alone, on the standard error stream.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // There is nobody to tell that nobody can be told.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A warning, on the standard error stream, whoever reads.
    pub(crate) fn warn(self, text: &str) {
        let text =
            if self.json { json!({ "warning": text }).to_string() } else { format!("warning: {text}") };
        // As above.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Whether a person reads what is printed.
    pub(crate) fn is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether it may be coloured: a person reads it, and did not ask for no colours (<https://no-color.org>).
    pub(crate) fn is_colourful(self) -> bool {
        self.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Says why the command failed, and gives the exit code.
    #[must_use]
    pub fn fail(self, failure: &Failure) -> ExitCode {
        let text = if self.json { failure.to_json().to_string() } else { format!("error: {failure}") };
        let _ = writeln!(io::stderr().lock(), "{text}");
        ExitCode::from(failure.exit_code())
    }

    /// Whether programs read what is printed.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }
}
