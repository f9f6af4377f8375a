//! The pages and calls about addresses.
