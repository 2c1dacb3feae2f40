//! `ogrt doctor` for people: a line for each tool that was tried.

use crate::{
    format::sheet::Sheet,
    try_toolchain::{LinkTrial, Route, ToolchainReport},
};

/// What is recorded of the ends of processes on the server's machine.
fn ends(follow: Option<&str>) -> &'static str {
    match follow {
        Some("exit status") => "the kernel tells the server when and how each process ends",
        Some("exit time") => "the kernel tells the server when each process ends, and not how",
        Some(_) => "only processes that tell their own end have one (OGRT_END=1)",
        None => "not known: no server answers at OGRT_HTTP, or it is an older one",
    }
}

/// The word for programs that libogrt.so cannot see: are they recorded?
fn observed(observe: Option<bool>) -> &'static str {
    match observe {
        Some(true) => "static and setuid programs are recorded: ogrt-observe tells the server of them",
        Some(false) => "static and setuid programs are not recorded: no ogrt-observe runs (docs/observe.md)",
        None => "not known: no server answers at OGRT_HTTP, or it is an older one",
    }
}

/// How CPU time and memory of processes are known.
fn usage(accounting: Option<bool>) -> &'static str {
    match accounting {
        Some(true) => "exact, by the kernel's accounting: ogrt-observe tells the server of it",
        Some(false) => "by samples: no ogrt-observe tells of the kernel's accounting (docs/ends.md)",
        None => "not known: no server answers at OGRT_HTTP, or it is an older one",
    }
}

/// The trials, and what each means.
pub fn text(report: &ToolchainReport) -> String {
    let mut head = Sheet::new();
    head.line("wrappers", report.wrappers.display().to_string());
    let answers = if report.server_answers { "answers" } else { "does not answer; records go to the spool" };
    head.line("server", format!("{} ({answers})", report.server));
    let spool = report.spool.display();
    match &report.spool_problem {
        None => {
            head.line("spool", format!("{spool} ({} files wait; `ogrt flush` sends them)", report.spooled))
        }
        Some(problem) => {
            head.line("spool", format!("NONE: {problem}; records are lost while no server answers"))
        }
    }
    for line in report.lost.iter().flat_map(|lost| lost.lines()) {
        head.line("lost", line.to_owned());
    }
    if let Some(problem) = &report.events_problem {
        head.line("events", format!("NONE: {problem}"));
    }
    head.line("ends", ends(report.follow.as_deref()).to_owned());
    head.line("observer", observed(report.observe).to_owned());
    head.line("CPU time", usage(report.accounting).to_owned());
    let mut table = Sheet::new();
    for LinkTrial { tool, linker, route, real_linker, reason } in
        report.compilers.iter().chain(&report.linkers)
    {
        let route = match route {
            Route::Linker => "marked by ogrt-ld",
            Route::ByHand => "marked by ogrt-cc, which puts the note on the compiler's line",
            Route::NotMarked => "links, but is NOT marked",
            Route::Broken => "BROKEN: links without OGRT, fails with it",
        };
        let real = real_linker.as_ref().or(reason.as_ref()).cloned().unwrap_or_default();
        table.columns([tool.display().to_string(), linker.clone(), route.to_owned(), real]);
    }
    let tried = report.compilers.len() + report.linkers.len();
    let end = if tried == 0 { "no compiler or linker was found on PATH that links a program\n" } else { "" };
    format!("{}\n{}{end}", head.text(), table.text())
}
