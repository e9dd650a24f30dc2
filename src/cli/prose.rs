//! Prose for people, as wide as what they read it on.

use std::fmt::Write;

use super::Output;

/// As wide as terminals are unless somebody makes them wider.
const USUAL: usize = 80;

/// What prose is written on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    width: usize,
}

impl Page {
    /// As wide as the terminal, within what is pleasant to read.
    pub(super) fn of(output: Output) -> Self {
        let size = output.is_terminal().then(terminal_size::terminal_size).flatten();
        Self::wide(size.map_or(USUAL, |(terminal_size::Width(columns), _)| columns.into()).clamp(60, 120))
    }

    /// This wide.
    pub(super) fn wide(width: usize) -> Self {
        Self { width }
    }

    /// `text`, begun and continued at column `margin`. Where the first line begins there is something already.
    pub(super) fn fill(self, text: &str, margin: usize) -> String {
        self.fill_lines(text, margin, "")
    }

    /// Commands to paste, at column `margin`. Comments among them are prose; commands are never broken.
    pub(super) fn commands(self, commands: &str, margin: usize) -> String {
        let mut out = String::new();
        for line in commands.trim_end().lines() {
            let written = match line.strip_prefix("# ") {
                Some(comment) if !is_command(comment) => {
                    format!("# {}", self.fill_lines(comment, margin, "# "))
                }
                _ => line.to_owned(),
            };
            // Writing to a string does not fail.
            let _ = match written.is_empty() {
                true => writeln!(out),
                false => writeln!(out, "{:margin$}{written}", ""),
            };
        }
        out
    }

    /// `text` with each line but the first after `margin` spaces and `prefix`, behind which the first line begins too.
    fn fill_lines(self, text: &str, margin: usize, prefix: &str) -> String {
        let room = self.width.saturating_sub(margin + prefix.len());
        let mut out = String::new();
        for (number, line) in text.trim_end().lines().enumerate() {
            if number > 0 {
                let _ = write!(out, "\n{:margin$}{prefix}", "");
            }
            let mut used = 0;
            for word in line.split(' ') {
                let wide = word.chars().count();
                if used > 0 && used + 1 + wide > room {
                    let _ = write!(out, "\n{:margin$}{prefix}", "");
                    used = 0;
                } else if used > 0 {
                    out.push(' ');
                    used += 1;
                }
                out.push_str(word);
                used += wide;
            }
        }
        out
    }
}

/// Whether a comment is a command that is not for everybody to run.
fn is_command(comment: &str) -> bool {
    ["aws ", "az ", "gcloud ", "leasehold "].iter().any(|program| comment.starts_with(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_and_words_never() {
        let page = Page::wide(20);
        assert_eq!(page.fill("some words that go on", 4), "some words that\n    go on");
        assert_eq!(
            page.fill("a an-arn:of-one-word:that-is-long b", 4),
            "a\n    an-arn:of-one-word:that-is-long\n    b"
        );
        assert_eq!(page.fill("two\nlines", 2), "two\n  lines");
    }

    #[test]
    fn commands_stay_whole_and_comments_are_prose() {
        let commands = "# What this is, and why one would run it\naws iam do-something --with something-long\n\n# aws iam undo that at once";
        let expected = "  # What this is, and\n  # why one would run\n  # it\n  aws iam do-something --with something-long\n\n  # aws iam undo that at once\n";
        assert_eq!(Page::wide(22).commands(commands, 2), expected);
    }
}
