//! The process that decides
