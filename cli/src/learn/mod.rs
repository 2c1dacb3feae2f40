//! What is installed on a machine: packages of several package managers, and which of their files
//! are programs and libraries.
//!
//! A package manager's own lists are read, a file for each ([`dpkg`] and so on). [`program_files`]
//! then looks at the files that they name, and finds build-ids. Paths are those that a process of
//! the machine, or of the container image, would have: [`root`] resolves symlinks as its kernel
//! does. What is read may be damaged or hostile, so all of it is bounded.

mod conda;
mod dpkg;
mod lmod;
mod lua_table;
mod package;
mod program_files;
mod root;
mod rpm;
mod spack;
mod trees;
mod venv;

pub use conda::conda;
pub use dpkg::dpkg;
pub use lmod::lmod;
pub use package::Package;
pub use program_files::{ProgramFile, find};
pub use root::Root;
pub use rpm::rpm;
pub use spack::spack;
pub use trees::{easybuild, tree};
pub use venv::venv;
