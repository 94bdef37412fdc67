//! Who asks, and whether they may ask at all.

use crate::error::ApiError;
use crate::token::Token;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process on this machine, as the kernel names it (`SO_PEERCRED`, unix(7)).
    Unix {
        /// Its effective user when it connected.
        uid: u32,
        /// Its process id; 0 when it is of another namespace.
        pid: i32,
    },
    /// An address, over TCP.
    Tcp(SocketAddr),
}

/// Whom the requests of a peer are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKey {
    /// All processes of a user.
    Uid(u32),
    /// All ports of an address.
    Ip(IpAddr),
}

impl Peer {
    /// Whom its requests are counted for.
    pub fn key(&self) -> PeerKey {
        match self {
            Peer::Unix { uid, .. } => PeerKey::Uid(*uid),
            Peer::Tcp(address) => PeerKey::Ip(address.ip().to_canonical()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Unix { uid, pid } => write!(f, "uid {uid} pid {pid}"),
            Peer::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// Who may use a listener.
#[derive(Clone, Debug)]
pub enum Access {
    /// Processes of this user, and root.
    Uid(u32),
    /// Whoever sends the token.
    Token(Token),
}

impl Access {
    /// Whether `peer` may connect at all, before a byte of it is read.
    ///
    /// # Errors
    /// 403 for a process of another user. The mode of the socket file keeps such a process out
    /// already, but a descriptor can be passed on and a file mode be changed.
    pub fn check_peer(&self, peer: &Peer) -> Result<(), ApiError> {
        match (self, peer) {
            (Access::Uid(own), Peer::Unix { uid, .. }) if uid == own || *uid == 0 => Ok(()),
            (Access::Token(_), Peer::Tcp(_)) => Ok(()),
            _ => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "this control socket belongs to another user",
                "run the command as the user who started tickwire, or as root",
            )),
        }
    }

    /// Whether a request with these header fields may be answered, before its body is read.
    ///
    /// # Errors
    /// 401 without the token.
    pub fn check_head(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Access::Token(token) = self else { return Ok(()) };
        match headers.get(AUTHORIZATION) {
            Some(value) if token.admits(value.as_bytes()) => Ok(()),
            _ => Err(ApiError::unauthorized()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_uid_and_root_only() {
        let access = Access::Uid(1000);
        let peer = |uid| Peer::Unix { uid, pid: 1 };
        assert!(access.check_peer(&peer(1000)).is_ok());
        assert!(access.check_peer(&peer(0)).is_ok());
        assert_eq!(access.check_peer(&peer(1001)).unwrap_err().status, 403);
        let tcp = Peer::Tcp("127.0.0.1:1".parse().expect("an address"));
        assert_eq!(access.check_peer(&tcp).unwrap_err().status, 403);
    }

    #[test]
    fn a_mapped_address_is_the_same_peer() {
        let key = |text: &str| Peer::Tcp(text.parse().expect("an address")).key();
        assert_eq!(key("[::ffff:192.0.2.1]:5"), key("192.0.2.1:6"));
    }
}
