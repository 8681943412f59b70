//! Time in tests: work that lasts, and looks at what comes to be.

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

/// Work that takes this long.
pub(crate) async fn lasts(time: Duration) {
    assert!(timeout(time, std::future::pending::<()>()).await.is_err());
}

/// Looks until this is so, while others work.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut looks = interval(Duration::from_millis(20));
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to be");
        looks.tick().await;
    }
}
