//! Inside a worker process
