//! `ogrt doctor` for people: a line for each tool that was tried.

use crate::{
    format::sheet::Sheet,
    try_toolchain::{LinkTrial, Route, ToolchainReport},
};

/// The findings, and a word on what they mean.
pub fn text(findings: &ToolchainReport) -> String {
    let mut head = Sheet::new();
    head.line("wrappers", findings.wrappers.display().to_string());
    let answers =
        if findings.server_answers { "answers" } else { "does not answer; records wait in the spool" };
    head.line("server", format!("{} ({answers})", findings.server));
    let mut table = Sheet::new();
    for LinkTrial { tool, linker, route, real_linker } in findings.compilers.iter().chain(&findings.linkers) {
        let route = match route {
            Route::Linker => "marked by ogrt-ld",
            Route::ByHand => "marked by ogrt-cc, which puts the note on the compiler's line",
            Route::NotMarked => "links, but is NOT marked",
            Route::Broken => "BROKEN: links without us, not with us",
        };
        let real = real_linker.clone().unwrap_or_default();
        table.columns([tool.display().to_string(), linker.clone(), route.to_owned(), real]);
    }
    let tried = findings.compilers.len() + findings.linkers.len();
    let end = if tried == 0 { "no compiler on PATH links a program\n" } else { "" };
    format!("{}\n{}{end}", head.text(), table.text())
}
