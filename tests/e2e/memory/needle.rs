//! What is looked for: secrets, in every spelling in which they travel.

use std::collections::{BTreeSet, HashMap};

use data_encoding::{BASE64, BASE64URL, Encoding, HEXLOWER, HEXUPPER};

/// Bytes of a secret in a row that count as a copy of it. What is cut shorter by something written over it is no key.
pub(crate) const SHORTEST: usize = 16;

/// Memory is compared word by word, at multiples of a word. A run of [`SHORTEST`] bytes has a whole word in it.
const WORD: usize = 8;

/// Size of the filter that most words of memory do not pass, as a power of two: 1 MiB, for the 50,000 words of a hundred keys.
const FILTER_BITS: u32 = 20;

/// One spelling of a secret.
struct Needle {
    form: &'static str,
    bytes: Vec<u8>,
}

/// Secrets to look for.
pub(crate) struct Needles {
    needles: Vec<Needle>,
    /// Where each word of each needle is.
    words: HashMap<u64, Vec<(usize, usize)>>,
    filter: Vec<bool>,
}

/// A run of bytes of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    /// Where it begins. First, so that runs are in order of their places.
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) form: &'static str,
}

impl Needles {
    /// Key bytes: as they are, in hexadecimal, and in base64 by themselves or as part of something longer.
    pub(crate) fn of_keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        let spelt = |key: K| spellings(key.as_ref()).into_iter().map(|(form, bytes)| Needle { form, bytes });
        Self::new(keys.into_iter().flat_map(spelt).collect())
    }

    /// Text that is looked for as it is.
    pub(crate) fn of_texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let spelt = |text: T| Needle { form: "text", bytes: text.as_ref().as_bytes().to_vec() };
        Self::new(texts.into_iter().map(spelt).collect())
    }

    fn new(needles: Vec<Needle>) -> Self {
        let mut words: HashMap<u64, Vec<_>> = HashMap::new();
        let mut filter = vec![false; 1 << FILTER_BITS];
        for (which, needle) in needles.iter().enumerate() {
            assert!(needle.bytes.len() >= SHORTEST, "too short to be told from chance");
            for (at, window) in needle.bytes.windows(WORD).enumerate() {
                let word = word(window);
                filter[slot(word)] = true;
                words.entry(word).or_default().push((which, at));
            }
        }
        Self { needles, words, filter }
    }

    /// Every place with a run of [`SHORTEST`] bytes or more of one of them: the longest run there, since spellings share some.
    pub(crate) fn find(&self, memory: &[u8]) -> Vec<Run> {
        let mut longest: Vec<Run> = Vec::new();
        for run in self.runs(memory) {
            match longest.last_mut() {
                Some(last) if run.at < last.at + last.length => {
                    if run.length > last.length {
                        *last = run;
                    }
                }
                _ => longest.push(run),
            }
        }
        longest
    }

    fn runs(&self, memory: &[u8]) -> BTreeSet<Run> {
        let mut found = BTreeSet::new();
        for (number, chunk) in memory.chunks_exact(WORD).enumerate() {
            let word = word(chunk);
            if !self.filter[slot(word)] {
                continue;
            }
            for (which, offset) in self.words.get(&word).into_iter().flatten() {
                let needle = &self.needles[*which];
                let (at, length) = extend(memory, number * WORD, &needle.bytes, *offset);
                if length >= SHORTEST {
                    found.insert(Run { at, length, form: needle.form });
                }
            }
        }
        found
    }
}

/// The whole run around `needle[offset..]`, which is at `memory[at..]`: where it begins, and its length.
fn extend(memory: &[u8], at: usize, needle: &[u8], offset: usize) -> (usize, usize) {
    let pairs = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let after = pairs(&memory[at..], &needle[offset..]);
    let before = memory[..at].iter().rev().zip(needle[..offset].iter().rev());
    let before = before.take_while(|(a, b)| a == b).count();
    (at - before, before + after)
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().unwrap())
}

fn slot(word: u64) -> usize {
    // Fibonacci hashing: the upper bits depend on all of the word.
    usize::try_from(word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS)).unwrap()
}

/// The forms in which `key` can be. In base64, what comes before it shifts its letters by none, a third or two thirds of a byte.
pub(crate) fn spellings(key: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", key.to_vec()),
        ("hex", HEXLOWER.encode(key).into_bytes()),
        ("hex", HEXUPPER.encode(key).into_bytes()),
    ];
    for encoding in [BASE64, BASE64URL] {
        forms.extend((0..3).map(|before| ("base64", inner_base64(&encoding, key, before))));
    }
    forms
}

/// The letters that depend on `key` alone when `before` bytes precede it.
fn inner_base64(encoding: &Encoding, key: &[u8], before: usize) -> Vec<u8> {
    let whole = [&vec![0; before], key].concat();
    let letters = encoding.encode(&whole).into_bytes();
    // Six bits a letter: the first that has no bit of what precedes, and the last without one of what follows.
    let (first, last) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
    letters[first..last].to_vec()
}

#[test]
fn every_spelling_is_found_wherever_it_is() {
    let key: Vec<u8> = (0..32u8).map(|n| n.wrapping_mul(167) ^ 0x3A).collect();
    let needles = Needles::of_keys([&key]);
    let embedded = |prefix: &[u8]| BASE64.encode(&[prefix, &key, b"after"].concat()).into_bytes();
    let forms = [key.clone(), HEXUPPER.encode(&key).into(), embedded(b""), embedded(b"a"), embedded(b"ab")];
    for form in forms {
        for at in 0..WORD {
            let memory = [&vec![b'.'; at], form.as_slice(), b"........"].concat();
            let found = needles.find(&memory);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found.iter().all(|run| run.length >= key.len() && run.at >= at));
        }
    }
    assert_eq!(needles.find(&key[..SHORTEST]).len(), 1, "half a key is found");
    assert_eq!(needles.find(&vec![7; 4096]).len(), 0);
    let mut broken = key;
    (0..32).step_by(SHORTEST - 1).for_each(|at| broken[at] ^= 1);
    assert_eq!(needles.find(&broken).len(), 0, "what is cut into pieces is no copy");
}
