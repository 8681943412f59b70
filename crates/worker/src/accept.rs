//! Accepting: a permit from the runtime for each connection, so that one which is blocked or full takes none from its
//! siblings.

mod queue;
mod source;
mod thread;

use evercrew_core::Level;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use evercrew_sys::listener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use self::source::Source;
use crate::drain::{Stage, begun};
use crate::http::Spare;
use crate::notices;

/// Pauses while descriptors or memory are short: the connection waits in the queue, or a sibling takes it.
const SHORTAGE_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// How long a new connection is waited for to say its first word before the next one is taken: a handler that will
/// hold this runtime is not known before.
const FIRST_WORD: Duration = Duration::from_millis(1);
/// After a connection that said nothing so many others are not waited for: who opens many silent ones delays nobody.
const UNWAITED: u32 = 64;

/// After this pause the shortage is no passing one: a connection is told so, with the descriptor in reserve.
const LASTING_SHORTAGE: Duration = Duration::from_millis(500);

/// A retired listener whose queue had nothing for this long is empty.
const QUIET: Duration = Duration::from_millis(100);
/// The longest time that emptying one may take.
const LONGEST_EMPTYING: Duration = Duration::from_secs(5);

/// Accepts from one listener until the drain begins, and hands each connection to `serve` with its place among
/// `places`, and whom to tell of its first word. One that found the process without descriptors for a while goes to `turn_away` instead.
///
/// # Errors
/// When the thread cannot be started, or the listener fails for another reason than a shortage.
pub(crate) async fn accept_until_drain<F: Future<Output = ()>>(
    listener: OwnedFd,
    places: Arc<Semaphore>,
    mut stages: watch::Receiver<Stage>,
    started: impl FnOnce(),
    mut serve: impl FnMut(OwnedFd, OwnedSemaphorePermit, Arc<Notify>),
    turn_away: impl Fn(OwnedFd) -> F,
) -> io::Result<()> {
    let watched = listener.try_clone()?;
    let mut source = Source::start(listener)?;
    started();
    let (mut pause, longest) = SHORTAGE_PAUSES;
    let mut place = None;
    let (word, mut unwaited) = (Arc::new(Notify::new()), 0_u32);
    let mut spare = Spare::new();
    let result = loop {
        if place.is_none() {
            place = tokio::select! {
                biased;
                () = begun(&mut stages) => break Ok(()),
                place = Arc::clone(&places).acquire_owned() => place.ok(),
            };
        }
        if let Err(error) = source.allow() {
            break Err(error);
        }
        let accepted = tokio::select! {
            biased;
            accepted = source.accepted() => accepted,
            () = begun(&mut stages) => break Ok(()),
        };
        match accepted {
            // It has the descriptor that was in reserve, and there is no other.
            Some(Ok(connection)) if !spare.regain() => {
                turn_away(connection).await;
                spare.regain();
            }
            Some(Ok(connection)) => {
                if let Some(place) = place.take() {
                    serve(connection, place, Arc::clone(&word));
                }
                pause = SHORTAGE_PAUSES.0;
                // The new connection goes first: when its handler blocks the runtime, the next permit waits as well.
                tokio::task::yield_now().await;
                unwaited = match unwaited.checked_sub(1) {
                    Some(left) => left,
                    None => timeout(FIRST_WORD, word.notified()).await.map_or(UNWAITED, |()| 0),
                };
            }
            Some(Err(error)) if is_shortage(&error) => {
                if pause == SHORTAGE_PAUSES.0 {
                    notices::line(Level::Warn, format_args!("accepting pauses: {error}"));
                }
                tokio::select! {
                    () = begun(&mut stages) => break Ok(()),
                    () = sleep(pause) => {}
                }
                if pause >= LASTING_SHORTAGE {
                    spare.give();
                }
                pause = (pause * 2).min(longest);
            }
            Some(Err(error)) => break Err(error),
            None => break Err(io::Error::other("the accept thread ended")),
        }
    };
    if result.is_ok() && listener::is_retired(&watched) {
        let emptied = empty_queue(&mut source, &places, &mut place, &mut serve);
        let _ = timeout(LONGEST_EMPTYING, emptied).await;
    }
    if let (Some(connection), Some(place)) = (source.end().await, place) {
        serve(connection, place, word);
    }
    result
}

/// Accepts what is left in the queue of a listener that nobody else will accept from. Ends when nothing came for a
/// moment: a connection that was being opened as the listener was retired may still arrive.
async fn empty_queue(
    source: &mut Source,
    places: &Arc<Semaphore>,
    place: &mut Option<OwnedSemaphorePermit>,
    serve: &mut impl FnMut(OwnedFd, OwnedSemaphorePermit, Arc<Notify>),
) {
    loop {
        if place.is_none() {
            *place = Arc::clone(places).acquire_owned().await.ok();
        }
        if source.allow().is_err() {
            return;
        }
        match timeout(QUIET, source.accepted()).await {
            Ok(Some(Ok(connection))) => {
                if let Some(place) = place.take() {
                    serve(connection, place, Arc::new(Notify::new()));
                }
            }
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}

/// The process or the machine has too little of something: it will have more once connections end.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno))
}

#[cfg(test)]
mod tests;
