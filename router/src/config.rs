//! How a node is configured: the settings file of `weft serve`, read whole and checked before anything starts. What was
//! checked is handed on as values; nothing here is global, and nothing but `cli` and `app` knows this room.

pub mod file;
