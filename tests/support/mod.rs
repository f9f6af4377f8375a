//! What the tests share. Each test target uses a part of it.
#![allow(dead_code)]

pub mod app;
pub mod lab;
pub mod process;
pub mod sip;
