//! The built-in worker as a program of its own; the tests of this crate run it.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(evercrew_worker::hello())
}
