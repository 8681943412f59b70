//! A JSON API with its state in SQLite: `POST /notes` keeps a note, `GET /notes` gives them all, in four processes that
//! share one file. `NOTES_DB` says where it is.
//!
//! ```sh
//! cargo run -p evercrew --example notes -- up
//! curl -d '{"text":"hello"}' -H 'content-type: application/json' http://127.0.0.1:8080/notes
//! cargo run -p evercrew --example notes -- restart web       # every process is replaced
//! cargo run -p evercrew --example notes -- call web count    # each of them is asked
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use evercrew::{HttpOptions, Server, http_with};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, Serialize)]
struct Note {
    text: String,
}

type Notes = Arc<Mutex<Connection>>;
type Failure = (StatusCode, String);

fn main() -> evercrew::Result<()> {
    evercrew::init();
    let web = http_with("web", HttpOptions::default(), |_| app().expect("the notes can be opened"))
        .workers(4)
        .initialize(|context| {
            let notes = open()?;
            context.on("count", move |_| count(&notes).map(|count| json!(count)).map_err(|error| error.to_string()));
            Ok(())
        });
    Server::builder().listen("web", "127.0.0.1:8080").service(web).main()
}

fn open() -> rusqlite::Result<Connection> {
    let notes = Connection::open(std::env::var("NOTES_DB").unwrap_or_else(|_| "notes.db".to_owned()))?;
    // Several processes write to one file, each in its turn.
    notes.busy_timeout(Duration::from_secs(5))?;
    notes.pragma_update(None, "journal_mode", "wal")?;
    notes.execute("create table if not exists note (id integer primary key, text text not null)", [])?;
    Ok(notes)
}

fn count(notes: &Connection) -> rusqlite::Result<i64> {
    notes.query_row("select count(*) from note", [], |row| row.get(0))
}

fn app() -> rusqlite::Result<Router> {
    let notes: Notes = Arc::new(Mutex::new(open()?));
    Ok(Router::new().route("/notes", get(all).post(keep)).with_state(notes))
}

async fn all(State(notes): State<Notes>) -> Result<Json<Vec<Note>>, Failure> {
    let notes = notes.lock().map_err(failed)?;
    let mut statement = notes.prepare_cached("select text from note order by id").map_err(failed)?;
    let rows = statement.query_map([], |row| Ok(Note { text: row.get(0)? })).map_err(failed)?;
    rows.collect::<Result<_, _>>().map(Json).map_err(failed)
}

async fn keep(State(notes): State<Notes>, Json(note): Json<Note>) -> Result<StatusCode, Failure> {
    notes.lock().map_err(failed)?.execute("insert into note (text) values (?1)", [note.text]).map_err(failed)?;
    Ok(StatusCode::CREATED)
}

fn failed(error: impl ToString) -> Failure {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
