//! `/apply`.
