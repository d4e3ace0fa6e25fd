//! What a permit opens: a function here, a topic here, an address outside. Each takes the permit by value, so that
//! nothing starts, is kept or is dialled without one.

pub mod backend;
pub mod mesh_tls;
pub mod topics;
pub mod upstream;
