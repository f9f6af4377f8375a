//! Asterisk's own formats: what it reads, what it holds, how it is asked. Nothing here knows the web or the database.
//!
//! | file | is |
//! |---|---|
//! | `value.rs` | what may be written into a file, as types, and the writer that takes only those |
//! | `conf.rs`, `conf/` | what Asterisk makes of a file and its includes: its parser, in Rust |
//! | `preflight.rs` | what stands in the way of a release, found before Asterisk is asked |
//! | `objects.rs` | a parsed release as endpoints, auths and aors, and what changes between two |
//! | `dialplan.rs` | what a parsed release puts into a context |
//! | `diff.rs` | two texts of a file, line by line |
//! | `secret.rs` | secrets in files, hidden but comparable |
//! | `ami.rs`, `ami/` | the manager interface: reload, and read back what was loaded |
//! | `access.rs` | where that is, and how to sign in |

pub mod access;
pub mod ami;
pub mod conf;
pub mod dialplan;
pub mod diff;
pub mod objects;
pub mod preflight;
pub mod secret;
pub mod value;
