//! Configuration: text to typed settings
