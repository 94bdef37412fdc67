//! Configuration files, as text.

use crate::exit::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a file of at most `bytes_max`.
///
/// # Errors
/// A file that cannot be read, is no text, or is longer.
pub fn read(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text))
        .map_err(|error| failed(path, &error))?;
    if text.len() as u64 > bytes_max {
        let error = format!("longer than {bytes_max} bytes: split it over several processes");
        return Err(failed(path, &error));
    }
    Ok(text)
}

/// What is wrong with what the file at `path` says.
pub fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format_args!("{}: {error}", path.display()))
}
