//! The outermost process
