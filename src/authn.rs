//! Who is calling, by means that the caller cannot choose.

use std::net::SocketAddr;

use leasehold_authz::Identity;
use tokio::net::UnixStream;

/// The address is not one that may be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a loopback address, and listen.tcp serves without TLS: serve it in [listen.tls], which asks callers for \
     certificates"
)]
pub struct NotLocal(pub SocketAddr);

/// Whether `address` may be listened on: plaintext keys leave through it, and nothing encrypts them on the way.
pub(crate) fn check_address(address: SocketAddr) -> Result<(), NotLocal> {
    if address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(NotLocal(address)) }
}

/// Who connected to a Unix socket, as the kernel says.
pub(crate) fn unix_peer(stream: &UnixStream) -> std::io::Result<Identity> {
    let peer = stream.peer_cred()?;
    Ok(Identity::UnixPeer { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_ever_listened_on() {
        for good in ["127.0.0.1:7420", "127.8.8.8:0", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check_address(good.parse().unwrap()), Ok(()), "{good}");
        }
        for bad in ["0.0.0.0:7420", "10.0.0.1:1", "[::]:7420", "192.168.1.1:80", "[::ffff:10.0.0.1]:1"] {
            let error = check_address(bad.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("without TLS"), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_peer_of_a_unix_socket_is_who_the_kernel_says() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let me = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap();
        assert!(matches!(unix_peer(&ours).unwrap(), Identity::UnixPeer { uid, .. } if uid == me));
    }
}
