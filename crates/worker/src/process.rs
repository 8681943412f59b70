//! The life of a worker process: environment, sockets, ready, serving, drain, exit.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;

use evercrew_core::Signal;
use evercrew_sys::accept::interrupt_handler_install;
use evercrew_sys::signal::SignalFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::accept::accept_until_drain;
use crate::app::App;
use crate::conventions::Conventions;
use crate::drain::{Drain, Limits};
use crate::error::WorkerError;
use crate::http::{Family, Host, HttpOptions, Stream, serve, turn_away};
use crate::notices;

/// Serves `app` on the inherited listeners until a signal ends it.
///
/// # Errors
/// When the environment names no listener, or the process cannot be set up, or a listener fails.
pub(crate) fn run<A: App>(
    options: HttpOptions,
    app: impl FnOnce(&Conventions, &Drain) -> A,
) -> Result<(), WorkerError> {
    let conventions = Conventions::from_environment()?;
    let options = options.with(conventions.http.clone()).map_err(|error| WorkerError::Http(error.to_string()))?;
    // Before there is any thread: each inherits this mask, and only accept threads unblock their one signal.
    let signals = SignalFd::block_all().map_err(|error| WorkerError::Start("reading signals by descriptor", error))?;
    interrupt_handler_install().map_err(|error| WorkerError::Start("installing the interrupt of accept", error))?;
    let mut listeners = Vec::new();
    for (number, listener) in conventions.take_listeners()? {
        let family = Family::of(&listener).map_err(|error| WorkerError::NotAListener(number, error))?;
        listeners.push(Listener { number, fd: listener, family });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| WorkerError::Start("starting the runtime", error))?;
    let drain = Drain::new();
    let app = app(&conventions, &drain);
    let host = Host::new(options, &conventions.name, drain, conventions.most_requests)
        .map_err(|error| WorkerError::Start("starting the access log", error))?;
    let result =
        runtime.block_on(async { live(&conventions, listeners, app, &host, Signals::watched(signals)?).await });
    if let Some(log) = &host.log {
        log.finish();
    }
    result
}

/// The semaphore that counts them takes no more.
const MOST_CONNECTIONS: u32 = 1 << 24;

/// The exit code of a worker, and what it says when something is wrong.
pub(crate) fn end(outcome: Result<(), WorkerError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notices::line(format_args!("{error}"));
            error.exit_code()
        }
    }
}

/// Serves `app` in this process until a signal ends it, and returns its exit code: 0 after TERM, INT or QUIT, 78 when it
/// was started wrongly, 1 when something failed. EVERCREW_HTTP takes the place of `options`, key by key.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn serve_app<A: App>(options: HttpOptions, app: A) -> ExitCode {
    end(run(options, |_, _| app))
}

struct Listener {
    number: i32,
    fd: OwnedFd,
    family: Family,
}

/// From the first permit to the last connection.
async fn live<A: App>(
    conventions: &Conventions,
    listeners: Vec<Listener>,
    app: A,
    host: &Arc<Host>,
    signals: AsyncFd<Signals>,
) -> Result<(), WorkerError> {
    let connections = host.options.connections.clamp(1, MOST_CONNECTIONS);
    let places = Arc::new(Semaphore::new(connections as usize));
    let mut accepting = JoinSet::new();
    let (started, mut all_started) = mpsc::channel::<()>(1);
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&places), app.clone(), Arc::clone(host), started.clone()));
    }
    drop(started);
    let mut watching = JoinSet::new();
    let (crowd, mut stages) = (Arc::clone(host), host.drain.watch());
    watching.spawn(async move { crowd.crowd.watch().await });
    let crowd = Arc::clone(host);
    watching.spawn(async move {
        while stages.changed().await.is_ok() {
            crowd.crowd.wake_all();
        }
    });
    let heartbeat = conventions.heartbeat;
    let mut speaking = JoinSet::new();
    speaking.spawn(async move {
        // Ends when every sender is dropped: each accept thread runs, or has failed and ends the process.
        let _ = all_started.recv().await;
        notices::ready().await;
        if let Some(period) = heartbeat {
            notices::beat(period).await;
        }
    });
    tokio::select! {
        biased;
        request = next_stop(&signals) => match request? {
            Stop::Immediate => {
                notices::stopping();
                return Ok(());
            }
            Stop::Graceful => {}
        },
        failure = first_failure(&mut accepting) => return Err(failure),
    }
    let rest = async {
        while accepting.join_next().await.is_some() {}
        // Whoever hears it may rely on that no connection is taken from the queue any more.
        notices::stopping();
        // Every place is free once every connection is closed.
        let _ = places.acquire_many(connections).await;
    };
    tokio::select! {
        biased;
        () = rest => Ok(()),
        () = host.drain.run(Limits::default()) => {
            let left = connections as usize - places.available_permits();
            notices::line(format_args!("{left} connections were not finished in time and are cut"));
            Ok(())
        }
        result = immediate_stop(&signals) => result,
    }
}

async fn accept<A: App>(
    listener: Listener,
    places: Arc<Semaphore>,
    app: A,
    host: Arc<Host>,
    started: mpsc::Sender<()>,
) -> Result<(), WorkerError> {
    let Listener { number, fd, family } = listener;
    let stages: watch::Receiver<_> = host.drain.watch();
    let turning = Arc::clone(&host);
    let turn_away = move |fd: OwnedFd| {
        let host = Arc::clone(&turning);
        async move {
            if let Ok(stream) = Stream::new(fd, family) {
                turn_away(stream, &host).await;
            }
        }
    };
    let begin = move |fd: OwnedFd, place, word| match Stream::new(fd, family) {
        Ok(stream) => {
            let (app, host) = (app.clone(), Arc::clone(&host));
            tokio::spawn(async move {
                serve(stream, host, app, word).await;
                drop(place);
            });
        }
        Err(error) => notices::line(format_args!("a connection was dropped: {error}")),
    };
    accept_until_drain(fd, places, stages, || drop(started), begin, turn_away)
        .await
        .map_err(|error| WorkerError::Accept(number, error))
}

/// Waits until a listener fails; for ever when none does.
async fn first_failure(accepting: &mut JoinSet<Result<(), WorkerError>>) -> WorkerError {
    while let Some(ended) = accepting.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return WorkerError::Start("accepting", io::Error::other(error)),
        }
    }
    std::future::pending().await
}

/// How a worker is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Graceful,
    Immediate,
}

/// All signals as a descriptor the runtime can watch.
#[derive(Debug)]
struct Signals(SignalFd);

impl Signals {
    fn watched(signals: SignalFd) -> Result<AsyncFd<Self>, WorkerError> {
        // Its successor is an unsafe function for types that may close the descriptor early; this one owns it.
        #[allow(deprecated)]
        AsyncFd::with_interest(Self(signals), Interest::READABLE)
            .map_err(|error| WorkerError::Start("watching signals", error))
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The next signal that asks to stop; others mean nothing to a worker.
async fn next_stop(signals: &AsyncFd<Signals>) -> Result<Stop, WorkerError> {
    let failed = |error| WorkerError::Start("reading signals", error);
    loop {
        let mut ready = signals.readable().await.map_err(failed)?;
        while let Some(received) = signals.get_ref().0.read().map_err(failed)? {
            match received.signal {
                Some(Signal::Term | Signal::Int) => return Ok(Stop::Graceful),
                Some(Signal::Quit) => return Ok(Stop::Immediate),
                Some(_) | None => {}
            }
        }
        ready.clear_ready();
    }
}

/// Waits for a signal that cuts a drain short.
async fn immediate_stop(signals: &AsyncFd<Signals>) -> Result<(), WorkerError> {
    while next_stop(signals).await? == Stop::Graceful {}
    Ok(())
}
