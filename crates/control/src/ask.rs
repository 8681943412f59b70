//! A request that is being put together.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use crate::answers::Answers;
use crate::client::Client;
use crate::error::Result;
use crate::request::Request;
use crate::verb::Verb;

/// A request that is being put together; nothing is asked before it is awaited or streamed.
///
/// ```no_run
/// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
/// use std::time::Duration;
///
/// let mut rollout = client.restart(["web"]).timeout(Duration::from_secs(300)).stream()?;
/// while let Some(progress) = rollout.next().await {
///     println!("{}", progress.message);
/// }
/// rollout.end().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is asked before it is awaited"]
pub struct Ask<V> {
    pub(crate) client: Client,
    pub(crate) request: Request,
    verb: PhantomData<fn() -> V>,
}

impl<V: Verb> Ask<V> {
    pub(crate) fn new(client: &Client, request: Request) -> Self {
        Self { client: client.clone(), request, verb: PhantomData }
    }

    /// How long the answer is waited for. The engine is told, and where it is not done by then it says how far it is,
    /// with [`ErrorKind::Refused`](crate::ErrorKind::Refused) and code 124; what was begun goes on.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request = self.request.timeout(timeout);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        self.request = self.request.with(name, value);
        self
    }

    /// Asks over a connection of its own, and gives what is told until the answer.
    ///
    /// # Errors
    /// When the request is longer than the engine takes.
    pub fn stream(self) -> Result<Answers<V>> {
        Ok(Answers::new(self.client.each(V::streamed(self.request))?))
    }
}

impl<V: Verb> IntoFuture for Ask<V> {
    type Output = Result<V::Answer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { V::answer(self.client.last(self.request).await?) })
    }
}
