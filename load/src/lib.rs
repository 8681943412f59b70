//! Open-loop load client
