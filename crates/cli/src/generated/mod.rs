//! Files for other programs, as `generate` prints them.

mod kubernetes;
mod logrotate;
mod systemd;

pub(crate) use kubernetes::kubernetes;
pub(crate) use logrotate::logrotate;
pub(crate) use systemd::{Command, systemd};
