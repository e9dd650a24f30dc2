//! Chains that something was done to.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::chain::Link;
use crate::record::tests::record;
use crate::{Checkpoint, Entry, FileBegun, SigningKey, Why};

/// Within how many lines the checkpoints of these chains say that the next one comes.
const WITHIN: u64 = 6;

/// A chain as it was written: lines of files.
#[derive(Clone)]
struct Chain {
    files: Vec<Vec<Vec<u8>>>,
    key: PublicKey,
}

fn key() -> SigningKey {
    let directory = tempfile::tempdir().unwrap();
    SigningKey::open_or_generate(&directory.path().join("key")).unwrap()
}

/// Files of `decisions` decisions each, every one with a beginning and a checkpoint at its end.
fn chain(files: usize, decisions: usize) -> Chain {
    let key = key();
    let time = std::time::SystemTime::UNIX_EPOCH;
    let mut link = Link::GENESIS;
    let files = (1..=files).map(|number| {
        let begun = FileBegun { time, format: 1, chain: "c".into(), file: number as u64, why: Why::First };
        let key_id = Some(key.id().clone());
        let checkpoint = Checkpoint { time, why: Why::Rotation, key_id, within: Some(WITHIN) };
        let decisions = (0..decisions).map(|n| Entry::Decision(record(&format!("r{n}"))));
        let entries = std::iter::once(Entry::File(begun)).chain(decisions);
        let entries = entries.map(|entry| (entry, None));
        let entries = entries.chain([(Entry::Checkpoint(checkpoint), Some(&key))]);
        let lines = entries.map(|(entry, key)| {
            let mut line = Vec::new();
            link.append(&mut line, &entry, key).unwrap();
            line
        });
        lines.collect::<Vec<_>>()
    });
    Chain { files: files.collect(), key: key.public_key() }
}

fn name(file: usize) -> String {
    format!("file-{}", file + 1)
}

fn verify_bytes(files: &[Vec<u8>], options: &Options) -> Report {
    let files = files.iter().enumerate().map(|(at, bytes)| (name(at), Ok(Cursor::new(bytes))));
    verify(files, options).unwrap()
}

impl Chain {
    fn bytes(&self) -> Vec<Vec<u8>> {
        self.files.iter().map(|lines| lines.concat()).collect()
    }

    fn verify_with(&self, options: &Options) -> Report {
        verify_bytes(&self.bytes(), options)
    }

    fn verify(&self) -> Report {
        self.verify_with(&Options { keys: vec![self.key.clone()], ..Options::default() })
    }

    /// What is wrong: in which file, at which line, with which record.
    #[track_caller]
    fn found(&self) -> (Fault, String, u64, u64) {
        let Finding { fault, file, line, sequence, .. } = self.verify().finding.expect("nothing was found");
        (fault, file, line, sequence)
    }
}

#[test]
fn p7_a_chain_that_nothing_was_done_to_is_intact() {
    let chain = chain(3, 4);
    let report = chain.verify();
    assert_eq!(report.finding, None);
    assert_eq!((report.files, report.records, report.first, report.last), (3, 18, Some(1), Some(18)));
    assert_eq!((report.checkpoints, report.unsigned, report.signatures_verified), (3, 0, true));
    let unsigned = chain.verify_with(&Options::default());
    assert!(unsigned.is_intact() && !unsigned.signatures_verified);
}

#[test]
fn p7_lines_that_are_missing_are_named() {
    let mut chain = chain(2, 4);
    chain.files[0].drain(2..4);
    assert_eq!(chain.found(), (Fault::Missing { first: 3, last: 4 }, name(0), 3, 5));
}

#[test]
fn p7_a_file_that_is_missing_is_named_by_its_lines() {
    let mut middle = chain(3, 4);
    middle.files.remove(1);
    assert_eq!(middle.found(), (Fault::Missing { first: 7, last: 12 }, name(1), 1, 13));
    let mut first = chain(3, 4);
    first.files.remove(0);
    assert_eq!(first.found(), (Fault::Missing { first: 1, last: 6 }, name(0), 1, 7));
    let partial = Options { partial: true, ..Options::default() };
    assert!(first.verify_with(&partial).is_intact(), "unless it is known to be elsewhere");
}

#[test]
fn p7_lines_that_are_out_of_order_are_named() {
    let mut swapped = chain(2, 4);
    swapped.files[0].swap(2, 3);
    assert_eq!(swapped.found(), (Fault::Reordered { expected: 3 }, name(0), 3, 4));
    let mut repeated = chain(2, 4);
    let line = repeated.files[0][1].clone();
    repeated.files[1].insert(1, line);
    assert_eq!(repeated.found(), (Fault::Reordered { expected: 8 }, name(1), 2, 2));
    let mut files = chain(2, 4);
    files.files.swap(0, 1);
    assert_eq!(files.found(), (Fault::Reordered { expected: 1 }, name(0), 1, 7));
}

#[test]
fn p7_a_file_that_ends_in_the_middle_of_a_line_is_named() {
    let mut chain = chain(2, 4);
    chain.files[0].last_mut().unwrap().truncate(20);
    assert_eq!(chain.found(), (Fault::Truncated { bytes: 20 }, name(0), 6, 6));
}

#[test]
fn p7_a_line_that_was_made_anew_is_where_the_chain_is_cut() {
    let mut chain = chain(2, 4);
    let before = Line::parse(chain.files[0][1].trim_ascii_end()).unwrap();
    let mut link = Link { sequence: before.sequence, hash: before.hash };
    let mut forged = Vec::new();
    link.append(&mut forged, &Entry::Decision(record("forged")), None).unwrap();
    chain.files[0][2] = forged;
    assert_eq!(chain.found(), (Fault::Cut, name(0), 4, 4));
}

#[test]
fn p7_a_chain_that_was_made_anew_has_no_valid_signature_and_not_the_hashes_that_were_noted() {
    let (original, forged) = (chain(2, 4), chain(2, 4));
    let last = original.verify().last_hash.unwrap();
    let genuine = Options { keys: vec![original.key.clone()], ..Options::default() };
    let finding = forged.verify_with(&genuine).finding.unwrap();
    assert_eq!((finding.fault, finding.line, finding.sequence), (Fault::UnknownKey, 6, 6));
    let noted = Options { noted: vec![(12, last)], ..Options::default() };
    assert!(original.verify_with(&noted).is_intact());
    let finding = forged.verify_with(&noted).finding.unwrap();
    assert_eq!((finding.fault, finding.file, finding.sequence), (Fault::NotAsNoted, name(1), 12));
    let mut shorter = original.clone();
    shorter.files[1].truncate(3);
    assert!(shorter.verify_with(&genuine).is_intact(), "a chain alone does not tell where it ended");
    assert_eq!(shorter.verify_with(&genuine).unsigned, 3);
    assert_eq!(shorter.verify_with(&noted).finding.unwrap().fault, Fault::TooShort);
}

#[test]
fn p7_more_than_ever_goes_unsigned_was_put_there_by_somebody_without_the_key() {
    let mut chain = chain(2, 4);
    let last = Line::parse(chain.files[1][5].trim_ascii_end()).unwrap();
    let mut link = Link { sequence: last.sequence, hash: last.hash };
    for n in 1..=WITHIN {
        let mut forged = Vec::new();
        link.append(&mut forged, &Entry::Decision(record("forged")), None).unwrap();
        chain.files[1].push(forged);
        assert_eq!(
            (chain.verify().finding, chain.verify().unsigned),
            (None, n),
            "as a killed process leaves it"
        );
    }
    let mut forged = Vec::new();
    link.append(&mut forged, &Entry::Decision(record("forged")), None).unwrap();
    chain.files[1].push(forged);
    assert_eq!(chain.found(), (Fault::Unsigned { most: WITHIN }, name(1), 13, 19));
}

#[test]
fn p7_a_record_that_was_noted_and_is_elsewhere_is_not_taken_for_verified() {
    let mut chain = chain(3, 4);
    let hashes = |line: &Vec<u8>| Line::parse(line.trim_ascii_end()).unwrap().hash;
    let (early, late) = (hashes(&chain.files[0][2]), hashes(&chain.files[1][2]));
    chain.files.remove(0);
    let noted = |noted| chain.verify_with(&Options { partial: true, noted, ..Options::default() }).finding;
    assert_eq!(noted(vec![(9, late)]), None);
    let finding = noted(vec![(9, late), (3, early)]).unwrap();
    assert_eq!((finding.fault, finding.sequence), (Fault::NotHere, 3));
}

#[test]
fn p7_a_signature_of_something_else_is_named() {
    let mut chain = chain(1, 4);
    let (key, mut forged) = (key(), Vec::new());
    let before = Line::parse(chain.files[0][4].trim_ascii_end()).unwrap();
    let before = Link { sequence: before.sequence, hash: before.hash };
    let mut link = before;
    let time = std::time::SystemTime::UNIX_EPOCH;
    let pretended = Checkpoint { time, why: Why::Time, key_id: Some(chain.key.id()), within: None };
    link.append(&mut forged, &Entry::Checkpoint(pretended.clone()), Some(&key)).unwrap();
    chain.files[0][5] = forged;
    assert_eq!(chain.found(), (Fault::BadSignature, name(0), 6, 6));
    let (mut link, mut bare) = (before, Vec::new());
    link.append(&mut bare, &Entry::Checkpoint(pretended), None).unwrap();
    chain.files[0][5] = bare;
    assert_eq!(chain.found(), (Fault::BadSignature, name(0), 6, 6));
    chain.files[0].pop();
    assert_eq!(chain.found(), (Fault::TooShort, String::new(), 0, 6));
}

#[test]
fn nothing_at_all_is_not_an_intact_chain() {
    assert_eq!(verify_bytes(&[], &Options::default()).finding.unwrap().fault, Fault::TooShort);
    let long = vec![b'x'; 200_000];
    let finding = verify_bytes(&[long], &Options::default()).finding.unwrap();
    assert_eq!((finding.fault, finding.line), (Fault::Changed, 1), "and what is no line takes no room");
}

proptest! {
    #[test]
    fn p7_any_changed_byte_of_any_file_is_named_by_its_line(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let chain = chain(3, 3);
        let mut files = chain.bytes();
        let sizes: Vec<_> = files.iter().map(Vec::len).collect();
        let mut at = at.index(sizes.iter().sum());
        let file = sizes.iter().position(|size| at < *size || { at -= size; false }).unwrap();
        prop_assume!(files[file][at] != to);
        let before = &files[file][..at];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let offset = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        files[file][at] = to;
        let finding = verify_bytes(&files, &Options::default()).finding.expect("nothing was found");
        prop_assert_eq!((finding.file, finding.line, finding.offset), (name(file), line as u64, offset as u64));
        prop_assert_eq!(finding.sequence, (file * 5 + line) as u64);
        let named = matches!(finding.fault, Fault::Changed | Fault::Truncated { .. });
        prop_assert!(named, "{:?}", finding.fault);
    }

    #[test]
    fn p7_whatever_is_taken_out_of_a_chain_is_missed(from in 0_usize..15, count in 1_usize..15) {
        let chain = chain(3, 3);
        let lines: Vec<_> = chain.bytes().concat().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let to = (from + count).min(lines.len());
        let rest = [&lines[..from], &lines[to..]].concat().concat();
        let noted = vec![(15, chain.verify().last_hash.unwrap())];
        let report = verify_bytes(&[rest], &Options { noted, ..Options::default() });
        prop_assert!(!report.is_intact());
    }
}
