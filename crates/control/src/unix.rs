//! The control socket: a file that nobody else can open, at no moment.
//!
//! * The mode is 0600 from its creation on: Linux creates the file with the mode of the socket's
//!   inode (`unix_bind` in net/unix/af_unix.c), which fchmod(2) sets before bind(2). The umask,
//!   which all threads share, stays as it is.
//! * A file that a dead process left is replaced. Whoever looks and replaces holds a lock on the
//!   folder, so that of two that start at once one wins and the other is told.

use crate::error::StartError;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `sun_path` of unix(7), with its final 0.
pub const PATH_BYTES_MAX: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// How often another process that starts may hold the folder, and how long each time.
const LOCK_TRIES_MAX: usize = 100;
const LOCK_RETRY_MS: u64 = 10;

/// A listening control socket; its file is removed with it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode of the file that we made.
    identity: Option<(u64, u64)>,
    /// As long as the socket is open the kernel keeps its inode, so that no other file gets the
    /// same number.
    _socket: OwnedFd,
}

/// Whether the kernel takes `path` as the path of a socket.
///
/// # Errors
/// [`StartError::PathTooLong`].
pub fn check_path(path: &Path) -> Result<(), StartError> {
    match path.as_os_str().len() {
        0..=PATH_BYTES_MAX => Ok(()),
        bytes => Err(StartError::PathTooLong { bytes, max: PATH_BYTES_MAX }),
    }
}

/// Listens on `path`, mode 0600, without blocking.
///
/// # Errors
/// When a running process listens there, when something else than a socket is there, when the path
/// is too long, and when the kernel refuses.
pub fn listen(path: &Path) -> Result<(UnixListener, SocketFile), StartError> {
    check_path(path)?;
    let failed = |error: io::Error| StartError::Socket {
        path: path.to_owned(),
        cure: match error.kind() {
            io::ErrorKind::NotFound => "create its folder first",
            io::ErrorKind::PermissionDenied => "choose a folder that you may write to",
            _ => "choose another --control PATH",
        },
        error,
    };
    let _lock = lock_folder(path).map_err(failed)?;
    remove_stale(path, failed)?;
    let socket = private_socket(path).map_err(failed)?;
    let identity = fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let kept = socket.try_clone().map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), identity, _socket: kept };
    Ok((UnixListener::from(socket), file))
}

fn lock_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    for _ in 0..LOCK_TRIES_MAX {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(LOCK_RETRY_MS)),
            result => return result.map(|()| folder).map_err(io::Error::from),
        }
    }
    Err(io::Error::other("another process holds a lock on its folder"))
}

/// Removes a socket file on which nobody listens.
fn remove_stale(path: &Path, failed: impl Fn(io::Error) -> StartError) -> Result<(), StartError> {
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(&failed)?,
    };
    if !file.file_type().is_socket() {
        return Err(StartError::NotASocket { path: path.to_owned() });
    }
    let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
    let probe = socket().map_err(|error| failed(error.into()))?;
    match rustix::net::connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ACCESS) => Err(failed(Errno::ACCESS.into())),
        // Accepted, or its backlog is full (EAGAIN), or it is of another kind: somebody is there.
        _ => Err(StartError::SocketInUse { path: path.to_owned() }),
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn private_socket(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket()?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()));
        // Somebody may have put another one in its place.
        if now.is_some() && now == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A folder of a test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("tickwire-unix-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a temporary folder");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_is_private_by_bind_alone_and_goes_with_us() {
        let folder = Folder::new("mode");
        let path = folder.0.join("s");
        let (listener, file) = listen(&path).expect("a socket");
        // Nothing has changed the mode since bind(2): with the usual umask a socket would be 0755.
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_refused_and_a_dead_one_replaced() {
        let folder = Folder::new("stale");
        let path = folder.0.join("s");
        let (listener, file) = listen(&path).expect("a socket");
        let error = listen(&path).expect_err("somebody listens").to_string();
        assert!(error.contains("running process") && error.contains("--control"), "{error}");
        drop((listener, file));
        // What SIGKILL leaves: the file without a listener.
        drop(UnixListener::bind(&path).expect("nobody is there"));
        assert!(listen(&path).is_ok() && !path.exists());
    }

    #[test]
    fn a_socket_that_took_our_place_is_left_alone() {
        let folder = Folder::new("replaced");
        let path = folder.0.join("s");
        let first = listen(&path).expect("a socket");
        fs::remove_file(&path).expect("by hand");
        let _second = listen(&path).expect("nobody is there");
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn of_many_that_start_at_once_one_wins() {
        let folder = Folder::new("race");
        let path = folder.0.join("s");
        drop(UnixListener::bind(&path).expect("a file that is left over"));
        let started: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| listen(&path))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(started.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn other_files_and_long_paths_are_refused() {
        let folder = Folder::new("refused");
        let path = folder.0.join("s");
        fs::write(&path, "precious").expect("room");
        assert!(matches!(listen(&path), Err(StartError::NotASocket { .. })));
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
        let missing = listen(&folder.0.join("no/s")).expect_err("no folder").to_string();
        assert!(missing.contains("create its folder"), "{missing}");
        let long = listen(&folder.0.join("x".repeat(120))).expect_err("too long").to_string();
        assert!(long.contains("107"), "{long}");
    }
}
