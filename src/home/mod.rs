//! The first page, and what machines ask: health, readiness, metrics.

pub mod web;
