//! What the two wrappers share.
