//! OGRT among the tools of a site: the real EasyBuild, module tools, schedulers and MPI libraries,
//! each used as its users do.
//!
//! A machine cannot have a cluster, or two module tools that exclude each other. They are set up in
//! the test's own folder or in cargo's. A test says what it needs: without it the test is skipped
//! with a line on a desk, and fails in CI.

pub mod debian_packages;
pub mod easybuild;
pub mod exec_log;
pub mod images;
pub mod module_tools;
pub mod mpi;
pub mod needs;
pub mod sections;
pub mod session;
pub mod slurm;
