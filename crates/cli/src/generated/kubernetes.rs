//! For Kubernetes.

use std::time::Duration;

use evercrew_config::{Address, Settings};
use evercrew_core::fleet::ServiceId;

/// What the engine needs beside the graces of its services: to start stopping, and to write the last lines.
const MARGIN: Duration = Duration::from_secs(10);

/// A Deployment, and a Service where something listens on TCP. `file` is the configuration's path in the image.
pub(crate) fn kubernetes(file: &str, settings: &Settings) -> String {
    let ports: Vec<(&str, u16)> = settings
        .listeners
        .iter()
        .filter_map(|listener| match listener.address {
            Address::Tcp(address) if address.port() != 0 => Some((listener.name.as_str(), address.port())),
            Address::Tcp(_) | Address::Unix(_) => None,
        })
        .collect();
    let probe = |kind: &str| {
        let command = [quoted("evercrew"), quoted("-c"), quoted(file), quoted("healthcheck"), quoted(kind)];
        format!("exec: {{ command: [{}] }}\n            timeoutSeconds: 2\n", command.join(", "))
    };
    let mut text = format!(
        "# Put your image in place of IMAGE; the configuration is expected in it at {file}.\n\
         apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata: {{ name: app, labels: {{ app: app }} }}\n\
         spec:\n\
        \x20 replicas: 1\n\
        \x20 selector: {{ matchLabels: {{ app: app }} }}\n\
        \x20 template:\n\
        \x20   metadata: {{ labels: {{ app: app }} }}\n\
        \x20   spec:\n\
        \x20     # The longest stop of services that stop one after another, and a margin.\n\
        \x20     terminationGracePeriodSeconds: {}\n\
        \x20     containers:\n\
        \x20       - name: app\n\
        \x20         image: IMAGE\n\
        \x20         command: [\"evercrew\", \"-c\", {}, \"up\"]\n",
        (longest_stop(settings) + MARGIN).as_secs(),
        quoted(file),
    );
    if !ports.is_empty() {
        text += "          ports:\n";
        for (name, port) in &ports {
            text += &format!("            - {{ name: {}, containerPort: {port} }}\n", quoted(name));
        }
    }
    text += &format!(
        "          startupProbe:\n            {}            periodSeconds: 2\n            failureThreshold: 60\n\
         \x20         readinessProbe:\n            {}            periodSeconds: 5\n\
         \x20         # Whether the engine answers: workers that die are replaced by it, not by a new pod.\n\
         \x20         livenessProbe:\n            {}            periodSeconds: 10\n",
        probe("--ready"),
        probe("--ready"),
        probe("--live")
    );
    if !ports.is_empty() {
        text +=
            "---\napiVersion: v1\nkind: Service\nmetadata: { name: app }\nspec:\n  selector: { app: app }\n  ports:\n";
        for (name, port) in &ports {
            text += &format!("    - {{ name: {0}, port: {port}, targetPort: {0} }}\n", quoted(name));
        }
    }
    text
}

/// Text that YAML takes for nothing else.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Services stop in the reverse order of `after`; those without an order stop together.
fn longest_stop(settings: &Settings) -> Duration {
    let own = |index: usize| -> Duration {
        let steps = settings.services.get(index).map(|service| &service.policy.stop.steps[..]).unwrap_or_default();
        steps.iter().filter_map(|step| step.lasting).sum()
    };
    // The order has no circle: each round carries it one step further.
    let mut longest: Vec<Duration> = (0..settings.services.len()).map(own).collect();
    for _ in 0..settings.services.len() {
        for index in 0..longest.len() {
            let before = settings.services[index].policy.after.iter();
            let before = before.filter_map(|ServiceId(id)| longest.get(usize::try_from(*id).ok()?).copied()).max();
            longest[index] = longest[index].max(own(index) + before.unwrap_or_default());
        }
    }
    longest.into_iter().max().unwrap_or_default()
}
