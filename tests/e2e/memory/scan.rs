//! Reads all of a process's memory from outside.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use super::needle::{Needles, Run};

const PAGE: usize = 4096;

/// How much is read at a time where not everything can be.
const STEP: usize = 64 * PAGE;

/// One mapping of a process.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    from: u64,
    to: u64,
    writable: bool,
    /// What it is, as `/proc/PID/maps` says.
    name: String,
}

/// What a look at the memory of a process covered, and found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Where each copy is, and what is around it.
    pub(crate) copies: Vec<String>,
    pub(crate) bytes: usize,
    /// Mappings that the kernel shows to nobody.
    pub(crate) unreadable: Vec<String>,
}

/// Which mappings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Those that the process may write to; for looking often.
    Writable,
    /// All that can be read.
    Everything,
}

/// The memory of the process `pid`.
///
/// It is one that is not dumpable, so reading it takes `CAP_SYS_PTRACE` in the process's user namespace, be its reader its
/// parent or not: root has it, and so has whoever runs both under `unshare --user --map-root-user`.
pub(crate) fn look(pid: u32, needles: &Needles, extent: Extent) -> Look {
    let path = format!("/proc/{pid}/mem");
    let memory = File::open(&path).unwrap_or_else(|error| {
        let advice = "run the suite as root, or under `unshare --user --map-root-user`";
        panic!(
            "{path}: {error}; the memory of a process that is not dumpable is for CAP_SYS_PTRACE: {advice}"
        )
    });
    let mut look = Look::default();
    let mut bytes = Vec::new();
    for mapping in mappings(pid).iter().filter(|mapping| extent == Extent::Everything || mapping.writable) {
        if !read(&memory, mapping, &mut bytes) {
            look.unreadable.push(mapping.name.clone());
        }
        look.bytes += bytes.len();
        look.copies.extend(needles.find(&bytes).iter().map(|run| place(mapping, run, &bytes)));
    }
    look
}

/// Reads all of `mapping`, with zeros where it cannot be read; says whether there was anything.
fn read(memory: &File, mapping: &Mapping, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    bytes.resize(usize::try_from(mapping.to - mapping.from).unwrap(), 0);
    if memory.read_exact_at(bytes, mapping.from).is_ok() {
        return true;
    }
    let mut some = false;
    for (number, step) in bytes.chunks_mut(STEP).enumerate() {
        let from = mapping.from + u64::try_from(number * STEP).unwrap();
        match memory.read_exact_at(step, from) {
            Ok(()) => some = true,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => some = true,
            Err(_) => step.fill(0),
        }
    }
    some
}

fn place(mapping: &Mapping, run: &Run, bytes: &[u8]) -> String {
    let around = &bytes[run.at.saturating_sub(160)..(run.at + run.length + 96).min(bytes.len())];
    let shown: String =
        around.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
    let (form, length, at) = (run.form, run.length, mapping.from + u64::try_from(run.at).unwrap());
    format!("{form}, {length} bytes at {at:x} in {}: {shown}", mapping.name)
}

/// The mappings that the process itself can read. The others hold nothing: reserves and guards.
fn mappings(pid: u32) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let mut words = line.split_ascii_whitespace();
        let (from, to) = words.next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let rights = words.next().unwrap();
        let name = words.skip(3).collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { "anonymous memory".to_owned() } else { name };
        if rights.starts_with('r') {
            mappings.push(Mapping { from, to, writable: rights.starts_with("rw"), name });
        }
    }
    mappings
}
