//! The compilers and the linkers with which each way to link is tried.

use crate::has_tool;

/// A compiler, our wrapper for it, and a source that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// The compiler's name.
    pub compiler: &'static str,
    /// The name of our wrapper.
    pub wrapper: &'static str,
    /// The name of the source.
    pub source: &'static str,
}

/// GNU C.
pub const GCC: Language = Language { compiler: "gcc", wrapper: "ogrt-cc", source: "main.c" };
/// GNU C++.
pub const GXX: Language = Language { compiler: "g++", wrapper: "ogrt-c++", source: "main.cc" };
/// GNU Fortran.
pub const GFORTRAN: Language = Language { compiler: "gfortran", wrapper: "ogrt-fc", source: "main.f90" };
/// Clang for C.
pub const CLANG: Language = Language { compiler: "clang", ..GCC };
/// Clang for C++.
pub const CLANGXX: Language = Language { compiler: "clang++", ..GXX };
/// GNU C for musl.
pub const MUSL: Language = Language { compiler: "musl-gcc", ..GCC };

/// The linkers that are here, by their names for `-fuse-ld=`.
pub fn linkers() -> impl Iterator<Item = &'static str> {
    ["bfd", "gold", "lld", "mold"].into_iter().filter(|linker| has_tool(&format!("ld.{linker}")))
}

/// Texts of one program in C, C++ and Fortran.
#[derive(Clone, Copy, Debug)]
pub struct ProgramTexts {
    /// The text in C.
    pub c: &'static str,
    /// The text in C++.
    pub cxx: &'static str,
    /// The text in Fortran.
    pub fortran: &'static str,
}

impl ProgramTexts {
    /// The text that a compiler takes.
    pub fn of(&self, language: Language) -> &'static str {
        match language.source {
            "main.c" => self.c,
            "main.cc" => self.cxx,
            _ => self.fortran,
        }
    }
}

impl Language {
    /// Links in each way with each linker, and prints a line for each linker. A way has a name;
    /// `link` is told what this case is called, and says what is printed behind the way's name.
    pub fn link_in_each_way<W: Copy>(
        self,
        ways: &[(&str, W)],
        mut link: impl FnMut(&str, &str, W) -> &'static str,
    ) {
        for linker in linkers() {
            let outcomes = ways.iter().map(|(name, way)| {
                let case = format!("{} {linker} {name}", self.compiler);
                format!("{name} {}", link(&case, linker, *way))
            });
            println!("{:<9} {linker:<5} {}", self.compiler, outcomes.collect::<Vec<_>>().join(", "));
        }
    }
}
