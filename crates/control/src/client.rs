//! The other end: one request over a Unix socket, in bounded time and memory. It blocks.

use crate::error::{ErrorBody, StartError};
use crate::limits::{HEADERS_MAX, RESPONSE_BYTES_MAX};
use crate::unix::check_path;
use serde::Serialize;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time for the whole of a request and its answer.
pub const REQUEST_MS_MAX: u64 = 10_000;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// What came after the head.
    pub body: Vec<u8>,
}

/// Why there is no answer to use: cause and cure.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ClientError {
    #[error("cannot reach {path}: {error}; is tickwire running with --control {path}?")]
    NotThere { path: PathBuf, error: io::Error },
    #[error("may not use {path}: {error}; run this as the user who started tickwire, or as root")]
    NotAllowed { path: PathBuf, error: io::Error },
    #[error(
        "the path of the control socket is {bytes} bytes long and the kernel takes {max}; give the \
         socket of tickwire a shorter path, or this one through a symbolic link to its folder"
    )]
    PathTooLong { bytes: usize, max: usize },
    #[error("no answer from {path}: {error}; is it the control socket of tickwire?")]
    NoAnswer { path: PathBuf, error: io::Error },
    #[error("what {path} answers is no HTTP; is it the control socket of tickwire?")]
    NotHttp { path: PathBuf },
    #[error("{}; {} ({status}, {})", .body.error.message, .body.error.cure, .body.error.code)]
    Refused { status: u16, body: ErrorBody },
}

/// Sends one request to the control socket `path`; `body` as JSON.
///
/// # Errors
/// When nobody is there, when no answer comes in time, and when the answer is a refusal.
pub fn request(
    path: &Path,
    method: &str,
    target: &str,
    body: Option<&impl Serialize>,
) -> Result<Response, ClientError> {
    let body = body.map(|body| serde_json::to_vec(body).expect("our types have string keys"));
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: tickwire\r\n");
    if let Some(body) = &body {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let bytes = [(head + "\r\n").as_bytes(), &body.unwrap_or_default()].concat();
    let answer = exchange(path, &bytes)?;
    let not_http = || ClientError::NotHttp { path: path.to_owned() };
    let response = parse(&answer).ok_or_else(not_http)?;
    match response.status {
        200..=299 => Ok(response),
        status => match serde_json::from_slice(&response.body) {
            Ok(body) => Err(ClientError::Refused { status, body }),
            Err(_) => Err(not_http()),
        },
    }
}

fn exchange(path: &Path, request: &[u8]) -> Result<Vec<u8>, ClientError> {
    if let Err(StartError::PathTooLong { bytes, max }) = check_path(path) {
        return Err(ClientError::PathTooLong { bytes, max });
    }
    let path = path.to_owned();
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(ClientError::NotAllowed { path, error });
        }
        Err(error) => return Err(ClientError::NotThere { path, error }),
    };
    let deadline = Instant::now() + Duration::from_millis(REQUEST_MS_MAX);
    let mut answer = Vec::new();
    // A server that refuses may answer before it has read all: then the answer counts.
    let sent = stream
        .set_write_timeout(Some(Duration::from_millis(REQUEST_MS_MAX)))
        .and_then(|()| stream.write_all(request));
    let read = read_to_end(&mut stream, &mut answer, deadline);
    match read.and(if answer.is_empty() { sent } else { Ok(()) }) {
        Ok(()) => Ok(answer),
        Err(error) => Err(ClientError::NoAnswer { path, error }),
    }
}

fn read_to_end(stream: &mut UnixStream, answer: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut some = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut some) {
            Ok(0) => return Ok(()),
            Ok(count) => answer.extend_from_slice(&some[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if answer.len() > RESPONSE_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}

/// Head and body; the end of the connection ends the body, which has to be as long as it said.
fn parse(answer: &[u8]) -> Option<Response> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else { return None };
    let length = response.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some(field) => std::str::from_utf8(field.value).ok()?.parse().ok()?,
        None => 0,
    };
    let body = answer.get(head..)?.to_vec();
    (body.len() == length).then_some(Response { status: response.code?, body })
}

/// A piece of a path: what is not unreserved (RFC 3986, 2.3) is percent-encoded.
pub fn encode(piece: &str) -> String {
    let mut encoded = String::with_capacity(piece.len());
    for byte in piece.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_nothing() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(parse(whole), Some(Response { status: 200, body: b"ok".to_vec() }));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(empty), Some(Response { status: 204, body: Vec::new() }));
        assert_eq!(parse(b"SSH-2.0-OpenSSH_9.2\r\n"), None);
    }

    #[test]
    fn pieces_of_a_path_are_encoded() {
        assert_eq!(encode("itch-A.1_~"), "itch-A.1_~");
        assert_eq!(encode("[::1]:5/é?"), "%5B%3A%3A1%5D%3A5%2F%C3%A9%3F");
    }

    #[test]
    fn who_is_not_there_is_named_with_the_cure() {
        let path = Path::new("/nonexistent/tickwire.sock");
        let error = request(path, "GET", "/", None::<&()>).expect_err("nobody").to_string();
        assert!(error.contains("--control /nonexistent/tickwire.sock?"), "{error}");
        let long = format!("/tmp/{}", "x".repeat(103));
        let error = request(Path::new(&long), "GET", "/", None::<&()>).expect_err("too long");
        let error = error.to_string();
        assert!(error.contains("108 bytes long and the kernel takes 107"), "{error}");
    }
}
