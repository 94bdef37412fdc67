//! CRC32c, the checksum of SCTP (RFC 9260, appendix A), eight bytes at a time.

/// The Castagnoli polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        let mut table = 1;
        while table < 8 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            table += 1;
        }
        byte += 1;
    }
    tables
}

/// A running CRC32c.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Crc32c(u32::MAX)
    }
}

impl Crc32c {
    /// Continues over `bytes`.
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<8>();
        let mut crc = self.0;
        for block in blocks {
            let word = u64::from_le_bytes(*block) ^ u64::from(crc);
            crc = word
                .to_le_bytes()
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |crc, (&byte, table)| crc ^ table[usize::from(byte)]);
        }
        for &byte in rest {
            crc = crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)];
        }
        Crc32c(crc)
    }

    /// The CRC.
    pub fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_3720() {
        let crc = |bytes: &[u8]| Crc32c::default().over(bytes).finish();
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc(&rising), 0x46dd_794e);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn parts_of_any_length() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = Crc32c::default().over(&bytes).finish();
        for cut in 0..100 {
            let parts = Crc32c::default().over(&bytes[..cut]).over(&bytes[cut..]).finish();
            assert_eq!(parts, whole);
        }
    }
}
