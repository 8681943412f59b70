//! Where a queue server is, as clients are told: `tcp://:password@host:port`.

use std::fmt;

/// The port that nobody has to write.
const PORT: u16 = 7419;

/// A queue server as a URL names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What to prove to know.
    pub password: Option<String>,
}

impl Address {
    /// Reads `tcp://[user:password@]host[:port]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("tcp", rest)) => rest,
            Some((scheme, _)) => return Err(format!("the scheme `{scheme}` is not spoken here, `tcp` is")),
            None => return Err("a queue server is written like tcp://localhost:7419".to_owned()),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let password = user.split_once(':').map(|(_, password)| unescaped(password)).filter(|text| !text.is_empty());
        let (host, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("a bracket is missing after the IPv6 address")?;
                (host, port.strip_prefix(':'))
            }
            None => host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => PORT,
            Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
        };
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self { host: host.to_owned(), port, password })
    }

    /// Where the environment of this process says it is, else on this machine.
    ///
    /// # Errors
    /// What is wrong with the URL, and in which variable.
    pub fn from_environment() -> Result<Self, String> {
        let found = Self::of_environment(|name| std::env::var(name).ok())?;
        Ok(found.unwrap_or_else(|| Self { host: "localhost".to_owned(), port: PORT, password: None }))
    }

    /// The address of what is nowhere.
    pub(crate) fn nowhere() -> Self {
        Self { host: "nowhere".to_owned(), port: 0, password: None }
    }

    /// Where the environment says it is: FAKTORY_PROVIDER names the variable that holds the URL, else FAKTORY_URL does.
    /// `None` when neither is set.
    ///
    /// # Errors
    /// What is wrong with the URL, and in which variable.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let name = set("FAKTORY_PROVIDER").unwrap_or_else(|| "FAKTORY_URL".to_owned());
        if name.contains("://") {
            return Err("FAKTORY_PROVIDER names the variable that holds the URL, and is no URL itself".to_owned());
        }
        set(&name).map(|url| Self::parse(&url).map_err(|why| format!("{name}: {why}"))).transpose()
    }
}

/// A password whose bytes are written as `%41`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        if host.contains(':') {
            write!(f, "tcp://[{host}]:{}", self.port)
        } else {
            write!(f, "tcp://{host}:{}", self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, shown, password) in [
            ("tcp://localhost:7419", "tcp://localhost:7419", None),
            ("tcp://", "tcp://localhost:7419", None),
            ("tcp://:s%40f%zz@10.0.0.1:1", "tcp://10.0.0.1:1", Some("s@f%zz")),
            ("tcp://user:p@w@[::1]", "tcp://[::1]:7419", Some("p@w")),
            ("tcp://host:/path?query", "tcp://host:7419", None),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.to_string().as_str(), address.password.as_deref()), (shown, password), "{url}");
            assert!(!format!("{address:?}").contains('@'), "no log shows a password");
        }
        for url in ["", "localhost:7419", "http://x", "tcp+tls://x", "tcp://x:70000", "tcp://[::1"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_environment_names_it_directly_or_by_another_variable() {
        let of = |variables: &[(&str, &str)]| {
            let find =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Address::of_environment(find).map(|address| address.map(|address| address.host))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("FAKTORY_URL", "tcp://a")]), Ok(Some("a".to_owned())));
        assert_eq!(
            of(&[("FAKTORY_URL", "tcp://a"), ("FAKTORY_PROVIDER", "B"), ("B", "tcp://b")]),
            Ok(Some("b".to_owned()))
        );
        assert_eq!(of(&[("FAKTORY_PROVIDER", "B")]), Ok(None));
        assert!(of(&[("FAKTORY_PROVIDER", "tcp://b")]).is_err());
        assert!(of(&[("FAKTORY_URL", "x")]).expect_err("no URL").starts_with("FAKTORY_URL: "));
    }
}
