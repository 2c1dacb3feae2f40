//! Names of functions and variables, without what compilers add that is another in each build.

use crate::{
    elf::{Elf, NAME_MAX},
    hash::{Hash, hash},
};

/// Kinds of symbols: variables, functions, and what has none.
const KINDS: [u8; 4] = [0, 1, 2, 10];

/// Adds all names that a file defines.
pub fn add(elf: &Elf<'_>, into: &mut dyn FnMut(Hash)) {
    elf.each_symbol(&mut |symbol| {
        if KINDS.contains(&symbol.kind) && !symbol.name.is_empty() && symbol.is_defined {
            add_name(symbol.name, into);
        }
    });
}

/// Adds one name.
pub fn add_name(name: &[u8], into: &mut dyn FnMut(Hash)) {
    let name = plain(name);
    if name.len() >= 4 {
        into(hash(name));
    }
}

/// Adds the name of a function of Go, in which a dot is no compiler's.
pub fn add_go_name(name: &[u8], into: &mut dyn FnMut(Hash)) {
    let name = &name[..name.len().min(NAME_MAX)];
    if name.len() >= 4 {
        into(hash(name.iter().copied().filter(|byte| !byte.is_ascii_digit())));
    }
}

/// The name without the version of a library, a compiler's suffix (`.constprop.0`), and Rust's
/// hashes of a crate.
fn plain(name: &[u8]) -> Vec<u8> {
    let end = name
        .iter()
        .skip(1)
        .position(|byte| matches!(byte, b'.' | b'@' | b'$'))
        .map_or(name.len(), |at| at + 1);
    let name = &name[..end];
    // `_ZN4core3fmt5write17h0123456789abcdefE`
    if let Some(rest) = name.strip_suffix(b"E")
        && let Some((path, hash)) = rest.split_last_chunk::<19>()
        && hash.starts_with(b"17h")
        && hash[3..].iter().all(u8::is_ascii_hexdigit)
    {
        return path.to_vec();
    }
    // `_RNvCs1a2B_7mycrate3run`
    if name.starts_with(b"_R") {
        let mut plain = Vec::with_capacity(name.len());
        let mut rest = name;
        while let Some((first, behind)) = rest.split_first() {
            plain.push(*first);
            rest = behind;
            if *first == b'C'
                && let Some(number) = behind.strip_prefix(b"s")
                && let Some(end) = number.iter().position(|byte| *byte == b'_')
                && number[..end].iter().all(u8::is_ascii_alphanumeric)
            {
                rest = &number[end + 1..];
            }
        }
        return plain;
    }
    name.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compilers_add_is_left_out() {
        for (name, expected) in [
            ("H5Fopen", "H5Fopen"),
            ("gmx_mdrun.constprop.0", "gmx_mdrun"),
            ("__module_MOD_run", "__module_MOD_run"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "_ZN4core3fmt5write"),
            ("_ZN4core3fmt5write17hxyzE", "_ZN4core3fmt5write17hxyzE"),
            ("_RNvCs1a2B_7mycrate3run", "_RNvC7mycrate3run"),
            ("memcpy@GLIBC_2.14", "memcpy"),
        ] {
            assert_eq!(plain(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }
}
