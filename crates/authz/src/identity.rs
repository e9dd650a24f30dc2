//! Who is asking.

use std::fmt;

/// Who a caller turned out to be, by means that the caller cannot choose. What it displays stands in the audit record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// Somebody on this machine, over loopback: any local user at all. For development.
    Loopback,
    /// The process at the other end of a Unix socket, as the kernel says (`SO_PEERCRED`,
    /// <https://man7.org/linux/man-pages/man7/unix.7.html>).
    UnixPeer {
        /// Effective user id when the peer connected.
        uid: u32,
        /// Effective group id when the peer connected.
        gid: u32,
        /// Process id when the peer connected; for the record only, because ids are reused.
        pid: Option<i32>,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::UnixPeer { uid, gid, pid: None } => write!(f, "unix:uid={uid},gid={gid}"),
            Self::UnixPeer { uid, gid, pid: Some(pid) } => write!(f, "unix:uid={uid},gid={gid},pid={pid}"),
        }
    }
}
