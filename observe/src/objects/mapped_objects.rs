//! The files that a process runs code of, by its memory map.

use crate::process_directory::ProcessDirectory;

/// Most bytes of a memory map that are read: some ten thousand mappings.
const MAP_MAX: usize = 2 << 20;

/// Most files of one process.
const FILES_MAX: usize = 4096;

/// A mapping with code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMapping {
    /// The name of the mapping in `map_files`.
    pub name: String,
    /// The path, as the map has it.
    pub path: Vec<u8>,
}

/// The mapping of each file that code is run of, each file once. `None` where the process is gone.
pub fn code_mappings(directory: &ProcessDirectory) -> Option<Vec<CodeMapping>> {
    let (map, _) = directory.read("maps", MAP_MAX)?;
    (!map.is_empty()).then(|| read(&map))
}

fn read(map: &[u8]) -> Vec<CodeMapping> {
    let mut found: Vec<CodeMapping> = Vec::new();
    let mut last: (&[u8], &[u8]) = (b"", b"");
    let mut files = std::collections::HashSet::new();
    for line in map.split(|byte| *byte == b'\n') {
        let Some(fields) = Fields::read(line) else { continue };
        let file = (fields.device, fields.inode);
        // Mappings of one file stand together, most of the time.
        let is_code = fields.rights.get(2) == Some(&b'x') && fields.inode != b"0";
        if !is_code || file == last || !fields.path.starts_with(b"/") || !files.insert(file) {
            continue;
        }
        last = file;
        if found.len() >= FILES_MAX {
            break;
        }
        // The kernel writes addresses without leading zeros in both places.
        let Some(name) = mapping_name(fields.addresses) else { continue };
        found.push(CodeMapping { name, path: fields.path.to_vec() });
    }
    found
}

/// The name of a mapping in `map_files`, where addresses have no leading zeros.
fn mapping_name(addresses: &[u8]) -> Option<String> {
    let (from, to) = str::from_utf8(addresses).ok()?.split_once('-')?;
    let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16));
    Some(format!("map_files/{:x}-{:x}", from.ok()?, to.ok()?))
}

/// The fields of a line.
struct Fields<'a> {
    addresses: &'a [u8],
    rights: &'a [u8],
    device: &'a [u8],
    inode: &'a [u8],
    path: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (addresses, rights, _, device, inode) =
            (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let path = words.next().unwrap_or_default().trim_ascii_start();
        Some(Fields { addresses, rights, device, inode, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
55d0c0a00000-55d0c0a02000 r--p 00000000 08:01 100    /usr/bin/cat
55d0c0a02000-55d0c0a06000 r-xp 00002000 08:01 100    /usr/bin/cat
7f10a0000000-7f10a0021000 rw-p 00000000 00:00 0 
7f10a4000000-7f10a4100000 r-xp 00000000 08:01 200    /usr/lib/libx.so.1
7f10a4100000-7f10a4200000 r-xp 00100000 08:01 200    /usr/lib/libx.so.1
7f10a4200000-7f10a4300000 r-xp 00100000 08:02 200    /opt/a b (deleted)
7f10a4300000-7f10a4400000 r-xp 00000000 00:00 0      /made/up
00400000-00401000 r-xp 00000000 08:01 300    /low
7ffd1c9c6000-7ffd1c9c8000 r-xp 00000000 00:00 0      [vdso]
";

    #[test]
    fn each_file_with_code_is_there_once() {
        let found = read(MAP.as_bytes());
        let paths: Vec<_> = found.iter().map(|mapping| str::from_utf8(&mapping.path).unwrap()).collect();
        assert_eq!(paths, ["/usr/bin/cat", "/usr/lib/libx.so.1", "/opt/a b (deleted)", "/low"]);
        assert_eq!(found[3].name, "map_files/400000-401000");
    }

    #[test]
    fn no_cut_of_a_map_leads_out_of_it() {
        for cut in 0..MAP.len() {
            assert!(read(&MAP.as_bytes()[..cut]).len() <= 4);
        }
        assert!(read(&[b' '; 300]).is_empty());
    }

    #[test]
    fn our_own_libraries_are_found() {
        let directory = ProcessDirectory::open(std::process::id(), None).unwrap();
        let found = code_mappings(&directory).unwrap();
        assert!(found.iter().any(|mapping| mapping.path.ends_with(b"/libc.so.6")), "{found:?}");
    }
}
