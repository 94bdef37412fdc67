//! IGMP, versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376).

use crate::checksum::Sum;
use crate::read::{array, be16};
use std::net::Ipv4Addr;
use tickwire_frame::Reason;

/// IGMP types.
pub mod igmp_type {
    /// Membership query, all versions.
    pub const QUERY: u8 = 0x11;
    /// Membership report, version 1.
    pub const REPORT_V1: u8 = 0x12;
    /// Membership report, version 2.
    pub const REPORT_V2: u8 = 0x16;
    /// Leave group, version 2.
    pub const LEAVE: u8 = 0x17;
    /// Membership report, version 3.
    pub const REPORT_V3: u8 = 0x22;
}

/// An IGMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Igmp<'a> {
    header: &'a [u8; Igmp::LEN],
    payload: &'a [u8],
}

impl<'a> Igmp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Needs 8 bytes, and 12 of a version 3 query.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) =
            bytes.split_first_chunk::<{ Igmp::LEN }>().ok_or(Reason::TruncatedIgmp)?;
        // RFC 3376, 7.1: a query of 8 bytes is of version 1 or 2, one of 12 or more of version 3,
        // and any other length is none.
        if header[0] == igmp_type::QUERY && (1..4).contains(&payload.len()) {
            return Err(Reason::TruncatedIgmp);
        }
        Ok(Igmp { header, payload })
    }

    /// The type.
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The version of the protocol, by type and length; `None` for types that are not of it.
    pub fn version(&self) -> Option<u8> {
        Some(match self.kind() {
            igmp_type::QUERY if self.payload.len() >= 4 => 3,
            igmp_type::QUERY if self.header[1] == 0 => 1,
            igmp_type::REPORT_V1 => 1,
            igmp_type::QUERY | igmp_type::REPORT_V2 | igmp_type::LEAVE => 2,
            igmp_type::REPORT_V3 => 3,
            _ => return None,
        })
    }

    /// The maximum response code of a query: tenths of a second below 128.
    pub fn max_response(&self) -> u8 {
        self.header[1]
    }

    /// The checksum.
    pub fn checksum(&self) -> u16 {
        be16(self.header, 2)
    }

    /// Whether the checksum is right. All of the message must be there.
    pub fn checksum_is_valid(&self) -> bool {
        Sum::default().over(self.header).over(self.payload).is_valid()
    }

    /// The group; 0.0.0.0 in a general query. Version 3 reports have theirs in
    /// [`records`](Self::records).
    pub fn group(&self) -> Option<Ipv4Addr> {
        (self.kind() != igmp_type::REPORT_V3).then(|| array::<8, 4>(self.header, 4).into())
    }

    /// The sources of a version 3 query, 4 bytes each.
    pub fn sources(&self) -> Result<&'a [[u8; 4]], Reason> {
        if self.version() != Some(3) || self.kind() != igmp_type::QUERY {
            return Ok(&[]);
        }
        let (fixed, rest) = self.payload.split_first_chunk::<4>().ok_or(Reason::IgmpBadRecord)?;
        rest.as_chunks().0.get(..be16(fixed, 2).into()).ok_or(Reason::IgmpBadRecord)
    }

    /// The group records of a version 3 report.
    pub fn records(&self) -> IgmpRecords<'a> {
        match self.kind() {
            igmp_type::REPORT_V3 => IgmpRecords { left: be16(self.header, 6), rest: self.payload },
            _ => IgmpRecords { left: 0, rest: &[] },
        }
    }
}

/// One group record of a version 3 report (RFC 3376, 4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgmpRecord<'a> {
    /// Record type, 1 to 6.
    pub kind: u8,
    /// The group.
    pub group: Ipv4Addr,
    /// The sources, 4 bytes each.
    pub sources: &'a [[u8; 4]],
}

impl IgmpRecord<'_> {
    /// The name of the record type as tcpdump prints it, if it has one.
    pub fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            1 => "is_in",
            2 => "is_ex",
            3 => "to_in",
            4 => "to_ex",
            5 => "allow",
            6 => "block",
            _ => return None,
        })
    }
}

/// The records of a version 3 report. Ends after as many as the report says, or with
/// [`Reason::IgmpBadRecord`].
#[derive(Clone, Debug)]
pub struct IgmpRecords<'a> {
    left: u16,
    rest: &'a [u8],
}

impl<'a> Iterator for IgmpRecords<'a> {
    type Item = Result<IgmpRecord<'a>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record = record(self.rest);
        match record {
            Some((_, rest)) => self.rest = rest,
            None => self.left = 0,
        }
        Some(record.map(|(record, _)| record).ok_or(Reason::IgmpBadRecord))
    }
}

fn record(bytes: &[u8]) -> Option<(IgmpRecord<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let (sources, rest) = rest.split_at_checked(usize::from(be16(head, 2)) * 4)?;
    let rest = rest.get(usize::from(head[1]) * 4..)?;
    let group = array::<8, 4>(head, 4).into();
    Some((IgmpRecord { kind: head[0], group, sources: sources.as_chunks().0 }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |bytes: &[u8]| Igmp::parse(bytes).unwrap().version();
        assert_eq!(version(b"\x11\0\0\0\0\0\0\0"), Some(1));
        assert_eq!(version(b"\x11\x64\0\0\0\0\0\0"), Some(2));
        assert_eq!(version(b"\x11\x64\0\0\0\0\0\0\x02\x7d\0\0"), Some(3));
        assert_eq!(version(b"\x16\0\0\0\xe0\0\0\xfb"), Some(2));
        assert_eq!(version(b"\x13\0\0\0\0\0\0\0"), None);
    }

    #[test]
    fn source_specific_join() {
        let bytes = b"\x22\0\0\0\0\0\0\x01\x05\0\0\x01\xe8\x01\x01\x01\x0a\0\0\x01";
        let report = Igmp::parse(bytes).unwrap();
        let records: Vec<_> = report.records().map(Result::unwrap).collect();
        assert_eq!((records.len(), records[0].kind_name()), (1, Some("allow")));
        assert_eq!(records[0].group, Ipv4Addr::new(232, 1, 1, 1));
        assert_eq!((records[0].sources, report.group()), (&[[10, 0, 0, 1]][..], None));
    }

    #[test]
    fn malformed() {
        assert_eq!(Igmp::parse(&[0; 7]), Err(Reason::TruncatedIgmp));
        assert_eq!(Igmp::parse(b"\x11\0\0\0\0\0\0\0\0"), Err(Reason::TruncatedIgmp));
        let query = Igmp::parse(b"\x11\x64\0\0\0\0\0\0\x02\x7d\0\x01").unwrap();
        assert_eq!(query.sources(), Err(Reason::IgmpBadRecord));
        let report = Igmp::parse(b"\x22\0\0\0\0\0\0\x02\x05\0\0\x01\xe8\x01\x01\x01").unwrap();
        assert_eq!(report.records().collect::<Vec<_>>(), [Err(Reason::IgmpBadRecord)]);
    }
}
