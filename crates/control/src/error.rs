//! What a client is told when it does not get what it asked for, and why a server does not start.

use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A refusal: a status, a stable code for programs, a message and a cure for people.
///
/// On the wire: `{"error": {"code": …, "message": …, "cure": …}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What went wrong, in `snake_case`; stable.
    pub code: &'static str,
    /// What went wrong, in a sentence.
    pub message: Cow<'static, str>,
    /// What to do about it.
    pub cure: Cow<'static, str>,
    /// The methods that a path knows, with 405.
    pub allow: Option<Box<str>>,
}

/// [`ApiError`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// Stable, in `snake_case`, for programs.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

impl ApiError {
    /// A refusal with this status.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        cure: impl Into<Cow<'static, str>>,
    ) -> Self {
        ApiError { status, code, message: message.into(), cure: cure.into(), allow: None }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        cure: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, cure)
    }

    /// 429.
    pub(crate) fn too_many_requests(per_second: u32) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            format!("more than {per_second} requests a second"),
            "wait a second, then ask again",
        )
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "no valid bearer token",
            "send 'Authorization: Bearer TOKEN' with the token of the server's token file",
        )
    }

    /// 405 for a path that knows only the methods of `allow`.
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let mut error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this resource knows {allow} only"),
            "see /openapi.json for what each resource can do",
        );
        error.allow = Some(allow.into());
        error
    }

    /// The header field that belongs to the status (RFC 9110).
    fn header(&self) -> Option<(HeaderName, &str)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS => Some((RETRY_AFTER, "1")),
            _ => self.allow.as_deref().map(|allow| (ALLOW, allow)),
        }
    }

    /// The JSON on the wire.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code.to_owned(),
                message: self.message.clone().into_owned(),
                cure: self.cure.clone().into_owned(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = crate::api::Answer::json(self.status, &self.body()).into_response();
        if let Some((name, value)) = self.header()
            && let Ok(value) = value.parse()
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Why the control plane does not start: cause and cure.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error(
        "the control socket {path} belongs to a running process; stop that one, or give this one \
         another --control PATH"
    )]
    SocketInUse { path: PathBuf },
    #[error("{path} is not a socket and is left alone; remove it, or give another --control PATH")]
    NotASocket { path: PathBuf },
    #[error(
        "the path of the control socket is {bytes} bytes long and the kernel takes {max}; choose \
         a shorter --control PATH"
    )]
    PathTooLong { bytes: usize, max: usize },
    #[error("cannot create the control socket {path}: {error}; {cure}")]
    Socket { path: PathBuf, error: io::Error, cure: &'static str },
    #[error("cannot listen on {address}: {error}; {cure}")]
    Listen { address: SocketAddr, error: io::Error, cure: &'static str },
    #[error(
        "cannot read the token file {path}: {error}; create it with: (umask 077; openssl \
         rand -hex 32 > {path})"
    )]
    TokenFile { path: PathBuf, error: io::Error },
    #[error(
        "the token in {path} {problem}; make one with: (umask 077; openssl rand -hex 32 > {path})"
    )]
    Token { path: PathBuf, problem: String },
    #[error("cannot start the control thread: {0}; see `ulimit -u` and `ulimit -n`")]
    Thread(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_header_of_its_status() {
        let response = ApiError::unauthorized().into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        let response = ApiError::method_not_allowed("GET,HEAD").into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[ALLOW]),
            (405, &"GET,HEAD".parse().expect("a value"))
        );
        assert_eq!(ApiError::too_many_requests(5).into_response().headers()[RETRY_AFTER], "1");
    }
}
