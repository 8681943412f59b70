//! Engines that are started with less than they need: told at once, never tried for ever.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use evercrew_e2e::{Engine, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEP: &str = "[service.s]\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn every_limit_of_open_files_works_or_is_refused_in_words() {
    let engine = Engine::new(EVERCREW, SLEEP);
    for files in (3..=64).step_by(10 / volume(10)) {
        let limit = format!("ulimit -n {files}; exec \"$@\"");
        let began = Instant::now();
        let output = engine.run_under(&["sh", "-c", &limit, "sh"], &["up"]);
        assert!(began.elapsed() < SOON, "{files}: {:?}", began.elapsed());
        // With the very lowest the loader of programs itself gives up.
        let is_loader = output.code == 127 && output.stderr.contains("shared libraries");
        assert!(output.code == 78 || is_loader, "{files}: {} {}", output.code, output.stderr);
        let tells = output.stderr.contains("open files") && output.stderr.contains(&files.to_string());
        assert!(tells || is_loader, "{files}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{files}: {}", output.stderr);
    }
}

#[test]
fn an_engine_that_may_start_no_process_says_so_and_ends() {
    let engine = Engine::new(EVERCREW, SLEEP);
    let mut wrapper = vec!["prlimit", "--nproc=1:1"];
    if evercrew_sys::user::current().0 == 0 {
        // Root has no such limit.
        std::fs::set_permissions(engine.home(), PermissionsExt::from_mode(0o777)).expect("open the directory");
        wrapper.splice(0..0, ["setpriv", "--reuid=54321", "--clear-groups"]);
    }
    let began = Instant::now();
    let output = engine.run_under(&wrapper, &["up"]);
    if output.code == 127 {
        return println!("SKIP no prlimit: {}", output.stderr);
    }
    assert_eq!(output.code, 69, "{}", output.stderr);
    assert!(
        output.stderr.contains("cannot start the manager") && output.stderr.contains("ulimit -u"),
        "{}",
        output.stderr
    );
    assert!(began.elapsed() < SOON);
}
