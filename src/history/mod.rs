//! The audit log as a page, and as CSV.

pub mod web;
