//! What is done with connections, whatever they speak.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::app::App;
use crate::drain::Drain;
use crate::http::{Family, Host, Stream, serve, turn_away};

/// What one thread of a worker does with the connections that it accepts.
pub(crate) trait Serving: Clone + Send + Sync + 'static {
    /// Connections at once; one more waits in the queue, where a sibling may take it.
    fn most(&self) -> u32;

    /// Its stop.
    fn drain(&self) -> &Drain;

    /// Serves one connection to its end. `word` is told of its first input.
    fn serve(&self, fd: OwnedFd, family: Family, word: Arc<Notify>) -> impl Future<Output = ()> + Send + use<Self>;

    /// Ends one that there is no room for.
    fn turn_away(&self, fd: OwnedFd, family: Family) -> impl Future<Output = ()> + Send + use<Self>;

    /// Looks after all connections; never ends by itself.
    fn watch(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// After the last one.
    fn finish(&self) {}
}

/// HTTP/1.1 for an app.
#[derive(Clone)]
pub(crate) struct Http<A> {
    pub(crate) host: Arc<Host>,
    pub(crate) app: A,
}

impl<A: App + Sync> Serving for Http<A> {
    fn most(&self) -> u32 {
        self.host.options.connections
    }

    fn drain(&self) -> &Drain {
        &self.host.drain
    }

    fn serve(&self, fd: OwnedFd, family: Family, word: Arc<Notify>) -> impl Future<Output = ()> + Send + use<A> {
        let (app, host) = (self.app.clone(), Arc::clone(&self.host));
        serve(Stream::new(fd, family), host, app, word)
    }

    fn turn_away(&self, fd: OwnedFd, family: Family) -> impl Future<Output = ()> + Send + use<A> {
        let host = Arc::clone(&self.host);
        async move { turn_away(Stream::new(fd, family), &host).await }
    }

    fn watch(&self) -> impl Future<Output = ()> + Send + use<A> {
        let host = Arc::clone(&self.host);
        let mut stages = host.drain.watch();
        async move {
            let waking = async {
                while stages.changed().await.is_ok() {
                    host.crowd.wake_all();
                }
            };
            tokio::join!(host.crowd.watch(), waking);
        }
    }

    fn finish(&self) {
        if let Some(log) = &self.host.log {
            log.finish();
        }
    }
}
