//! The life of a worker process: environment, sockets, initialize, ready, serving or running, drain, exit.

use evercrew_core::Level;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread;

use evercrew_core::Signal;
use evercrew_sys::accept::interrupt_handler_install;
use evercrew_sys::signal::SignalFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

use crate::app::{App, BoxError};
use crate::context::Context;
use crate::conventions::Conventions;
use crate::drain::Drain;
use crate::error::WorkerError;
use crate::http::{Family, Host, HttpOptions};
use crate::life::{AtEnd, Guest, Life};
use crate::live::{Listener, live};
use crate::notices;
use crate::pulse::Pulse;
use crate::report;
use crate::serving::{Http, Serving};
use crate::stop::{Stop, StopFlag};

/// Serves what `app` makes, once for each thread, over HTTP/1.1 on the inherited listeners until a signal or a word
/// ends it, and returns the exit code of this process: 0 after TERM, INT or QUIT, 78 when it was started wrongly, 1 when
/// something failed. EVERCREW_HTTP takes the place of `options`, key by key.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn serve_http<A: App + Sync>(life: Life, options: HttpOptions, app: impl Fn(&Context) -> A + Send + Sync) -> u8 {
    end(Worker::start(life).and_then(|worker| worker.http(options, app)))
}

/// [`serve_http`] without anything around it.
pub fn serve_app<A: App + Sync>(options: HttpOptions, app: A) -> u8 {
    serve_http(Life::default(), options, move |_| app.clone())
}

/// The exit code of a worker, and what it says when something is wrong.
pub(crate) fn end(outcome: Result<(), WorkerError>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            notices::line(Level::Error, format_args!("{error}"));
            error.exit_code()
        }
    }
}

/// A worker whose work can begin.
pub(crate) struct Worker {
    conventions: Conventions,
    context: Context,
    /// None of a guest.
    signals: Option<SignalFd>,
    threads: usize,
    at_end: Option<AtEnd>,
}

impl Worker {
    /// Takes what was inherited and prepares the process.
    ///
    /// # Errors
    /// When it was started wrongly, or cannot be set up.
    pub(crate) fn start(life: Life) -> Result<Self, WorkerError> {
        let Prepared { conventions, context, signals, pipe } = match life.guest {
            None => prepare()?,
            Some(guest) => welcome(guest),
        };
        interrupt_handler_install().map_err(|error| WorkerError::Start("installing the interrupt of accept", error))?;
        if let Some(initialize) = life.initialize {
            initialize(&context).map_err(|error| WorkerError::Initialize(error.to_string()))?;
        }
        if let Some(reload) = life.reload {
            context.when_reloaded(reload);
        }
        if let Some(pipe) = pipe {
            context
                .listen(pipe)
                .map_err(|error| WorkerError::Start("starting the thread of the command pipe", error))?;
        }
        Ok(Self { conventions, context, signals, threads: life.threads.max(1), at_end: life.end })
    }

    fn http<A: App + Sync>(
        self,
        options: HttpOptions,
        app: impl Fn(&Context) -> A + Send + Sync,
    ) -> Result<(), WorkerError> {
        let options =
            options.with(self.conventions.http.clone()).map_err(|error| WorkerError::Http(error.to_string()))?;
        // The portion is the process's; each thread has its part of it.
        let threads = u64::try_from(self.threads).unwrap_or(1);
        let portion = self.conventions.most_requests.map(|most| most.div_ceil(threads));
        let (name, context) = (self.conventions.name.clone(), self.context.clone());
        self.serve(|| {
            let host = Host::new(options.clone(), &name, Drain::new(), portion)
                .map_err(|error| WorkerError::Start("starting the access log", error))?;
            context.count(Arc::clone(&host.statistics));
            Ok(Http { app: app(&context), host })
        })
    }

    /// What the worker is told.
    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }

    /// Serves connections in every thread, each with a `make` of its own.
    pub(crate) fn serve<S: Serving>(
        self,
        make: impl Fn() -> Result<S, WorkerError> + Send + Sync,
    ) -> Result<(), WorkerError> {
        let listeners = self.listeners()?;
        let mut pulses = Pulse::of(self.threads, self.conventions.heartbeat);
        let (context, first) = (self.context.clone(), pulses.remove(0));
        let one = |listeners: Vec<Listener>, pulse: Pulse, signals: Option<SignalFd>| {
            let runtime = runtime()?;
            let serving = make()?;
            let result = runtime.block_on(async {
                if let Some(signals) = signals {
                    heed(signals, context.clone())?;
                    tokio::spawn(report::tell(context.clone()));
                }
                live(&context, listeners, serving.clone(), pulse).await
            });
            serving.finish();
            // One thread without the others is not the worker that was asked for.
            if result.is_err() {
                context.stop().set(Stop::Immediate);
            }
            result
        };
        let others = (1..self.threads).map(|_| listeners.iter().map(Listener::another).collect());
        let others: Vec<Vec<Listener>> = others.collect::<Result<_, _>>()?;
        let outcome = thread::scope(|scope| {
            let one = &one;
            let mut threads = Vec::new();
            for (index, (listeners, pulse)) in others.into_iter().zip(pulses).enumerate() {
                let named = thread::Builder::new().name(format!("serve-{}", index + 2));
                let spawned = named.spawn_scoped(scope, move || one(listeners, pulse, None));
                threads.push(spawned.map_err(|error| WorkerError::Start("starting a thread that serves", error))?);
            }
            let mut outcome = one(listeners, first, self.signals);
            for thread in threads {
                let ended = thread.join().unwrap_or_else(|_| Err(WorkerError::Run("a thread has panicked".to_owned())));
                outcome = outcome.and(ended);
            }
            outcome
        });
        if let Some(at_end) = self.at_end {
            at_end(&self.context);
        }
        outcome
    }

    /// Runs `run` in every thread, while this one heeds signals. They decide themselves when they end; an immediate stop
    /// does not wait for them.
    pub(crate) fn run(
        self,
        run: impl Fn(Context) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Result<(), WorkerError> {
        let (context, runtime, run) = (self.context.clone(), runtime()?, Arc::new(run));
        let (done, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
        runtime.block_on(async {
            if let Some(signals) = self.signals {
                heed(signals, context.clone())?;
            }
            notices::ready().await;
            context.progress();
            for index in 1..=self.threads {
                let (run, of_run, done) = (Arc::clone(&run), context.clone(), done.clone());
                let work = move || {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(of_run)));
                    let _ = done.send(result.unwrap_or_else(|_| Err("it has panicked".into())));
                };
                let named = thread::Builder::new().name(format!("run-{index}"));
                named.spawn(work).map_err(|error| WorkerError::Start("starting a thread that runs", error))?;
            }
            drop(done);
            let ended = async {
                while let Some(result) = outcomes.recv().await {
                    result.map_err(|error: BoxError| WorkerError::Run(error.to_string()))?;
                }
                Ok(())
            };
            tokio::select! {
                biased;
                result = ended => result,
                () = context.stop().wait_for_immediate() => Ok(()),
            }
        })?;
        if let Some(at_end) = self.at_end {
            at_end(&self.context);
        }
        Ok(())
    }

    /// Runs a task on this thread's runtime, which beats.
    pub(crate) fn run_task<F: Future<Output = Result<(), BoxError>>>(
        self,
        task: impl FnOnce(Context) -> F,
    ) -> Result<(), WorkerError> {
        let (context, runtime) = (self.context.clone(), runtime()?);
        runtime.block_on(async {
            if let Some(signals) = self.signals {
                heed(signals, context.clone())?;
            }
            for pulse in Pulse::of(1, self.conventions.heartbeat) {
                tokio::spawn(pulse.beat());
            }
            tokio::select! {
                biased;
                result = task(context.clone()) => result.map_err(|error| WorkerError::Run(error.to_string())),
                () = context.stop().wait_for_immediate() => Ok(()),
            }
        })?;
        if let Some(at_end) = self.at_end {
            at_end(&self.context);
        }
        Ok(())
    }

    fn listeners(&self) -> Result<Vec<Listener>, WorkerError> {
        let mut listeners = Vec::new();
        for (name, fd) in self.context.take_listeners() {
            match Family::of(&fd) {
                Ok(family) => listeners.push(Listener { name, fd, family }),
                Err(error) => return Err(WorkerError::NotAListener(name, error)),
            }
        }
        if listeners.is_empty() {
            return Err(WorkerError::NoListener("LISTEN_FDS is not set, or 0"));
        }
        Ok(listeners)
    }
}

/// What a worker begins with.
struct Prepared {
    conventions: Conventions,
    context: Context,
    signals: Option<SignalFd>,
    pipe: Option<OwnedFd>,
}

/// This process is the worker: it takes what was inherited.
fn prepare() -> Result<Prepared, WorkerError> {
    let conventions = Conventions::from_environment()?;
    // Before there is any thread: each inherits this mask, and only accept threads unblock their one signal.
    let signals = SignalFd::block_all().map_err(|error| WorkerError::Start("reading signals by descriptor", error))?;
    let listeners = conventions.take_listeners()?;
    let pipe = conventions.take_pipe()?;
    let context = Context::new(&conventions, listeners, StopFlag::new());
    Ok(Prepared { conventions, context, signals: Some(signals), pipe })
}

fn welcome(guest: Guest) -> Prepared {
    let Guest { service, listeners, stop } = guest;
    let conventions = Conventions::of_guest(&service);
    let context = Context::new(&conventions, listeners, stop);
    Prepared { conventions, context, signals: None, pipe: None }
}

fn runtime() -> Result<Runtime, WorkerError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| WorkerError::Start("starting the runtime", error))
}

/// All signals as a descriptor the runtime can watch.
#[derive(Debug)]
struct Signals(SignalFd);

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// From here on signals that ask to stop set the flag; others mean nothing to a worker.
fn heed(signals: SignalFd, context: Context) -> Result<(), WorkerError> {
    // Its successor is an unsafe function for types that may close the descriptor early; this one owns it.
    #[allow(deprecated)]
    let signals = AsyncFd::with_interest(Signals(signals), Interest::READABLE)
        .map_err(|error| WorkerError::Start("watching signals", error))?;
    tokio::spawn(async move {
        while let Ok(mut ready) = signals.readable().await {
            while let Ok(Some(received)) = signals.get_ref().0.read() {
                match received.signal {
                    Some(Signal::Term | Signal::Int) => context.stop().set(Stop::Graceful),
                    Some(Signal::Quit) => context.stop().set(Stop::Immediate),
                    Some(_) | None => {}
                }
            }
            ready.clear_ready();
        }
    });
    Ok(())
}
