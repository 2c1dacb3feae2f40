//! `cargo xtask generate`: the committed code that is generated from `proto/ogrt.proto`.

use crate::{steps::Steps, workspace::Workspace};
use anyhow::Result;
use clap::Args;

/// Generate proto/src/messages.rs and proto/src/field_numbers.rs from proto/ogrt.proto.
///
/// Run it after each change of that file, and commit what it writes.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask generate")]
pub struct Generate {}

impl Generate {
    /// Runs the generator, which is in proto's own test: that compares the committed files with
    /// fresh ones.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        Steps::new(1).step("proto/src/messages.rs and field_numbers.rs", |step| {
            let mut cargo = workspace.cargo(&["test", "--package", "ogrt-proto", "--test", "generated"]);
            step.run(cargo.env("OGRT_GENERATE", "1"))
        })
    }
}
