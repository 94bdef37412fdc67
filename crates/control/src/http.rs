//! The head of an HTTP/1.1 request (RFC 9112) as a pure function of bytes, and that of an answer.
//!
//! The grammar is httparse's, which hyper reads with. hyper's own server answers what is malformed
//! or too long without a body, and what is slow not at all; here each gets an [`ApiError`].
//!
//! A connection carries one request: then there is nothing that two parties could cut into requests
//! differently, and no connection idles. For the same reason `Transfer-Encoding` is refused.

use crate::error::ApiError;
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use std::fmt::Write;
use std::time::SystemTime;

/// The head of a request.
#[derive(Debug)]
pub struct Head {
    /// GET, POST, …
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The header fields.
    pub headers: HeaderMap,
    /// How many bytes of body follow: at most [`BODY_BYTES_MAX`].
    pub body_bytes: usize,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// How many bytes the head itself takes.
    pub head_bytes: usize,
}

/// Reads the head at the beginning of `bytes`; `None` when more bytes are needed.
///
/// # Errors
/// What the client is told: too long, malformed, or more than this server does.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>, ApiError> {
    let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head_bytes = match request.parse(within).map_err(malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() >= HEAD_BYTES_MAX => {
            return Err(too_long(request.version.is_none()));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let method = request.method.unwrap_or_default().parse::<Method>();
    let uri = request.path.unwrap_or_default().parse::<Uri>();
    let (Ok(method), Ok(uri)) = (method, uri) else {
        return Err(malformed(httparse::Error::Token));
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(malformed(httparse::Error::HeaderValue));
        };
        headers.append(name, value);
    }
    check_host(&headers, request.version)?;
    let body_bytes = body_bytes(&headers)?;
    let expects_continue = expects_continue(&headers, request.version)?;
    Ok(Some(Head { method, uri, headers, body_bytes, expects_continue, head_bytes }))
}

fn malformed(error: httparse::Error) -> ApiError {
    match error {
        httparse::Error::TooManyHeaders => ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_many_headers",
            format!("more than {HEADERS_MAX} header fields"),
            "send fewer header fields",
        ),
        httparse::Error::Version => ApiError::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "http_version",
            "this is not HTTP/1.1",
            "speak HTTP/1.1: curl --http1.1 --unix-socket PATH http://tickwire/v1/status",
        ),
        error => ApiError::bad_request(
            "malformed_request",
            format!("the head of the request is malformed: {error}"),
            "send an HTTP/1.1 request: curl --unix-socket PATH http://tickwire/v1/status",
        ),
    }
}

fn too_long(in_request_line: bool) -> ApiError {
    let (status, code, what) = if in_request_line {
        (StatusCode::URI_TOO_LONG, "uri_too_long", "request line")
    } else {
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_long", "head of the request")
    };
    let message = format!("the {what} is longer than {HEAD_BYTES_MAX} bytes");
    ApiError::new(status, code, message, "send a shorter path and fewer header fields")
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1.
fn check_host(headers: &HeaderMap, version: Option<u8>) -> Result<(), ApiError> {
    match headers.get_all(HOST).iter().count() {
        1 => Ok(()),
        0 if version == Some(0) => Ok(()),
        count => Err(ApiError::bad_request(
            "host",
            format!("{count} Host fields"),
            "send one Host field; any name will do",
        )),
    }
}

fn body_bytes(headers: &HeaderMap) -> Result<usize, ApiError> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            "transfer_encoding",
            "transfer codings are not taken",
            "send the body whole, with Content-Length",
        ));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(0) };
    let digits = length.as_bytes();
    if lengths.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ApiError::bad_request(
            "content_length",
            "Content-Length is not one number",
            "send one Content-Length field with the bytes of the body",
        ));
    }
    let length = length.to_str().ok().and_then(|digits| digits.parse().ok());
    length.filter(|&length| length <= BODY_BYTES_MAX).ok_or_else(|| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_long",
            format!("the body is longer than {BODY_BYTES_MAX} bytes"),
            "send less in one request",
        )
    })
}

fn expects_continue(headers: &HeaderMap, version: Option<u8>) -> Result<bool, ApiError> {
    match headers.get(EXPECT) {
        // RFC 9110 section 10.1.1: HTTP/1.0 does not know it.
        None => Ok(false),
        Some(_) if version == Some(0) => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(ApiError::new(
            StatusCode::EXPECTATION_FAILED,
            "expectation",
            "only 'Expect: 100-continue' is known",
            "leave the Expect field out",
        )),
    }
}

/// The head of an answer whose body is `body_bytes` long.
pub fn write_head<B>(response: &Response<B>, body_bytes: usize) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut head = String::with_capacity(256);
    let _ = write!(
        head,
        "HTTP/1.1 {} {reason}\r\ndate: {date}\r\nconnection: close\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\n",
        status.as_u16()
    );
    if status != StatusCode::NO_CONTENT {
        let _ = write!(head, "content-length: {body_bytes}\r\n");
    }
    let mut head = head.into_bytes();
    for (name, value) in response.headers() {
        if name != CONTENT_LENGTH && name != CONNECTION {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    head.extend(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Head {
        parse_head(text.as_bytes()).expect("well-formed").expect("whole")
    }

    #[test]
    fn a_head_and_every_prefix_of_it() {
        let text = "POST /v1/feeds/a/subscribers?x=1 HTTP/1.1\r\nHost: x\r\n\
                    Expect: 100-Continue\r\nContent-Length: 7\r\n\r\n";
        let head = parse(&format!("{text}{{\"a\":1}}"));
        assert_eq!((head.method, head.uri.path()), (Method::POST, "/v1/feeds/a/subscribers"));
        assert_eq!((head.body_bytes, head.head_bytes), (7, text.len()));
        assert!(head.expects_continue);
        for length in 0..text.len() {
            assert!(matches!(parse_head(&text.as_bytes()[..length]), Ok(None)), "{length}");
        }
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n").body_bytes, 0);
    }

    /// One row a violation: the request, the status, the code.
    #[test]
    fn every_violation_has_its_status() {
        let many = "x: y\r\n".repeat(HEADERS_MAX + 1);
        let path = "a".repeat(HEAD_BYTES_MAX);
        let length = |value: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{value}\r\n\r\n");
        let rows: &[(String, u16, &str)] = &[
            ("GET\r\n\r\n".into(), 400, "malformed_request"),
            ("GET / HTTP/1.1\r\nbad header\r\n\r\n".into(), 400, "malformed_request"),
            ("GET / HTTP/1.1\r\n\r\n".into(), 400, "host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400, "host"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, "http_version"),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}".into(), 400, "malformed_request"),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431, "too_many_headers"),
            (format!("GET / HTTP/1.1\r\nx: {path}"), 431, "head_too_long"),
            (format!("GET /{path}"), 414, "uri_too_long"),
            (length("Transfer-Encoding: chunked"), 501, "transfer_encoding"),
            (length("Content-Length: 1\r\nContent-Length: 1"), 400, "content_length"),
            (length("Content-Length: +1"), 400, "content_length"),
            (length("Content-Length: 1, 1"), 400, "content_length"),
            (length("Content-Length:"), 400, "content_length"),
            (length("Content-Length: 65537"), 413, "body_too_long"),
            (length("Content-Length: 99999999999999999999999"), 413, "body_too_long"),
            (length("Expect: gold"), 417, "expectation"),
        ];
        for (request, status, code) in rows {
            let error = parse_head(request.as_bytes()).expect_err(code);
            assert_eq!((error.status.as_u16(), error.code), (*status, *code), "{request}");
            assert!(!error.message.is_empty() && !error.cure.is_empty());
        }
        assert_eq!(parse(&length("Content-Length: 65536")).body_bytes, BODY_BYTES_MAX);
    }
}
