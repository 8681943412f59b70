//! `evercrew-load`: the load client on the command line.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use evercrew_load::{Load, LoadError, Report, Target};

/// Sends HTTP/1.1 requests to a server on this machine and classifies every failure. Ends with 0 when every request
/// had its right answer, 1 when not, 2 when it could not start.
#[derive(Debug, Parser)]
#[command(name = "evercrew-load", version)]
struct Arguments {
    /// 127.0.0.1:8080, [::1]:8080 or unix:path
    address: Target,
    /// Open loop: requests a second over all connections; without it the next follows the answer
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Connections that are kept between requests
    #[arg(long, value_name = "N", default_value_t = 16)]
    keep_alive: usize,
    /// Lanes that open a connection for each request
    #[arg(long, value_name = "N", default_value_t = 0)]
    fresh: usize,
    /// End after so many requests
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// End after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Longest wait for an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// Longest wait for a connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    connect_timeout: Duration,
    /// Answers after this are counted as late
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    late: Duration,
    /// Path and query
    #[arg(long, default_value = "/")]
    path: String,
    /// Header Host
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Status of a right answer
    #[arg(long, value_name = "STATUS", default_value_t = 200)]
    expect_status: u16,
    /// Body of a right answer, to the byte
    #[arg(long, value_name = "TEXT", conflicts_with = "expect_prefix")]
    expect_body: Option<String>,
    /// What the body of a right answer starts with
    #[arg(long, value_name = "TEXT")]
    expect_prefix: Option<String>,
    /// Count answers by the pid that their body names
    #[arg(long)]
    pids: bool,
    /// Allow addresses that are not loopback
    #[arg(long)]
    any_address: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match run(arguments) {
        Ok(report) => {
            let text = if json { report.to_json().to_string() } else { report.to_string() };
            // Whoever reads may have gone: the exit code tells the result as well.
            let _ = writeln!(std::io::stdout(), "{text}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("evercrew-load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<Report, LoadError> {
    let mut load = Load::builder(arguments.address)
        .keep_alive(arguments.keep_alive)
        .fresh(arguments.fresh)
        .duration(arguments.duration)
        .timeout(arguments.timeout)
        .connect_timeout(arguments.connect_timeout)
        .late(arguments.late)
        .path(arguments.path)
        .host(arguments.host)
        .expect_status(arguments.expect_status);
    if let Some(rate) = arguments.rate {
        load = load.rate(rate);
    }
    if let Some(requests) = arguments.requests {
        load = load.requests(requests);
    }
    if let Some(body) = arguments.expect_body {
        load = load.expect_body(body);
    }
    if let Some(prefix) = arguments.expect_prefix {
        load = load.expect_prefix(prefix);
    }
    if arguments.pids {
        load = load.pids();
    }
    if arguments.any_address {
        load = load.any_address();
    }
    Ok(load.start_thread()?.finish())
}

/// `500ms`, `30s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a time as 500ms, 30s, 5m or 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a number: 30s".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "the time is too long".to_owned())
}
