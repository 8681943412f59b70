//! The beginning of a text.

/// The longest beginning of `text` that has at most `limit` bytes and ends between two characters.
pub(crate) fn excerpt(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_between_two_characters() {
        assert_eq!(excerpt("aé", 3), "aé");
        assert_eq!(excerpt("aé", 2), "a");
        assert_eq!(excerpt("é", 1), "");
        assert_eq!(excerpt("", 9), "");
    }
}
