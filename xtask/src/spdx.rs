//! Licence expressions: `MIT OR Apache-2.0`, `(MIT OR Apache-2.0) AND Unicode-3.0`, `Apache-2.0 WITH LLVM-exception`.

use anyhow::{Result, bail};

/// Whether an expression can be met with licences that `is_allowed` accepts.
///
/// # Errors
/// When the text is no expression.
pub(crate) fn is_met(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    // Before expressions were defined, `/` stood for a choice.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = either(&mut rest, is_allowed, 0)?;
    if !rest.is_empty() {
        bail!("`{expression}` is no licence expression");
    }
    Ok(met)
}

fn either(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool, depth: u32) -> Result<bool> {
    let mut met = both(rest, is_allowed, depth)?;
    while take(rest, "OR") {
        met |= both(rest, is_allowed, depth)?;
    }
    Ok(met)
}

fn both(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool, depth: u32) -> Result<bool> {
    let mut met = one(rest, is_allowed, depth)?;
    while take(rest, "AND") {
        met &= one(rest, is_allowed, depth)?;
    }
    Ok(met)
}

fn one(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool, depth: u32) -> Result<bool> {
    if depth > 16 {
        bail!("a licence expression is nested too deep");
    }
    if take(rest, "(") {
        let met = either(rest, is_allowed, depth + 1)?;
        if !take(rest, ")") {
            bail!("a licence expression has no `)`");
        }
        return Ok(met);
    }
    let Some((name, after)) = rest.split_first() else { bail!("a licence expression ends too soon") };
    if ["AND", "OR", "WITH", ")"].contains(name) {
        bail!("a licence expression has `{name}` where a licence is expected");
    }
    *rest = after;
    if take(rest, "WITH") {
        let Some((exception, after)) = rest.split_first() else { bail!("a licence expression ends after WITH") };
        *rest = after;
        return Ok(is_allowed(&format!("{name} WITH {exception}")));
    }
    Ok(is_allowed(name))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    match rest.split_first() {
        Some((first, after)) if *first == word => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        is_met(expression, &|name| ["MIT", "Apache-2.0", "A WITH B"].contains(&name)).expect("an expression")
    }

    #[test]
    fn choices_and_conjunctions_are_weighed() {
        assert!(met("MIT"));
        assert!(met("GPL-3.0 OR MIT"));
        assert!(met("GPL-3.0/MIT"));
        assert!(met("(GPL-3.0 OR MIT) AND Apache-2.0"));
        assert!(met("A WITH B"));
        assert!(!met("A"));
        assert!(!met("GPL-3.0"));
        assert!(!met("MIT AND GPL-3.0"));
        assert!(met("GPL-3.0 AND X OR MIT"));
        assert!(!met("MIT AND (GPL-3.0 OR X)"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "AND MIT", "MIT MIT", "MIT WITH", &"(".repeat(100)] {
            assert!(is_met(text, &|_| true).is_err(), "{text}");
        }
    }
}
