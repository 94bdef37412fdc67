//! Links the binary so that each address in it is its place in the file: perf(1) looks for static
//! tracepoints there (`tickwire_capture::probes`), and finds others otherwise.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A linker that does not know it places segments so anyway, and says that it ignores it.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,separate-loadable-segments");
}
