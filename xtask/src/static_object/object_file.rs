//! An object file that is put together section by section.

/// Bytes of a file's header, and of a section's.
const HEADER_LEN: usize = 64;

/// A relocatable object that is being put together: 64 bits, little-endian. Its table of sections
/// comes last.
pub struct ObjectFile {
    machine: u16,
    bytes: Vec<u8>,
    names: Vec<u8>,
    headers: Vec<u8>,
    count: u16,
}

impl ObjectFile {
    /// An object for this machine without a section.
    pub fn new(machine: u16) -> ObjectFile {
        ObjectFile {
            machine,
            bytes: vec![0; HEADER_LEN],
            names: vec![0],
            headers: vec![0; HEADER_LEN],
            count: 1,
        }
    }

    /// Adds a section, and returns its index. `links` are sh_link and sh_info.
    pub fn section(
        &mut self,
        name: &str,
        (kind, flags): (u32, u64),
        content: &[u8],
        links: [u32; 2],
        (alignment, entry_len): (usize, u64),
    ) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        let (name_at, offset) = (self.names.len() as u32, self.bytes.len() as u64);
        self.names.extend(name.bytes());
        self.names.push(0);
        self.bytes.extend(content);
        self.headers.extend([name_at, kind].map(u32::to_le_bytes).as_flattened());
        let len = content.len() as u64;
        self.headers.extend([flags, 0, offset, len].map(u64::to_le_bytes).as_flattened());
        self.headers.extend(links.map(u32::to_le_bytes).as_flattened());
        self.headers.extend([alignment as u64, entry_len].map(u64::to_le_bytes).as_flattened());
        self.count += 1;
        u32::from(self.count) - 1
    }

    /// Its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        const SHSTRTAB: &str = ".shstrtab";
        let names = [&self.names[..], SHSTRTAB.as_bytes(), b"\0"].concat();
        let names_index = self.section(SHSTRTAB, (3, 0), &names, [0, 0], (1, 0)) as u16;
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let table_at = self.bytes.len() as u64;
        let half = |value: u16| value.to_le_bytes();
        let mut header = vec![0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // ET_REL, the machine, the version of ELF; no entry, no program headers.
        header.extend([half(1), half(self.machine), half(1), half(0)].as_flattened());
        header.extend([0, 0, table_at].map(u64::to_le_bytes).as_flattened());
        header.extend([0; 4]);
        let len = HEADER_LEN as u16;
        header.extend([len, 0, 0, len, self.count, names_index].map(u16::to_le_bytes).as_flattened());
        self.bytes[..HEADER_LEN].copy_from_slice(&header);
        self.bytes.extend(&self.headers);
        self.bytes
    }
}
