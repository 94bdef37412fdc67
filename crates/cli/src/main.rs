//! `tickwire`.
#![forbid(unsafe_code)]
mod doctor;

#[derive(clap::Parser)]
enum Cli {
    Doctor(doctor::DoctorArgs),
}

fn main() -> std::process::ExitCode {
    let Cli::Doctor(args) = clap::Parser::parse();
    doctor::run(&args)
}
