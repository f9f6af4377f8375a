//! What the tests share. Each test target uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod app;
pub mod browser;
pub mod lab;
pub mod network;
pub mod outside;
pub mod process;
pub mod server;
pub mod sip;
pub mod sipp;

/// Lets clients of HTTP be made: the program brings its own cryptography to each of its own.
pub fn trust() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
