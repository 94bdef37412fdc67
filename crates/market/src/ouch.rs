//! What both versions of OUCH share.

/// A message of the market, with the time that all of them begin with.
macro_rules! outbound {
    (
        $what:literal;
        $(#[$meta:meta])*
        pub struct $view:ident, $builder:ident: $len:literal, type $type:literal {
            $($fields:tt)*
        }
    ) => {
        message! {
            Big, $what;
            $(#[$meta])*
            pub struct $view, $builder: $len, type $type {
                /// When, in nanoseconds since midnight.
                timestamp @ 1: $crate::wire::SinceMidnight<8>,
                $($fields)*
            }
        }
    };
}
