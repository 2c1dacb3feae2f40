//! `cargo xtask generate`: the committed code that is made from `proto/ogrt.proto`.

use crate::{steps::Steps, workspace::Workspace};
use anyhow::Result;
use clap::Args;

/// Write proto/src/messages.rs anew from proto/ogrt.proto.
#[derive(Args)]
pub struct Generate {}

impl Generate {
    /// The generator lives in proto's own test, which holds the committed file against a fresh one.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        Steps::new(1).step("proto/src/messages.rs", |step| {
            let mut cargo = workspace.cargo(&["test", "--package", "ogrt-proto", "--test", "generated"]);
            step.run(cargo.env("OGRT_GENERATE", "1"))
        })
    }
}
