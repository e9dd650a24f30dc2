//! Reading a file of a journal line by line from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::chain::MAX_LINE;

/// How much is read at once.
const BLOCK: u64 = 64 * 1024;

/// The complete lines of a file, the last one first.
pub(crate) struct Backward<'f> {
    file: &'f File,
    /// What was read and not given yet: up to the line feed of the line that comes next.
    read: Vec<u8>,
    /// Where in the file that begins.
    start: u64,
}

/// What comes next on the way back.
pub(crate) enum Before {
    /// A line, without its line feed.
    Line(Vec<u8>),
    /// One that is longer than any line is. There is no way past it.
    TooLong,
    /// Nothing: this is where the file begins.
    Nothing,
}

impl<'f> Backward<'f> {
    /// From `end`, which is where a line ends.
    pub(crate) fn from(file: &'f File, end: u64) -> Self {
        Self { file, read: Vec::new(), start: end }
    }

    /// The line before.
    pub(crate) fn line(&mut self) -> io::Result<Before> {
        loop {
            let before = self.read.len().saturating_sub(1);
            let begin = match self.read[..before].iter().rposition(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if self.read.len() > MAX_LINE => return Ok(Before::TooLong),
                None if self.start > 0 => {
                    self.read_on()?;
                    continue;
                }
                None if self.read.is_empty() => return Ok(Before::Nothing),
                None => 0,
            };
            let mut line = self.read.split_off(begin);
            line.pop();
            return Ok(Before::Line(line));
        }
    }

    fn read_on(&mut self) -> io::Result<()> {
        let start = self.start.saturating_sub(BLOCK);
        let mut block = vec![0; (self.start - start) as usize];
        self.file.read_exact_at(&mut block, start)?;
        block.append(&mut self.read);
        (self.read, self.start) = (block, start);
        Ok(())
    }
}

/// Where the complete lines of a file end.
pub(crate) fn end_of_lines(file: &File) -> io::Result<u64> {
    let (mut end, mut block) = (file.metadata()?.len(), vec![0; BLOCK as usize]);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut backward = Backward::from(&file, end_of_lines(&file).unwrap());
        let mut lines = Vec::new();
        while let Before::Line(line) = backward.line().unwrap() {
            lines.push(line);
        }
        lines.reverse();
        lines
    }

    #[test]
    fn every_complete_line_is_read_over_the_ends_of_blocks() {
        for long in [0, 1, BLOCK as usize - 2, BLOCK as usize - 1] {
            let whole: Vec<Vec<u8>> =
                vec![b"a".to_vec(), vec![b'x'; long], b"".to_vec(), vec![b'y'; long], b"b".to_vec()];
            let text = whole.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
            assert_eq!(lines(&text), whole, "{long}");
            assert_eq!(lines(&[&text, &b"half a line"[..]].concat()), whole, "{long}");
        }
        assert!(lines(b"").is_empty() && lines(&[b'x'; 200_000]).is_empty());
    }

    #[test]
    fn what_is_no_line_takes_no_room() {
        assert_eq!(lines(&[&b"a\n"[..], &vec![b'x'; 1_000_000], b"\nb\n"].concat()), [b"b"]);
    }
}
