//! Levels as texts tell them: a variable, a record, a line.

use evercrew_core::Level;

/// The level of this name, in small or capital letters.
pub(crate) fn named(name: &str) -> Option<Level> {
    Level::named(&name.to_ascii_lowercase())
}

/// The level of a line that begins with its name; one without is always written.
pub(crate) fn of_line(line: &str) -> Level {
    line.split(' ').next().and_then(named).unwrap_or(Level::Fatal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_level() {
        assert_eq!(of_line("WARN  manager 7 ended"), Level::Warn);
        assert_eq!(of_line("ERROR x"), Level::Error);
        assert_eq!(of_line("no level"), Level::Fatal);
        assert_eq!((named("Info"), named("loud")), (Some(Level::Info), None));
    }
}
