//! Subnets, addresses and hosts in files.
