//! One service under each type of worker; the tests of this crate compare them.

#[path = "../tests/programs/app.rs"]
mod app;

use evercrew::{Server, command};

fn main() -> evercrew::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--alone") {
        std::process::exit(i32::from(app::service("foreign").serve()));
    }
    let own = std::env::current_exe().expect("our own path");
    let alone = [own.to_string_lossy().into_owned(), "--alone".to_owned()];
    let foreign = command("foreign", alone)
        .on(["foreign"])
        .set("ready", "\"notify\"")
        .set("heartbeat", "{ interval = \"500ms\", timeout = \"2s\" }");
    Server::builder()
        .listen("process", "127.0.0.1:0")
        .listen("threads", "127.0.0.1:0")
        .listen("foreign", "127.0.0.1:0")
        .service(app::service("process"))
        .service(app::service("threads").threads(3))
        .service(foreign)
        .main()
}
