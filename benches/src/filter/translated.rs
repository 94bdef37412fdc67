//! The reference that is easy to have: the classic program, one instruction after the other,
//! translated by Cranelift into one function that is called for every packet.

#![allow(unsafe_code)] // The call of the generated function.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I16, I32, I64};
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, MemFlagsData, Value};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};
use std::error::Error;
use tickwire_filter::classic::Insn;
use tickwire_filter::classic::insn::code::*;

/// `fn(bytes, length, wire_len) -> verdict`.
type Function = unsafe extern "C" fn(*const u8, u64, u32) -> u32;

/// A classic program in native code. Its memory stays until the process ends.
pub struct Translated(Function);

impl Translated {
    pub fn new(program: &[Insn]) -> Result<Translated, Box<dyn Error>> {
        let mut flags = settings::builder();
        flags.set("opt_level", "speed")?;
        flags.set("is_pic", "false")?;
        let isa = cranelift_native::builder()?.finish(settings::Flags::new(flags))?;
        let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
        let mut context = module.make_context();
        context.func.signature.params = [I64, I64, I32].map(AbiParam::new).to_vec();
        context.func.signature.returns = vec![AbiParam::new(I32)];
        let mut scratch = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut context.func, &mut scratch);
        translate(program, builder, module.isa().frontend_config())?;
        let name = module.declare_function("filter", Linkage::Export, &context.func.signature)?;
        module.define_function(name, &mut context)?;
        module.finalize_definitions()?;
        let code = module.get_finalized_function(name);
        // SAFETY: generated with this signature; the module is leaked, so the code stays.
        let function = unsafe { std::mem::transmute::<*const u8, Function>(code) };
        std::mem::forget(module);
        Ok(Translated(function))
    }

    #[inline(always)]
    pub fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        // SAFETY: the function loads only inside of the slice.
        unsafe { (self.0)(bytes.as_ptr(), bytes.len() as u64, wire_len) }
    }
}

struct Machine<'a> {
    builder: FunctionBuilder<'a>,
    a: Variable,
    x: Variable,
    bytes: Value,
    length: Value,
    wire_len: Value,
    reject: Block,
}

fn translate(
    program: &[Insn],
    mut builder: FunctionBuilder<'_>,
    config: cranelift_codegen::isa::TargetFrontendConfig,
) -> Result<(), String> {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let (a, x) = (builder.declare_var(I32), builder.declare_var(I32));
    let zero = builder.ins().iconst(I32, 0);
    builder.def_var(a, zero);
    builder.def_var(x, zero);
    let blocks: Vec<Block> = program.iter().map(|_| builder.create_block()).collect();
    let reject = builder.create_block();
    builder.ins().jump(blocks[0], &[]);
    let [bytes, length, wire_len] = params[..] else { return Err("three parameters".into()) };
    let mut machine = Machine { builder, a, x, bytes, length, wire_len, reject };
    for (at, insn) in program.iter().enumerate() {
        machine.builder.switch_to_block(blocks[at]);
        machine.instruction(at, insn, &blocks)?;
    }
    let mut builder = machine.builder;
    builder.switch_to_block(reject);
    let zero = builder.ins().iconst(I32, 0);
    builder.ins().return_(&[zero]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

impl Machine<'_> {
    fn instruction(&mut self, at: usize, insn: &Insn, blocks: &[Block]) -> Result<(), String> {
        let k = i64::from(insn.k);
        match insn.code & 7 {
            LD => {
                let value = self.load(insn)?;
                self.builder.def_var(self.a, value);
            }
            LDX if insn.code & 0xe0 == MSH => {
                let place = self.builder.ins().iconst(I64, k);
                let byte = self.bytes_at(place, B);
                let words = self.builder.ins().band_imm_u(byte, 0x0f);
                let value = self.builder.ins().ishl_imm_u(words, 2);
                self.builder.def_var(self.x, value);
            }
            ALU if insn.code & 0xf8 == AND => {
                let a = self.builder.use_var(self.a);
                let value = self.builder.ins().band_imm_u(a, k);
                self.builder.def_var(self.a, value);
            }
            JMP if insn.code & 0xf0 == JA => {
                self.builder.ins().jump(blocks[at + 1 + insn.k as usize], &[]);
                return Ok(());
            }
            JMP => {
                let a = self.builder.use_var(self.a);
                let ins = self.builder.ins();
                let holds = match insn.code & 0xf0 {
                    JEQ => ins.icmp_imm_u(IntCC::Equal, a, k),
                    JGT => ins.icmp_imm_u(IntCC::UnsignedGreaterThan, a, k),
                    JGE => ins.icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, a, k),
                    _ => ins.band_imm_u(a, k),
                };
                let (yes, no) = (at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf));
                self.builder.ins().brif(holds, blocks[yes], &[], blocks[no], &[]);
                return Ok(());
            }
            RET => {
                let value = self.builder.ins().iconst(I32, k);
                self.builder.ins().return_(&[value]);
                return Ok(());
            }
            _ => return Err(format!("the bench has no use for instruction {:#x}", insn.code)),
        }
        self.builder.ins().jump(blocks[at + 1], &[]);
        Ok(())
    }

    fn load(&mut self, insn: &Insn) -> Result<Value, String> {
        let k = i64::from(insn.k);
        let place = match insn.code & 0xe0 {
            IMM => return Ok(self.builder.ins().iconst(I32, k)),
            LEN => return Ok(self.wire_len),
            ABS => self.builder.ins().iconst(I64, k),
            IND => {
                let x = self.builder.use_var(self.x);
                let x = self.builder.ins().uextend(I64, x);
                self.builder.ins().iadd_imm_u(x, k)
            }
            _ => return Err(format!("the bench has no use for load {:#x}", insn.code)),
        };
        Ok(self.bytes_at(place, insn.code & 0x18))
    }

    fn bytes_at(&mut self, place: Value, size: u16) -> Value {
        let count = match size {
            W => 4,
            H => 2,
            _ => 1,
        };
        let on = self.builder.create_block();
        let end = self.builder.ins().iadd_imm_u(place, count);
        let fits = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, self.length);
        self.builder.ins().brif(fits, on, &[], self.reject, &[]);
        self.builder.switch_to_block(on);
        let place = self.builder.ins().iadd(self.bytes, place);
        let memory = MemFlagsData::new().with_notrap();
        match size {
            W => {
                let value = self.builder.ins().load(I32, memory, place, 0);
                self.builder.ins().bswap(value)
            }
            H => {
                let value = self.builder.ins().load(I16, memory, place, 0);
                let value = self.builder.ins().bswap(value);
                self.builder.ins().uextend(I32, value)
            }
            _ => self.builder.ins().uload8(I32, memory, place, 0),
        }
    }
}
