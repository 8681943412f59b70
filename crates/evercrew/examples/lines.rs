//! A server of lines over TCP by the plain accept loop: each line comes back in capitals. When its process is replaced a
//! connection is finished after the line that it is at.
//!
//! ```sh
//! cargo run -p evercrew --example lines -- up
//! nc 127.0.0.1 8081
//! ```

use evercrew::{Connection, Context, Server, connections};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

fn main() -> evercrew::Result<()> {
    Server::builder().listen("lines", "127.0.0.1:8081").service(connections("lines", answer).workers(2)).main()
}

async fn answer(connection: Connection, _: Context) {
    let mut draining = Box::pin(connection.draining());
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    loop {
        line.clear();
        let read = tokio::select! {
            biased;
            read = connection.read_line(&mut line) => read,
            // Nothing of a line has come that was not answered, or the client is slower than a stop may wait.
            () = &mut draining => return,
        };
        let answer = line.to_uppercase();
        if !matches!(read, Ok(1..)) || connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
