//! The process that holds the workers' output
