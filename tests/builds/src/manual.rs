//! The lines of docs/wrappers.md, so that what the manual says is what is tested.

use anyhow::{Context, Result};
use std::{fs, path::Path};

/// The lines that the manual has below `heading`.
///
/// # Panics
/// If it has none.
pub fn block(heading: &str) -> String {
    find_block(heading).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The indented block below the paragraph that starts with `heading`.
fn find_block(heading: &str) -> Result<String> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wrappers.md");
    let text = fs::read_to_string(&manual).with_context(|| manual.display().to_string())?;
    let below = text.lines().skip_while(|line| !line.starts_with(heading));
    let lines =
        below.skip_while(|line| !line.starts_with("    ")).map_while(|line| line.strip_prefix("    "));
    let block: String = lines.map(|line| format!("{line}\n")).collect();
    anyhow::ensure!(!block.is_empty(), "docs/wrappers.md: no block below {heading:?}");
    Ok(block)
}
