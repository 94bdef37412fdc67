//! Bearer tokens (RFC 6750): from a file, compared in constant time, never shown.

use crate::error::StartError;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Shorter tokens can be guessed: 16 characters hold 64 bits in hexadecimal.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Longer tokens do not fit well into a header field.
pub const TOKEN_BYTES_MAX: usize = 1_024;

/// What a client over TCP has to send.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the token of `path`; white space around it does not count.
    ///
    /// # Errors
    /// When the file cannot be read, when others than its owner may read it, and when what it holds
    /// is too short, too long or not one visible ASCII word.
    pub fn read(path: &Path) -> Result<Token, StartError> {
        let failed = |error| StartError::TokenFile { path: path.to_owned(), error };
        let refused = |problem: String| StartError::Token { path: path.to_owned(), problem };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        if metadata.mode() & 0o077 != 0 {
            let mode = metadata.mode() & 0o777;
            return Err(refused(format!("can be read by others (mode {mode:03o}): chmod 600 it")));
        }
        let mut text = String::new();
        file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
        Token::new(text.trim()).map_err(refused)
    }

    /// A token of this text.
    ///
    /// # Errors
    /// What is wrong with it, to follow "the token".
    pub fn new(text: &str) -> Result<Token, String> {
        match text.len() {
            TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX => {}
            bytes => {
                return Err(format!(
                    "has {bytes} characters, not {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX}"
                ));
            }
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is not one word of visible ASCII characters".to_owned());
        }
        Ok(Token(text.as_bytes().into()))
    }

    /// Whether an `Authorization` field carries this token. The time it takes tells the length of
    /// the token at most.
    pub fn admits(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.ct_eq(given).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = Token::new("0123456789abcdef").expect("long enough");
        assert!(token.admits(b"Bearer 0123456789abcdef"));
        assert!(token.admits(b"bearer 0123456789abcdef"));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer 0123456789abcde",
            b"Bearer 0123456789abcdef0",
            b"Bearer 0123456789abcdeF",
            b"Basic  0123456789abcdef",
            b"Bearer  0123456789abcdef",
        ] {
            assert!(!token.admits(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn weak_tokens_and_open_files_are_refused() {
        assert!(Token::new("short").unwrap_err().contains("5 characters"));
        assert!(Token::new("0123456789 abcdef").unwrap_err().contains("one word"));
        assert!(Token::new(&"x".repeat(TOKEN_BYTES_MAX + 1)).is_err());

        let path = std::env::temp_dir().join(format!("tickwire-token-{}", std::process::id()));
        let write = |mode, text: &str| {
            let _ = std::fs::remove_file(&path);
            let mut options = File::options();
            let file = options.write(true).create_new(true).mode(mode).open(&path);
            io::Write::write_all(&mut file.expect("a new file"), text.as_bytes()).expect("room");
        };
        write(0o600, "0123456789abcdef\n");
        assert!(Token::read(&path).expect("good").admits(b"Bearer 0123456789abcdef"));
        write(0o644, "0123456789abcdef\n");
        assert!(Token::read(&path).unwrap_err().to_string().contains("mode 644"));
        write(0o600, "\n");
        assert!(Token::read(&path).unwrap_err().to_string().contains("openssl rand"));
        std::fs::remove_file(&path).expect("ours");
        assert!(Token::read(&path).unwrap_err().to_string().contains("openssl rand"));
    }
}
