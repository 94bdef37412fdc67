//! The system's libpcap: its compiler and its interpreter, `bpf_filter`.

#![allow(unsafe_code)] // A C library.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

const DLT_EN10MB: c_int = 1;
const SNAPLEN: c_int = 262_144;
const NETMASK_UNKNOWN: c_uint = u32::MAX;

/// `struct bpf_program` (pcap/bpf.h).
#[repr(C)]
struct Program {
    len: c_uint,
    insns: *mut c_void,
}

#[link(name = "pcap")]
unsafe extern "C" {
    fn pcap_open_dead(link: c_int, snaplen: c_int) -> *mut c_void;
    fn pcap_close(handle: *mut c_void);
    fn pcap_compile(
        handle: *mut c_void,
        program: *mut Program,
        text: *const c_char,
        optimize: c_int,
        netmask: c_uint,
    ) -> c_int;
    fn pcap_geterr(handle: *mut c_void) -> *const c_char;
    fn pcap_freecode(program: *mut Program);
    fn bpf_filter(insns: *const c_void, bytes: *const u8, wire_len: c_uint, len: c_uint) -> c_uint;
}

/// A filter of libpcap's.
pub struct Libpcap(Program);

impl Libpcap {
    /// Compiles for Ethernet, optimised.
    pub fn compile(text: &str) -> Result<Libpcap, String> {
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut program = Program { len: 0, insns: std::ptr::null_mut() };
        // SAFETY: a handle that is open from here to `pcap_close`; the text ends with a zero; the
        // message is copied before the handle goes.
        unsafe {
            let handle = pcap_open_dead(DLT_EN10MB, SNAPLEN);
            if handle.is_null() {
                return Err("pcap_open_dead failed".to_owned());
            }
            let failed = pcap_compile(handle, &mut program, text.as_ptr(), 1, NETMASK_UNKNOWN) != 0;
            let why = CStr::from_ptr(pcap_geterr(handle)).to_string_lossy().into_owned();
            pcap_close(handle);
            if failed { Err(why) } else { Ok(Libpcap(program)) }
        }
    }

    /// The verdict on a packet.
    #[inline(always)]
    pub fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        // SAFETY: a program that libpcap made and checked; it reads inside of the slice only.
        unsafe { bpf_filter(self.0.insns, bytes.as_ptr(), wire_len, bytes.len() as c_uint) }
    }
}

impl Drop for Libpcap {
    fn drop(&mut self) {
        // SAFETY: made by `pcap_compile`, freed once.
        unsafe { pcap_freecode(&mut self.0) };
    }
}
