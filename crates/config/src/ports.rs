//! `port`: what must hold between the ports of all services and listeners.

use crate::diagnostic::{Diagnostic, Report};
use crate::service::Draft;
use crate::settings::{Address, Listener};
use crate::text::Span;

/// The ports of one service's slots.
struct Ports {
    first: u32,
    last: u32,
    at: Span,
    /// How messages call their owner.
    owner: String,
}

/// Reports slots without a port, and warns of ports that two would listen on.
pub(crate) fn check<'a>(report: &Report, drafts: &[Draft], listeners: impl Iterator<Item = (&'a Listener, Span)>) {
    let mut taken: Vec<Ports> = listeners
        .filter_map(|(listener, at)| match &listener.address {
            Address::Tcp(address) if address.port() != 0 => {
                let port = u32::from(address.port());
                Some(Ports { first: port, last: port, at, owner: format!("the listener \"{}\"", listener.name) })
            }
            Address::Tcp(_) | Address::Unix(_) => None,
        })
        .collect();
    for draft in drafts {
        let Some(ports) = of_service(report, draft) else { continue };
        if let Some(other) = taken.iter().find(|other| ports.first <= other.last && other.first <= ports.last) {
            let both = ports.first.max(other.first);
            report.add(
                Diagnostic::warning(ports.at, format!("port {both} is given to {} and {}", other.owner, ports.owner))
                    .label(range(&ports))
                    .also(other.at, range(other))
                    .help("only one of them can listen on it, unless they do so on different addresses"),
            );
        }
        taken.push(ports);
    }
}

fn of_service(report: &Report, draft: &Draft) -> Option<Ports> {
    let first = u32::from(draft.service.port?);
    let workers = draft.service.policy.workers.max(1);
    let last = first.saturating_add(workers - 1);
    if last > u32::from(u16::MAX) {
        let slot = u32::from(u16::MAX) - first + 2;
        report.add(
            Diagnostic::error(
                draft.places.port,
                format!("[service.{}] has more workers than ports", draft.service.name),
            )
            .label(format!("slot {slot} of {workers} would have port {}", u32::from(u16::MAX) + 1))
            .help("ports end at 65535: begin with a lower one"),
        );
        return None;
    }
    Some(Ports { first, last, at: draft.places.port, owner: format!("[service.{}]", draft.service.name) })
}

fn range(ports: &Ports) -> String {
    if ports.first == ports.last {
        format!("port {}", ports.first)
    } else {
        format!("ports {} to {}, one for each slot", ports.first, ports.last)
    }
}
