//! The mesh router: how traffic reaches a function, now (HTTP) or later (events), by one path.

pub mod cli;
