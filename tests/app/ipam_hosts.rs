//! Hosts, and the addresses that follow them.
