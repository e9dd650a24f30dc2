//! Reads this whole process's memory after keys were used and looks for what should not be there: key bytes outside of
//! locked memory, and AES key schedules anywhere. A binary of its own, so that no other test's operation is in flight.
#![expect(clippy::unwrap_used, reason = "the scanner is test code")]

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use leasehold_secret::{
    Arena, ArenaConfig, KeyLength, OnUnlockable, PlaintextKey, Protection, SealingKey, ZEROIZING_ALLOCATOR,
    ZeroizingAllocator,
};

#[global_allocator]
static ALLOC: ZeroizingAllocator = ZEROIZING_ALLOCATOR;

/// A needle is held XORed with this, so that looking for it does not plant it.
const MASK: u8 = 0x5C;

/// Sixteen bytes to look for, masked.
struct Needle([u8; 16]);

impl Needle {
    #[inline(never)]
    fn of(bytes: &[u8]) -> Self {
        let mut masked = [0; 16];
        masked.iter_mut().zip(bytes).for_each(|(m, b)| *m = b ^ MASK);
        Self(masked)
    }

    fn count_in(&self, memory: &[u8]) -> usize {
        memory.windows(16).filter(|w| w.iter().zip(&self.0).all(|(a, m)| a ^ MASK == *m)).count()
    }
}

#[test]
fn no_key_and_no_key_schedule_is_left_in_memory() {
    let config =
        ArenaConfig { on_unlockable: OnUnlockable::DangerUseOrdinaryMemory, ..ArenaConfig::default() };
    let arena = Arena::new(config).unwrap();
    let sbox = sbox();

    // The scanner finds what is there; otherwise finding nothing would mean nothing.
    let planted: Vec<u8> = (0..240u8).map(|i| i.wrapping_mul(167) ^ 0x3A).collect();
    let needle = Needle::of(&planted);
    assert!(scan(|memory| needle.count_in(memory)) >= 1, "a planted key is found");
    let schedule = black_box(expand([0x42; 32], &sbox));
    assert!(scan(|memory| schedules_in(memory, &sbox)) >= 1, "a planted schedule is found");
    drop((black_box(planted), schedule));
    assert_eq!(scan(|memory| needle.count_in(memory)), 0, "a freed buffer is wiped by the allocator");
    assert_eq!(scan(|memory| schedules_in(memory, &sbox)), 0, "and so is a freed schedule");

    // Everything that a key goes through.
    let sealing = SealingKey::generate(&arena).unwrap();
    let key = PlaintextKey::generate(&arena, KeyLength::B64).unwrap();
    let needles: Vec<_> = key.expose().chunks(16).map(Needle::of).collect();
    let sealed = sealing.seal(&key, b"context").unwrap();
    let opened = sealing.open(&sealed, b"context").unwrap();
    assert!(opened.matches(&key));

    let keys = || needles.iter().map(|needle| scan(|memory| needle.count_in(memory))).sum::<usize>();
    assert_eq!(scan(|memory| schedules_in(memory, &sbox)), 0, "a key schedule stayed behind");
    if arena.protection() == Protection::MemfdSecret {
        assert_eq!(keys(), 0, "a key in use was read from outside of locked memory");
    }
    drop((key, opened));
    assert_eq!(keys(), 0, "a dropped key stayed behind");
    drop(sealing);
}

/// Applies `count` to every mapping that can be read and adds up.
fn scan(count: impl Fn(&[u8]) -> usize) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut total = 0;
    for line in
        maps.lines().filter(|l| l.split_whitespace().nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (start, end) = line.split_whitespace().next().and_then(|range| range.split_once('-')).unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut copy = vec![0; usize::try_from(end - start).unwrap()];
        // Secret memory refuses, which is its purpose.
        if memory.read_exact_at(&mut copy, start).is_ok() {
            total += count(&copy);
        }
    }
    total
}

/// How many places hold sixteen words that are related as the first sixteen of an AES-256 key schedule (FIPS 197, section
/// 5.2), whichever key it belongs to.
fn schedules_in(memory: &[u8], sbox: &[u8; 256]) -> usize {
    let word = |at: usize| u32::from_le_bytes(*memory[at..].first_chunk().unwrap());
    let related = |at: usize| {
        let w = |i: usize| word(at + 4 * i);
        w(8) == w(0) ^ substitute(w(7).rotate_right(8), sbox) ^ 1
            && (9..12).all(|i| w(i) == w(i - 8) ^ w(i - 1))
            && w(12) == w(4) ^ substitute(w(11), sbox)
            && (13..16).all(|i| w(i) == w(i - 8) ^ w(i - 1))
            // Memory of equal bytes would satisfy nothing above, but be sure.
            && w(0) != w(1)
    };
    (0..memory.len().saturating_sub(64)).step_by(4).filter(|&at| related(at)).count()
}

/// The first sixteen words of the schedule of `key`, little-endian.
fn expand(mut key: [u8; 32], sbox: &[u8; 256]) -> Box<[u8]> {
    key[0] ^= 1;
    let mut words: Vec<u32> = key.chunks(4).map(|c| u32::from_le_bytes(*c.first_chunk().unwrap())).collect();
    for i in 8..16 {
        let last = words[i - 1];
        let mixed = match i {
            8 => substitute(last.rotate_right(8), sbox) ^ 1,
            12 => substitute(last, sbox),
            _ => last,
        };
        words.push(words[i - 8] ^ mixed);
    }
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn substitute(word: u32, sbox: &[u8; 256]) -> u32 {
    u32::from_le_bytes(word.to_le_bytes().map(|b| sbox[usize::from(b)]))
}

/// The AES S-box, from its definition: the inverse in GF(2^8), then an affine map.
fn sbox() -> [u8; 256] {
    let multiply = |mut a: u8, mut b: u8| {
        let mut product = 0;
        while b != 0 {
            product ^= if b & 1 == 1 { a } else { 0 };
            a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1B };
            b >>= 1;
        }
        product
    };
    std::array::from_fn(|i| {
        let x = u8::try_from(i).unwrap();
        let inverse = (0..=255).find(|y| multiply(x, *y) == 1).unwrap_or(0);
        (0..5).fold(0x63, |sum, turn| sum ^ inverse.rotate_left(turn))
    })
}
