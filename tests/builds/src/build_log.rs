//! The output of a build, made comparable: with the real compilers' names and folders in place of
//! ours, without times and counters, and sorted, because `make -j` prints lines in any order.

use std::path::Path;

/// The words that a person types with us and without us, the longer ones first.
const NAMES: [(&str, &str); 4] =
    [("ogrt-c++", "c++"), ("ogrt-cc", "cc"), ("ogrt-fc", "gfortran"), ("ogrt-ld", "ld")];

/// Our directory on PATH, as the manual writes it.
pub const LINKERS_ON_PATH: &str = "PREFIX/libexec/ogrt:";

/// The same lines of shell without us: `ogrt-cc musl-gcc` becomes `musl-gcc`, `ogrt-cc` alone `cc`.
pub fn without_us(text: &str) -> String {
    let mut parts = text.split("ogrt-cc ");
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if !names_a_compiler(part) {
            named += "ogrt-cc ";
        }
        named += part;
    }
    let named = named.replace(LINKERS_ON_PATH, "");
    NAMES.iter().fold(named, |text, (ours, real)| text.replace(ours, real))
}

/// True for a text that begins with a compiler's name.
fn names_a_compiler(text: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';');
    let word = text.split(ends).next().unwrap_or_default().trim_end_matches(['.', ',', ':', ')']);
    let is_word = word.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.'));
    is_word && ["gcc", "g++", "clang", "nvcc"].iter().any(|name| word.ends_with(name))
}

/// Lines of a log in a form that two runs share.
pub fn comparable(log: &str, prefix: &Path) -> Vec<String> {
    let bin = prefix.join("bin").display().to_string();
    // It may be the first entry of a PATH, too.
    let log = log.replace(&format!("{bin}/"), "").replace(&format!("{bin}:"), "");
    let libexec = prefix.join("libexec/ogrt").display().to_string();
    let log = log.replace(&format!("{libexec}/"), "").replace(&format!("{libexec}:"), "");
    let log = without_us(&log).replace("/usr/bin/", "");
    let mut lines: Vec<String> = log.lines().map(plain).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

/// The lines that contain one of `words`, such as the results of tests.
pub fn holding(lines: &[String], words: &[&str]) -> Vec<String> {
    let wanted = lines.iter().filter(|line| words.iter().any(|word| line.contains(word)));
    wanted.cloned().collect()
}

/// The lines that only one of the two has, as `diff` shows them.
pub fn difference(bare: &[String], ours: &[String]) -> String {
    let (mut bare, mut ours) = (bare.iter().peekable(), ours.iter().peekable());
    let mut found = String::new();
    loop {
        match (bare.peek(), ours.peek()) {
            (None, None) => return found,
            (Some(one), Some(other)) if one == other => {
                bare.next();
                ours.next();
            }
            (Some(one), other) if other.is_none_or(|other| one < other) => {
                found += &format!("- {one}\n");
                bare.next();
            }
            (_, Some(other)) => {
                found += &format!("+ {other}\n");
                ours.next();
            }
            (Some(_), None) => {}
        }
    }
}

/// The line without colours, times, percentages and counters.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once("\x1b[") {
        text += before;
        rest = escape.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or("");
    }
    text += rest;
    let words = text.split_whitespace().filter(|word| !is_counter(word));
    words.collect::<Vec<_>>().join(" ")
}

/// True for words such as `0.13s`, `(0.2`, `[3/8]`, `1/9`, `[ 50%]` and `.....`.
fn is_counter(word: &str) -> bool {
    let inner = word.trim_matches(['[', ']', '(', ')', ',', ';', ':', '#']);
    let number = inner.trim_end_matches(['s', '%']);
    let is_time = number.contains(['.', '/']) || word.contains(['%', '[', ']']);
    word == "[" || (is_time && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_differ_in_time_alone_are_the_same() {
        for (one, other) in [
            ("3/9 Test #3: spec ....   Passed    0.24 sec", "1/9 Test #3: spec ...   Passed    1.50 sec"),
            ("[ 50%] Building C", "[  7%] Building C"),
            ("[12/80] Linking target", "[7/80] Linking target"),
            ("\x1b[32mRan\x1b[m 3 tests in 0.2s", "Ran 3 tests in 12.71s"),
        ] {
            assert_eq!(plain(one), plain(other));
        }
        assert_ne!(plain("Ran 3 tests"), plain("Ran 4 tests"));
        assert_ne!(plain("checking for x... yes"), plain("checking for x... no"));
    }

    #[test]
    fn the_lines_without_us_name_the_compilers_that_ours_run() {
        for (ours, bare) in [
            ("make CC=ogrt-cc install", "make CC=cc install"),
            ("C compiler: ogrt-cc (gcc 12.2)", "C compiler: cc (gcc 12.2)"),
            ("make CC='ogrt-cc musl-gcc' LD=ogrt-ld", "make CC='musl-gcc' LD=ld"),
            ("ogrt-cc -c gcc.c; ogrt-cc arm-none-eabi-gcc -c x.c", "cc -c gcc.c; arm-none-eabi-gcc -c x.c"),
            ("PATH=PREFIX/libexec/ogrt:$PATH fpc x.pas", "PATH=$PATH fpc x.pas"),
        ] {
            assert_eq!(without_us(ours), bare);
        }
    }

    #[test]
    fn a_difference_names_both_sides() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(difference(&lines("a\nb\nd"), &lines("a\nc\nd\ne")), "- b\n+ c\n+ e\n");
        assert_eq!(difference(&lines("a\na"), &lines("a")), "- a\n");
        assert_eq!(difference(&lines("a"), &lines("a")), "");
    }
}
