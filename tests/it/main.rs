//! What weft promises, seen from outside: one binary, a module per topic. How to run it and what it needs: ../README.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends here")]

mod admin;
mod bad_request;
mod crash;
mod deploy;
mod deputy;
mod egress;
mod events;
mod examples;
mod explain;
mod forged;
mod http;
mod interop;
mod jwt;
mod manifests;
mod mtls;
mod parity;
mod quotas;
mod seeded;
mod tidy;
