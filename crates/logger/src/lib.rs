//! The process that holds the workers' output

/// Placeholder until the logger stands.
pub fn run(_link: std::os::fd::OwnedFd) -> u8 {
    let signals = evercrew_sys::signal::SignalFd::block_all().expect("x");
    let e = evercrew_sys::epoll::Epoll::new().expect("x");
    e.add(&signals, 1, evercrew_sys::epoll::Interest::READABLE).expect("x");
    let mut v = vec![];
    let _ = e.wait(&mut v, None);
    0
}
