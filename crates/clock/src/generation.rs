//! Notices when the machine turns out to be a restored snapshot of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_KOBJECT_UEVENT};

use crate::Generation;

/// What the kernel's `vmgenid` driver broadcasts when the hypervisor changes the generation id
/// (<https://www.kernel.org/doc/html/latest/virt/vmgenid.html>, Linux 6.10 and later).
const NEW_GENERATION: &[u8] = b"NEW_VMGENID=1";

/// The kernel's own multicast group of uevents; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;

/// Uevents are at most 2 KiB of variables (`UEVENT_BUFFER_SIZE`) behind a short header.
const BUFFER: usize = 4096;

/// What the one watch of this process has counted, once it was begun.
static COUNT: OnceLock<Arc<AtomicU64>> = OnceLock::new();

/// Counts changes of the VM generation id. Where the kernel does not announce them the count stays at zero and the
/// suspend-aware clock alone protects the leases.
#[derive(Debug)]
pub(crate) struct GenerationWatch(Arc<AtomicU64>);

impl GenerationWatch {
    /// Watches on a thread of its own, which sleeps in `recv` until the kernel speaks. One for all clocks of the process: there is
    /// one machine, and nothing would wake a thread whose clock is gone.
    pub(crate) fn start() -> Self {
        let count = COUNT.get_or_init(|| {
            let count = Arc::new(AtomicU64::new(0));
            match open() {
                Ok(socket) => {
                    tracing::info!("restored snapshots end every lease, where the kernel announces them");
                    spawn(socket, Arc::clone(&count));
                }
                Err(error) => tracing::warn!(
                    %error,
                    "the kernel's announcements cannot be listened for: in a restored snapshot of this machine leases go on until its \
                     clock is set"
                ),
            }
            count
        });
        Self(Arc::clone(count))
    }

    pub(crate) fn current(&self) -> Generation {
        Generation(self.0.load(Ordering::Acquire))
    }
}

fn open() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT)?;
    socket.bind(&SocketAddr::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

fn spawn(socket: Socket, count: Arc<AtomicU64>) {
    let watch = move || {
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            buffer.clear();
            if let Err(error) = socket.recv(&mut buffer, 0) {
                // ENOBUFS: events were lost. One of them may have been the one that matters.
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    tracing::warn!(%error, "no longer watching for changes of the VM generation id");
                    return;
                }
                buffer.extend_from_slice(NEW_GENERATION);
            }
            if announces_new_generation(&buffer) {
                count.fetch_add(1, Ordering::AcqRel);
                tracing::warn!("this machine was restored from a snapshot; every lease ends");
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("vm-generation".into()).spawn(watch) {
        tracing::warn!(%error, "cannot watch for changes of the VM generation id");
    }
}

/// A uevent is a header and then `KEY=value` strings, each ended by a NUL.
fn announces_new_generation(uevent: &[u8]) -> bool {
    uevent.split(|b| *b == 0).any(|field| field == NEW_GENERATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_however_many_clocks_there_are_one_thread_watches() {
        let threads = || {
            let names = std::fs::read_dir("/proc/self/task").unwrap();
            let names = names.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
            names.filter(|name| name.trim() == "vm-generation").count()
        };
        let clocks: Vec<_> = (0..100).map(|_| GenerationWatch::start()).collect();
        assert!(threads() <= 1, "{} threads for {} clocks", threads(), clocks.len());
        assert!(clocks.iter().all(|clock| Arc::ptr_eq(&clock.0, &clocks[0].0)));
    }

    #[test]
    fn only_the_announcement_itself_counts() {
        let event = b"change@/devices/vmgenid\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=7\0";
        assert!(announces_new_generation(event));
        assert!(!announces_new_generation(b"change@/devices/x\0ACTION=change\0NEW_VMGENID=10\0"));
        assert!(!announces_new_generation(b"change@NEW_VMGENID=1x\0"));
        assert!(!announces_new_generation(b""));
    }
}
