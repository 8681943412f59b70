//! `[listen.NAME]`: addresses, and what must hold between them.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::context::Context;
use crate::convert::{self, Wrong, quoted};
use crate::diagnostic::{Diagnostic, Report};
use crate::raw::Value;
use crate::reader::Reader;
use crate::settings::{Address, ListenMode, Listener, Program, Service};
use crate::text::Span;

/// Longest path that the kernel takes for a unix socket, in bytes.
pub(crate) const LONGEST_SOCKET_PATH: usize = 107;

/// Reads one listener; nothing when it has no usable address.
pub(crate) fn listener(reader: &Reader<'_>, name: &str, context: &Context<'_>) -> Option<Listener> {
    let backlog = reader.integer("backlog");
    let mode = reader.choice("mode").unwrap_or(ListenMode::Shared);
    let nonblocking = reader.boolean("nonblocking");
    let Some(value) = reader.given("address") else {
        reader.missing("address", "write `address = \"127.0.0.1:8080\"` or `address = \"unix:run/web.sock\"`");
        return None;
    };
    match address(reader.report(), value, context) {
        Ok(address) => Some(Listener { name: name.to_owned(), address, backlog, mode, nonblocking }),
        Err(wrong) => {
            reader.wrong("address", wrong);
            None
        }
    }
}

/// An address under a key that may be missing.
pub(crate) fn optional_address(reader: &Reader<'_>, key: &'static str, context: &Context<'_>) -> Option<Address> {
    address(reader.report(), reader.given(key)?, context).map_err(|wrong| reader.wrong(key, wrong)).ok()
}

pub(crate) fn address(report: &Report, value: &Value, context: &Context<'_>) -> Result<Address, Wrong> {
    let text = convert::text(report, value)?;
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            return Err(Wrong::because(value, "found no path after `unix:`"));
        }
        if path.starts_with('@') {
            return Err(Wrong::because(value, "abstract sockets have no permissions and are not supported"));
        }
        let path = context.resolve(value.at, path);
        return match too_long(&path) {
            None => Ok(Address::Unix(path)),
            Some(why) => Err(Wrong::because(value, why)),
        };
    }
    text.parse().map(Address::Tcp).map_err(|_| explain(report, value, &text))
}

/// Why a path cannot be a unix socket's.
pub(crate) fn too_long(path: &Path) -> Option<String> {
    let bytes = path.as_os_str().as_bytes().len();
    (bytes > LONGEST_SOCKET_PATH).then(|| {
        format!("{} has {bytes} bytes; the path of a unix socket has at most {LONGEST_SOCKET_PATH}", path.display())
    })
}

/// Guesses which address was meant.
fn explain(report: &Report, value: &Value, text: &str) -> Wrong {
    let wrong = Wrong::found(report, value);
    if let Some((_, address)) = text.split_once("://") {
        let meant: Result<SocketAddr, _> = address.trim_end_matches('/').parse();
        let wrong = Wrong::because(value, "an address has no scheme");
        return meant.map_or(wrong.clone(), |meant| wrong.write(format!("\"{meant}\"")));
    }
    if text.contains('/') {
        return wrong.write(quoted(&format!("unix:{text}")));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if port.parse::<u16>().is_err() {
        let with_port: Result<SocketAddr, _> = format!("{text}:8080").parse();
        return if with_port.is_ok() {
            Wrong::because(value, "found an address without a port")
        } else if port.parse::<u64>().is_ok() {
            Wrong::because(value, format!("`{}` is no port: ports end at 65535", crate::diagnostic::shorten(port)))
        } else {
            wrong
        };
    }
    match host {
        "" | "*" => wrong.write(format!("\"0.0.0.0:{port}\"")),
        "localhost" => wrong.write(format!("\"127.0.0.1:{port}\"")),
        host if host.parse::<std::net::Ipv6Addr>().is_ok() => wrong.write(format!("\"[{host}]:{port}\"")),
        _ => Wrong::because(value, "host names are not resolved here, as they may name several addresses"),
    }
}

/// Reports listeners that cannot have several queues. `users` are the programs of the services that name it.
pub(crate) fn refuse_reuseport<'a>(
    report: &Report,
    listener: &Listener,
    mode_at: Span,
    users: impl Iterator<Item = (&'a Service, Span)>,
) {
    if listener.mode != ListenMode::ReusePort {
        return;
    }
    let error = |label: &str| {
        Diagnostic::error(mode_at, format!("the listener \"{}\" cannot be `reuseport`", listener.name)).label(label)
    };
    if matches!(listener.address, Address::Unix(_)) {
        report.add(
            error("only TCP has it").help("a unix socket has one queue: leave `mode` out, all workers share it fairly"),
        );
    }
    if matches!(listener.address, Address::Tcp(address) if address.port() == 0) {
        report.add(
            error("each of its sockets would get a port of its own")
                .help("write the port that is meant into `address`"),
        );
    }
    for (service, at) in users.filter(|(service, _)| matches!(service.program, Program::Command(_))) {
        report.add(
            error("only builtin workers take from several queues")
                .also(at, format!("[service.{}] runs a command", service.name))
                .help(
                    "a command gets one descriptor for each listener, and what waits in the other queues would wait for \
                     ever: leave `mode` out",
                ),
        );
    }
}

/// Reports listeners that would ask the kernel for the same address.
pub(crate) fn refuse_conflicts(report: &Report, listeners: &[(Listener, Span)]) {
    for (index, (later, at)) in listeners.iter().enumerate() {
        let clash = listeners[..index].iter().find(|(earlier, _)| conflict(&earlier.address, &later.address));
        if let Some((earlier, first)) = clash {
            report.add(
                Diagnostic::error(
                    *at,
                    format!("listeners \"{}\" and \"{}\" ask for the same address", earlier.name, later.name),
                )
                .label("taken already")
                .also(*first, "first asked for here")
                .help("one listener can serve any number of services: name it in each one's `listen`"),
            );
        }
    }
}

fn conflict(left: &Address, right: &Address) -> bool {
    match (left, right) {
        (Address::Unix(left), Address::Unix(right)) => left == right,
        (Address::Tcp(left), Address::Tcp(right)) => {
            let everywhere = left.ip().is_unspecified() || right.ip().is_unspecified();
            left.port() == right.port()
                && left.port() != 0
                && (left.ip() == right.ip() || everywhere && left.is_ipv4() == right.is_ipv4())
        }
        (Address::Unix(_), Address::Tcp(_)) | (Address::Tcp(_), Address::Unix(_)) => false,
    }
}
