//! The list of objects of a static program, which has no loader: itself.

use crate::{loaded_object::LoadedObject, process::Process};

/// The source of the list of objects.
#[derive(Clone, Copy)]
pub struct Loader;

impl Loader {
    /// The list; `None` where a loader is there after all, which may bring libogrt.so
    /// (`in_a_dynamic_program_the_object_is_silent`), or where what the kernel has started is not
    /// the program that we are in.
    pub fn find(process: &Process) -> Option<Self> {
        let is_sole = process.interpreter_base().is_none() && LoadedObject::executable(process)?.is_ours();
        is_sole.then_some(Loader)
    }
}
