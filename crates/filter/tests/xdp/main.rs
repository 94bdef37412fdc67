//! Filters in the kernel, by BPF_PROG_TEST_RUN, against the interpreter.

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod expressions;
mod flows;
mod lists;
mod market;
mod programs;
mod random_programs;
mod support;
