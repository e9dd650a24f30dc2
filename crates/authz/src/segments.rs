//! Names in parts, some of which may be anything.

use crate::pattern::Captures;

/// Longest name of a capture, in bytes.
const MAX_CAPTURE: usize = 32;

/// A pattern of as many parts as the names that it means: `tenant/{t}/compute/*`, `{t}.engines.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments(Box<[Segment]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(Box<str>),
    Any,
    Capture(Box<str>),
}

impl Segments {
    /// Reads a pattern whose parts `separator` is between. A part is `*`, a capture in braces, or text that `is_text` allows;
    /// no capture may occur twice.
    pub(crate) fn parse(pattern: &str, separator: char, is_text: fn(&str) -> bool) -> Option<Self> {
        let segments = pattern.split(separator).map(|part| match part {
            "*" => Some(Segment::Any),
            part => match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => is_capture(name).then(|| Segment::Capture(name.into())),
                None => is_text(part).then(|| Segment::Text(part.into())),
            },
        });
        let segments = Self(segments.collect::<Option<_>>()?);
        let names: Vec<_> = segments.captures().collect();
        let twice = names.iter().enumerate().any(|(index, name)| names[..index].contains(name));
        (!twice).then_some(segments)
    }

    /// The names of its captures.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Capture(name) => Some(&**name),
            _ => None,
        })
    }

    /// What it captures of a name in these parts, if it means that name.
    pub(crate) fn of<'a>(&'a self, parts: impl Iterator<Item = &'a str>) -> Option<Captures<'a>> {
        let mut parts = parts.fuse();
        let mut captures = Captures::default();
        for segment in &self.0 {
            match (segment, parts.next()?) {
                (Segment::Text(wanted), part) if **wanted != *part => return None,
                (Segment::Capture(name), part) => captures.push(name, part),
                _ => {}
            }
        }
        parts.next().is_none().then_some(captures)
    }
}

/// Whether text can be the name of a capture.
pub(crate) fn is_capture(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=MAX_CAPTURE).contains(&name.len()) && name.bytes().all(valid)
}
