//! What is seen in the network.
