//! Boot files: what a phone is told, in its maker's own words.
//!
//! Rendering is pure: the same [`Subject`] and template give the same bytes. Templates see nothing
//! but the subject, and every value is written so that it can be nothing but a value.

mod agent;
mod asked;
pub mod book;
mod context;
mod engine;
mod format;
mod grammar;
mod render;
mod subject;
mod zone;

pub use agent::{Agent, maker};
pub use asked::{Asked, Part, What, asked};
pub use context::PLACEHOLDERS;
pub use engine::{Broken, OUTPUT_LIMIT, SOURCE_LIMIT};
pub use format::Format;
pub use render::{
    BUILT_IN, BuiltIn, RenderError, Rendered, Templates, base, names, render, try_out,
};
pub use subject::{KeyFacts, LineFacts, Subject};
