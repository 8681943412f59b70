//! Services of several kinds in one program: HTTP, a function that runs, and a foreign program; and who watches them.
//!
//! ```sh
//! cargo run -p evercrew --example mixed -- up
//! ```

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use evercrew::{Server, command, custom, http};

fn main() -> evercrew::Result<()> {
    evercrew::init();
    Server::builder()
        .listen("web", "127.0.0.1:8082")
        .service(http("web", || Router::new().route("/", get(|| async { "hello\n" }))).workers(2))
        .service(custom("sweeper", |context| {
            while !context.wait_for_set(Duration::from_secs(1)) {
                println!("swept");
            }
            println!("the last time");
            Ok(())
        }))
        .service(command("ticker", ["sh", "-c", "while sleep 1; do echo tick; done"]).after(["web"]))
        .on_event(|event| println!("{} {}", event.kind(), event.worker().or(event.service()).unwrap_or_default()))
        .main()
}
