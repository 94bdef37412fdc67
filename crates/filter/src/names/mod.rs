//! Names and the numbers that they stand for.
//!
//! * `keywords`: the words of the language and its named constants
//! * `services`: ports
//! * `protocols`: Ethernet, IP and OSI protocols, LLC and IS-IS types
//! * `wlan`: types, subtypes and directions of 802.11 frames

pub mod keywords;
pub mod protocols;
pub mod services;
pub mod wlan;
