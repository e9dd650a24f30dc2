//! What happened in the story, as it happens and in a table at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Failure, Output};

/// Collects what was measured.
pub(super) struct Report {
    output: Output,
    cloud: &'static str,
    measured: Vec<Measured>,
    surprises: usize,
    progress: Option<ProgressBar>,
}

/// One time against its bound.
struct Measured {
    what: &'static str,
    took: Duration,
    bound: Duration,
}

impl Measured {
    fn held(&self) -> bool {
        self.took <= self.bound
    }
}

impl Report {
    pub(super) fn new(output: Output, cloud: &'static str) -> Self {
        Self { output, cloud, measured: Vec::new(), surprises: 0, progress: None }
    }

    /// A new act of the story begins.
    pub(super) fn act(&self, title: &str) -> Result<(), Failure> {
        if self.output.is_json() { Ok(()) } else { self.output.line(&format!("\n{title}")) }
    }

    /// Something is under way that takes a while.
    pub(super) fn waiting(&mut self, what: &'static str) {
        if !self.output.is_json() {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(100));
            self.progress = Some(bar);
        }
    }

    /// A step ended; `holds` says whether it went as expected.
    pub(super) fn step(&mut self, what: &str, seen: &str, holds: bool) -> Result<(), Failure> {
        self.stop_waiting();
        self.surprises += usize::from(!holds);
        let value = json!({ "cloud": self.cloud, "step": what, "seen": seen, "as_expected": holds });
        let mark = if holds { "ok  " } else { "FAIL" };
        self.output.answer(&value, || format!("  {mark} {what}: {seen}"))
    }

    /// A step whose time has a bound ended; `holds` says whether it went as expected otherwise.
    pub(super) fn timed(
        &mut self,
        what: &'static str,
        seen: &str,
        holds: bool,
        took: Duration,
        bound: Duration,
    ) -> Result<(), Failure> {
        let measured = Measured { what, took, bound };
        let seen = format!("{seen} after {}", seconds(took));
        self.step(what, &seen, holds && measured.held())?;
        self.measured.push(measured);
        Ok(())
    }

    /// Prints the table; how many steps did not go as expected.
    pub(super) fn end(mut self) -> Result<usize, Failure> {
        self.stop_waiting();
        let rows: Vec<Value> = self.measured.iter().map(row).collect();
        let value = json!({ "cloud": self.cloud, "measured": rows, "surprises": self.surprises });
        self.output.answer(&value, || self.table())?;
        Ok(self.surprises)
    }

    fn table(&self) -> String {
        let width = self.measured.iter().map(|m| m.what.len()).max().unwrap_or_default();
        let mut text = format!("\n{:<width$}  measured    bound", "measured against its bound");
        for m in &self.measured {
            let mark = if m.held() { "" } else { "  EXCEEDED" };
            text += &format!("\n{:<width$}  {:>8} {:>8}{mark}", m.what, seconds(m.took), seconds(m.bound));
        }
        text
    }

    fn stop_waiting(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }
}

fn row(m: &Measured) -> Value {
    json!({ "what": m.what, "seconds": m.took.as_secs_f64(), "bound_seconds": m.bound.as_secs_f64(), "held": m.held() })
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
