//! `cargo xtask generate`: the committed code that is made from `proto/ogrt.proto`.

use crate::{steps::Steps, workspace::Workspace};
use anyhow::Result;
use clap::Args;

/// Write proto/src/messages.rs and proto/src/field_numbers.rs anew from proto/ogrt.proto.
#[derive(Args)]
pub struct Generate {}

impl Generate {
    /// The generator lives in proto's own test, which holds the committed files against fresh ones.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        Steps::new(1).step("proto/src/messages.rs and field_numbers.rs", |step| {
            let mut cargo = workspace.cargo(&["test", "--package", "ogrt-proto", "--test", "generated"]);
            step.run(cargo.env("OGRT_GENERATE", "1"))
        })
    }
}
