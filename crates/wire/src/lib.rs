//! Bytes to messages and back: every serialized form of the engine
