//! Boot files: what a phone is told, in its maker's own words.
//!
//! Rendering is pure: the same [`Subject`] and template give the same bytes. Templates see nothing
//! but the subject, and every value is written so that it can be nothing but a value.

mod subject;

pub use subject::{KeyFacts, LineFacts, Subject};
