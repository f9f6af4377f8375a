//! What the tests share. Each test target uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod app;
pub mod browser;
pub mod lab;
pub mod network;
pub mod process;
pub mod server;
pub mod sip;
pub mod sipp;
