//! Panics of handlers, with where they were.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use super::failure::Failure;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static WHERE: RefCell<Option<(Backtrace, String)>> = const { RefCell::new(None) };
}

static WATCHED: Once = Once::new();

/// Has panics inside of handlers remember where they were. What the program does with panics stays.
pub(crate) fn watch() {
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.try_with(Cell::get).unwrap_or(false) {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let _ = WHERE.try_with(|kept| kept.replace(Some((Backtrace::force_capture(), place))));
            }
            before(info);
        }));
    });
}

/// Runs `work`; a panic is a failure.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    let outside = INSIDE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outside);
    result.map_err(|payload| failure(&*payload))
}

fn failure(payload: &(dyn Any + Send)) -> Failure {
    let words = payload.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| payload.downcast_ref::<String>().cloned());
    let words = words.unwrap_or_else(|| "a panic without words".to_owned());
    let (backtrace, message) = match WHERE.take() {
        Some((backtrace, place)) => (Some(backtrace), format!("{words}, at {place}")),
        None => (None, words),
    };
    Failure { kind: "Panic".to_owned(), message, backtrace, is_given_back: false }
}

/// A future whose panic is a failure.
pub(crate) struct Caught<'a, T>(pub(crate) Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>);

impl<T> Future for Caught<'_, T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| self.0.as_mut().poll(context)) {
            Ok(poll) => poll,
            Err(failure) => Poll::Ready(Err(failure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep() {
        panic!("number {}", 7);
    }

    #[test]
    fn a_panic_is_told_with_its_place() {
        watch();
        let failure = catch(deep).expect_err("it panics");
        assert_eq!(failure.kind(), "Panic");
        assert!(failure.message().starts_with("number 7, at ") && failure.message().contains("panics.rs:"));
        let lines = failure.lines(50);
        assert!(lines.iter().any(|line| line.contains("deep")), "{lines:?}");
        assert_eq!(catch(|| 5).expect("no panic"), 5);
    }
}
