//! Numbers that are exact: written as text, or as an integer.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// `"100.25"`, or `100`. TOML's own `100.25` is a floating-point number, which is not exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Exact;
        impl Visitor<'_> for Exact {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text such as \"100.25\", or an integer")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Text, E> {
                let message = format!(
                    "{number} is a floating-point number, which is not exact: write it as text, \
                     \"{number}\""
                );
                Err(E::custom(message))
            }
        }
        deserializer.deserialize_any(Exact)
    }
}
