//! Apply against real servers: what Asterisk holds afterwards, what the run says, and that every failure on the way
//! leaves the old configuration in force or the new one, never a mixture.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::indexing_slicing,
    clippy::large_futures
)]

#[path = "../support/mod.rs"]
mod support;

mod desk;
mod office;
mod proxy;

mod calls;
mod crash;
mod failures;
mod faults;
mod happy;
mod install;
mod lock;
mod oracle;
mod pages;
mod phones;
mod registrations;
mod served;
mod unboxed;
mod workflows;
