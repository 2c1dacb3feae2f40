//! The way in which this code comes into a process: by the loader, or as part of a static program.

/// It is part of a static program.
pub const IS_STATIC: bool = cfg!(feature = "static");
