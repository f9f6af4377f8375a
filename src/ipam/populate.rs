//! `patchbay ipam populate`: the addresses of hosts, brought up to date.
