//! Patchbay: the control plane of a voice network.

pub mod asterisk;
