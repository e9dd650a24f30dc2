//! What happened in the story, as it happens and in a table at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use leasehold_cloudsim::tenants::Cloud;
use serde_json::{Value, json};

use crate::cli::{Failure, Output};

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    AsItHappens,
    /// All at once at the end. Programs are told as it happens all the same.
    Afterwards,
}

/// Tells what happens, and collects what was measured.
pub(super) struct Report {
    output: Output,
    cloud: Cloud,
    telling: Telling,
    untold: Vec<String>,
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
    pub(super) fn new(output: Output, cloud: Cloud, telling: Telling) -> Self {
        let (untold, measured) = (Vec::new(), Vec::new());
        Self { output, cloud, telling, untold, measured, surprises: 0, progress: None }
    }

    /// A new act of the story begins.
    pub(super) fn act(&mut self, title: &str) -> Result<(), Failure> {
        match self.output.is_json() {
            true => Ok(()),
            false => self.say(format!("\n{}: {title}", self.cloud)),
        }
    }

    /// Something is under way that takes a while.
    pub(super) fn waiting(&mut self, what: &'static str) {
        if !self.output.is_json() && self.telling == Telling::AsItHappens {
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
        match self.output.is_json() {
            true => self.output.line(&value.to_string()),
            false => self.say(format!("  {mark} {what}: {seen}")),
        }
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

    /// Tells what is untold, and prints the table; how many steps did not go as expected.
    pub(super) fn end(mut self) -> Result<usize, Failure> {
        self.stop_waiting();
        self.untold.iter().try_for_each(|line| self.output.line(line))?;
        let rows: Vec<Value> = self.measured.iter().map(row).collect();
        let value = json!({ "cloud": self.cloud, "measured": rows, "surprises": self.surprises });
        self.output.answer(&value, || self.table())?;
        Ok(self.surprises)
    }

    fn title(&self) -> String {
        format!("{}, measured against its bound", self.cloud)
    }

    fn table(&self) -> String {
        let widths = self.measured.iter().map(|m| m.what.len()).chain([self.title().len()]);
        let width = widths.max().unwrap_or_default();
        let mut text = format!("\n{:<width$}  measured    bound", self.title());
        for m in &self.measured {
            let mark = if m.held() { "" } else { "  EXCEEDED" };
            text += &format!("\n{:<width$}  {:>8} {:>8}{mark}", m.what, seconds(m.took), seconds(m.bound));
        }
        text
    }

    fn say(&mut self, line: String) -> Result<(), Failure> {
        match self.telling {
            Telling::AsItHappens => self.output.line(&line),
            Telling::Afterwards => {
                self.untold.push(line);
                Ok(())
            }
        }
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
