//! The examples as real programs, and one service under each type of worker.

mod app;
mod conformance;
mod examples;
mod hooks;
mod http;

use std::path::PathBuf;

/// An example of this crate, as the tests were built with it.
fn example(name: &str) -> String {
    let test = std::env::current_exe().expect("our own path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("tests are in target/*/deps");
    let path: PathBuf = target.join("examples").join(name);
    path.to_string_lossy().into_owned()
}
