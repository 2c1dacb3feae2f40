//! OGRT among the tools that a site has: the real EasyBuild, module tools, schedulers and MPI libraries, each in its
//! own way of being used.
//!
//! What a machine cannot have (two module tools that exclude each other, a cluster) is set up in the test's own folder
//! or in cargo's. A test says what it needs: skipped visibly on a desk, a failure in CI.

pub mod easybuild;
pub mod images;
pub mod module_tools;
pub mod needs;
pub mod sections;
pub mod slurm;
