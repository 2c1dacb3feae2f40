//! The code that a static program is given with `OGRT_STATIC=1`, so that it tells of itself when it
//! runs: no loader can bring libogrt.so into it.
//!
//! Code is more than a note. So it goes only into a link that is plain from its line: a C library's
//! start file, no loader, no layout of the project's own. Its messages are withheld, and if it
//! fails, its line runs again as it stood (`attempt.rs`).

use crate::link_request::LinkRequest;
use crate::ordinary_output::Verdict;
use ogrt_wrap::elf_head::ElfIdentity;
use ogrt_wrap::note::static_code::StaticCode;
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::find_tool;
use std::ffi::OsStr;

/// Emulations of Linux on the machines for which there is code.
const LINUX: [&str; 2] = ["elf_x86_64", "aarch64linux"];

/// The code for this link, or the reason why it gets none.
pub fn code_for(
    request: &LinkRequest,
    settings: &Settings,
    identity: &ElfIdentity,
    verdict: &Verdict,
) -> Result<StaticCode, &'static str> {
    if !settings.static_programs {
        return Err("OGRT_STATIC is not 1");
    }
    if !request.line.is_static_program() {
        return Err("the line does not make a static program with a C library's start file");
    }
    if let Verdict::Doubtful(why) | Verdict::Special(why) = verdict {
        return Err(why);
    }
    let emulation = request.line.emulation.as_deref();
    if !emulation.is_none_or(|name| LINUX.iter().any(|linux| name == *linux)) {
        return Err("the program is for another system than Linux");
    }
    let argv0 = std::env::args_os().next().unwrap_or_default();
    let program = find_tool::our_program(OsStr::new(&argv0));
    let prefix = program.as_deref().and_then(|program| program.parent()?.parent());
    prefix
        .and_then(|prefix| StaticCode::find(prefix, identity))
        .ok_or("the installation has no code for this machine")
}
