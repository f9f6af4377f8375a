//! Boot files: what a phone is told, in its maker's own words.
//!
//! Rendering is pure: the same [`Subject`] and template give the same bytes. Templates see nothing
//! but the subject, and every value is written so that it can be nothing but a value.

mod agent;
mod asked;
pub mod book;
pub mod contacts;
mod context;
mod engine;
pub mod files;
mod format;
mod grammar;
mod load;
mod queries;
mod render;
mod subject;
pub mod templates;
#[cfg(test)]
mod tests;
mod zone;

pub use agent::Agent;
pub use asked::{Asked, Part, What, asked};
pub use context::PLACEHOLDERS;
pub use engine::{Broken, OUTPUT_LIMIT, SOURCE_LIMIT};
pub use format::Format;
pub use load::{
    Revisions, base_url, entries, hidden, in_force, moved, revisions, subject, touched,
};
pub use render::{
    BUILT_IN, BuiltIn, RenderError, Rendered, Templates, base, names, render, try_out,
};
pub use subject::{KeyFacts, LineFacts, Subject};

use crate::auth::access::Route;

/// Every page and call on templates, files and contacts.
pub fn routes() -> Vec<Route> {
    let features = [
        templates::web::routes(),
        templates::api::routes(),
        templates::legacy::routes(),
        contacts::web::routes(),
        contacts::api::routes(),
        files::routes(),
    ];
    features.into_iter().flatten().collect()
}
