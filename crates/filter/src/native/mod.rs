//! Native code: a [`Program`] compiled by Cranelift to one function that a batch calls once.
//!
//! * `bounds`: how far one bounds check may reach
//! * `emit`: the IR in Cranelift's terms
//!
//! The function reads the slices of the batch and nothing else: it writes no memory, allocates
//! nothing, and returns the mask. Its code belongs to the [`Native`] and goes with it. Where
//! Cranelift cannot make code for this machine, [`Native::compile`] says so, and the interpreter
//! does the work.

#![allow(unsafe_code)] // One call of generated code, and the release of its memory.

mod bounds;
mod emit;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cranelift_codegen::Context;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Signature};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};
use tickwire_frame::{Batch, FRAMES_MAX, Mask};

use self::emit::SliceLayout;
use crate::interp::Metadata;
use crate::ir::{End, Program};
use crate::table::Table;

/// Instructions, in Cranelift's terms, of the largest program that is compiled: it takes up to
/// 0.7 µs for each, 7 ms in all, where [`COMPILE_MS_MAX`](crate::COMPILE_MS_MAX) is promised.
pub const NATIVE_INSTRUCTIONS_MAX: usize = 10_000;
/// So many are optimised, too: that takes up to 2.5 µs each while they are few, and soon far more.
const OPTIMIZED_INSTRUCTIONS_MAX: usize = 1_500;
/// From how many values on a list is a table: below, comparisons are as fast.
const TABLE_VALUES_MIN: usize = 9;
/// How many frames ahead of the one at hand are fetched into the cache.
const PREFETCH_FRAMES: usize = 16;

/// Why there is no native code; the interpreter does the same, more slowly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// Cranelift has no back end for this machine.
    #[error("no native code on this machine: {0}; the interpreter is used")]
    Unsupported(String),
    /// More than [`NATIVE_INSTRUCTIONS_MAX`] instructions.
    #[error(
        "no native code: the filter has {0} instructions, more than {NATIVE_INSTRUCTIONS_MAX}; the \
         interpreter is used: split the filter, or write 'in {{…}}' for long lists"
    )]
    TooLarge(usize),
    /// Cranelift refused the program.
    #[error("no native code: {0}; the interpreter is used")]
    Cranelift(String),
}

/// `fn(frames, wire_lens, metadata or null, candidates) -> accepted`.
type Function = unsafe extern "C" fn(*const &[u8], *const u32, *const RawMetadata, u64) -> u64;

/// [`Metadata`] as the generated code reads it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawMetadata {
    vlan_present: u32,
    vlan_tci: u32,
    packet_type: u32,
    interface_index: u32,
}

impl From<&Metadata> for RawMetadata {
    fn from(metadata: &Metadata) -> Self {
        RawMetadata {
            vlan_present: metadata.vlan.is_some().into(),
            vlan_tci: metadata.vlan.unwrap_or(0).into(),
            packet_type: metadata.packet_type,
            interface_index: metadata.interface_index,
        }
    }
}

/// A filter in native code.
pub struct Native {
    function: Function,
    code_bytes: usize,
    /// What the code looks into.
    _tables: Vec<Option<Table>>,
    /// Keeps the code; touched again only when it is dropped.
    module: Mutex<Option<JITModule>>,
}

impl Native {
    /// Compiles a program; takes about a millisecond.
    pub fn compile(program: &Program) -> Result<Native, NativeError> {
        let mut context = Context::new();
        let (isa, _tables) = fill(program, &mut context)?;
        let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
        let refused =
            |error: cranelift_module::ModuleError| NativeError::Cranelift(error.to_string());
        let name = module.declare_function("select", Linkage::Export, &context.func.signature);
        let name = name.map_err(refused)?;
        module.define_function(name, &mut context).map_err(refused)?;
        let code_bytes = context.compiled_code().map_or(0, |code| code.code_buffer().len());
        module.finalize_definitions().map_err(refused)?;
        let code = module.get_finalized_function(name);
        // SAFETY: the code was generated with the signature of `Function` in this machine's
        // C calling convention, and stays mapped until `module` is freed in `drop`.
        let function = unsafe { std::mem::transmute::<*const u8, Function>(code) };
        Ok(Native { function, code_bytes, _tables, module: Mutex::new(Some(module)) })
    }

    /// The frames of `batch` that pass. Without metadata a test of it rejects.
    #[inline]
    pub fn select(&self, batch: &Batch<'_>) -> Mask {
        let mut accepted = Mask::EMPTY;
        prefetch(batch.bytes(), 0);
        for start in (0..batch.len()).step_by(PREFETCH_FRAMES) {
            prefetch(batch.bytes(), start + PREFETCH_FRAMES);
            let part = Mask(Mask::first(PREFETCH_FRAMES).0 << start);
            accepted = accepted | self.call(batch, std::ptr::null(), batch.all() & part);
        }
        accepted
    }

    /// The frames of `candidates` that pass; the others are not looked at.
    pub fn select_from(&self, batch: &Batch<'_>, candidates: Mask) -> Mask {
        self.call(batch, std::ptr::null(), candidates & batch.all())
    }

    /// The frames of `batch` that pass, with what is known beside their bytes.
    ///
    /// # Panics
    /// When there are fewer `metadata` than frames.
    pub fn select_with(&self, batch: &Batch<'_>, metadata: &[Metadata]) -> Mask {
        let mut raw = [RawMetadata::default(); FRAMES_MAX];
        for (raw, metadata) in raw.iter_mut().zip(&metadata[..batch.len()]) {
            *raw = metadata.into();
        }
        self.call(batch, raw.as_ptr(), batch.all())
    }

    /// `candidates` are frames of `batch`; `metadata` is null or has an element for each of them.
    #[inline]
    fn call(&self, batch: &Batch<'_>, metadata: *const RawMetadata, candidates: Mask) -> Mask {
        let (frames, wire_lens) = (batch.bytes().as_ptr(), batch.wire_lens().as_ptr());
        // SAFETY: the function reads the slices, lengths and metadata of `candidates`, which are
        // below the length of all three arrays, the bytes of those slices, each behind a check
        // against the slice's length, and the tables that `self` owns. It writes nothing but its
        // own stack frame.
        Mask(unsafe { (self.function)(frames, wire_lens, metadata, candidates.0) })
    }

    /// How long the code is, in bytes.
    pub fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// The instructions, one a line, as Cranelift names them.
    pub fn listing(program: &Program) -> Result<String, NativeError> {
        let mut context = Context::new();
        let (isa, _tables) = fill(program, &mut context)?;
        context.set_disasm(true);
        let code = context
            .compile(&*isa, &mut Default::default())
            .map_err(|error| NativeError::Cranelift(format!("{:?}", error.inner)))?;
        Ok(code.vcode.clone().unwrap_or_default())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: `function` is the only way into this memory, it is private, and nobody calls
            // it any more.
            unsafe { module.free_memory() };
        }
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("code_bytes", &self.code_bytes).finish_non_exhaustive()
    }
}

/// How much time Cranelift may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Optimize,
    Hurry,
}

fn isa(effort: Effort) -> Result<OwnedTargetIsa, NativeError> {
    let mut flags = settings::builder();
    let (level, registers) = match effort {
        Effort::Optimize => ("speed", "backtracking"),
        Effort::Hurry => ("none", "single_pass"),
    };
    for (name, value) in
        [("opt_level", level), ("regalloc_algorithm", registers), ("is_pic", "false")]
    {
        flags.set(name, value).map_err(|error| NativeError::Cranelift(error.to_string()))?;
    }
    let verify = if cfg!(debug_assertions) { "true" } else { "false" };
    flags
        .set("enable_verifier", verify)
        .map_err(|error| NativeError::Cranelift(error.to_string()))?;
    cranelift_native::builder()
        .map_err(|why| NativeError::Unsupported(why.to_owned()))?
        .finish(settings::Flags::new(flags))
        .map_err(|error| NativeError::Unsupported(error.to_string()))
}

/// Generates the code, and the tables that it holds the addresses of; says what to compile it with.
fn fill(
    program: &Program,
    context: &mut Context,
) -> Result<(OwnedTargetIsa, Vec<Option<Table>>), NativeError> {
    let isa = isa(Effort::Optimize)?;
    let layout = slice_layout()?;
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params = vec![AbiParam::new(I64); 4];
    signature.returns = vec![AbiParam::new(I64)];
    context.func.signature = signature;
    let mut builder_context = FunctionBuilderContext::new();
    let builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
    let tables = tables(program)?;
    emit::emit(program, &tables, builder, layout, isa.frontend_config());
    let instructions = context.func.dfg.num_insts();
    if instructions > NATIVE_INSTRUCTIONS_MAX {
        return Err(NativeError::TooLarge(instructions));
    }
    let large = instructions > OPTIMIZED_INSTRUCTIONS_MAX;
    Ok((if large { self::isa(Effort::Hurry)? } else { isa }, tables))
}

/// For every number the table of the list that it is looked up in, unless that is short.
fn tables(program: &Program) -> Result<Vec<Option<Table>>, NativeError> {
    let mut tables = vec![None; program.numbers().len()];
    for id in program.order() {
        let End::Branch { test, .. } = program.block(id).end else { continue };
        let table = &mut tables[test.right.0 as usize];
        match program.values(test.right) {
            Some(values) if values.len() >= TABLE_VALUES_MIN && table.is_none() => {
                let made = Table::new(values.iter().copied(), u32::MAX);
                *table = Some(made.ok_or(NativeError::TooLarge(values.len()))?);
            }
            _ => {}
        }
    }
    Ok(tables)
}

/// Rust does not promise where a slice keeps its pointer and its length: look.
fn slice_layout() -> Result<SliceLayout, NativeError> {
    const { assert!(size_of::<&[u8]>() == 2 * size_of::<usize>()) };
    let bytes = [0u8; 3];
    let slice: &[u8] = &bytes;
    // SAFETY: two words are what a slice consists of, by the assertion above; a pointer may be
    // read as a number.
    let words = unsafe { std::mem::transmute::<&[u8], [usize; 2]>(slice) };
    let word = size_of::<usize>() as i32;
    match (words == [bytes.as_ptr().addr(), 3], words == [3, bytes.as_ptr().addr()]) {
        _ if word != 8 => Err(NativeError::Unsupported("not a 64-bit machine".into())),
        (true, _) => Ok(SliceLayout { pointer: 0, length: word }),
        (_, true) => Ok(SliceLayout { pointer: word, length: 0 }),
        _ => Err(NativeError::Unsupported("an unknown layout of slices".into())),
    }
}

/// Asks for the first bytes of the frames from `start` on.
#[inline]
fn prefetch(frames: &[&[u8]], start: usize) {
    #[cfg(target_arch = "x86_64")]
    for bytes in frames.iter().skip(start).take(PREFETCH_FRAMES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is allowed; it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (frames, start);
}
