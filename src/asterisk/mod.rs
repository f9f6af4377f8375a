//! Asterisk's own formats: what it reads, what it holds, how it is asked. Nothing here knows the web or the database.
//!
//! | file | is |
//! |---|---|
//! | `value.rs` | what may be written into a file, as types, and the writer that takes only those |
//! | `conf.rs`, `conf/` | what Asterisk makes of a file and its includes: its parser, in Rust |

pub mod conf;
pub mod value;
