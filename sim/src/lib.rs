//! Seeded simulator of the decisions
