//! Empty: only the dependencies of this manifest matter.
