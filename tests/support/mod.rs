//! What the tests share. Each test target uses a part of it.
#![allow(dead_code)]

pub mod browser;
pub mod lab;
pub mod server;
pub mod sip;
