//! `/api/v1/apply`.
