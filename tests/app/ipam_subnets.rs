//! The pages and calls about subnets.
