//! A configuration to begin with.

/// The smallest that does something.
pub(crate) const SMALLEST: &str = "\
[service.web]
command = [\"python3\", \"-m\", \"http.server\", \"8080\"]   # program and arguments; there is no shell
workers = 1
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_smallest_is_a_configuration() {
        let path = "/srv/evercrew.toml".into();
        let source = evercrew_config::Source::new(path, super::SMALLEST.into(), Vec::new(), std::iter::empty(), None);
        let settings = source.parse().expect("a configuration");
        assert!(settings.warnings.is_empty() && settings.services.len() == 1);
    }
}
