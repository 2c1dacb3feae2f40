//! Writes `sketch/src/everywhere.bin`: names and texts of the languages' own libraries.
//!
//! ```text
//! cargo run --package ogrt-sketch --example everywhere
//! ```
//!
//! It looks at the archives of this machine's compilers, and at a small program of each language.
//! The file that is committed was made on Debian 12 with gcc 12, go 1.26 and rustc 1.95. A new file
//! is a new version of the format.

use ogrt_sketch::{Hash, Sketch};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Archives and libraries that gcc knows by their names.
const LIBRARIES: [&str; 18] = [
    "libc.a",
    "libm-2.36.a",
    "libmvec.a",
    "libresolv.a",
    "libc.so.6",
    "libm.so.6",
    "libstdc++.so.6",
    "libstdc++.a",
    "libsupc++.a",
    "libgcc.a",
    "libgcc_eh.a",
    "libgcc_s.so.1",
    "libgfortran.a",
    "libquadmath.a",
    "libgomp.a",
    "libatomic.a",
    "crt1.o",
    "crtbeginS.o",
];

/// Small programs: the name of the source, its text, and how it is linked.
const PROGRAMS: [(&str, &str, &[&str]); 9] = [
    ("a.c", "int main(void) { return 0; }", &["gcc"]),
    ("b.c", "#include <stdio.h>\nint main(void) { return puts(\"\"); }", &["gcc", "-static"]),
    ("c.c", "int main(void) { return 0; }", &["gcc", "-shared", "-fPIC"]),
    ("d.c", "#include <stdio.h>\nint main(void) { return puts(\"\"); }", &["musl-gcc", "-static"]),
    ("e.cc", "#include <iostream>\nint main() { std::cout << std::cin.rdbuf(); }", &["g++", "-static"]),
    ("f.f90", "print *, 1\nend", &["gfortran", "-static"]),
    (
        "g.go",
        "package main\nimport (\"fmt\"; \"net/http\"; \"encoding/json\"; \"os\")\nfunc main() { fmt.Println(json.NewEncoder(os.Stdout).Encode(os.Args), http.ListenAndServe(\"\", nil)) }",
        &["go", "build"],
    ),
    ("h.rs", RUST, &["rustc"]),
    ("i.rs", RUST, &["rustc", "-O", "-Ctarget-feature=+crt-static"]),
];

const RUST: &str = "use std::collections::*;\n\
    fn main() {\n\
        let mut words: HashMap<String, Vec<String>> = HashMap::new();\n\
        let mut order = BTreeMap::new();\n\
        for (index, word) in std::env::args().enumerate() {\n\
            words.entry(word.clone()).or_default().push(format!(\"{index:?}\"));\n\
            order.insert(word, index);\n\
        }\n\
        let reader = std::thread::spawn(|| std::fs::read_to_string(\"x\"));\n\
        println!(\"{words:?} {order:?} {:?} {:?}\", reader.join(), std::net::TcpStream::connect(\"a:1\"));\n\
    }\n";

fn main() {
    let folder = tempfile::tempdir().expect("a folder for programs");
    let mut hashes = BTreeSet::new();
    for name in LIBRARIES {
        add(&PathBuf::from(output("gcc", &[&format!("-print-file-name={name}")])), &mut hashes);
    }
    for (source, text, words) in PROGRAMS {
        fs::write(folder.path().join(source), text).expect("a source");
        let program = folder.path().join(format!("{source}.out"));
        let mut compile = Command::new(words[0]);
        compile.current_dir(folder.path()).args(&words[1..]).arg("-o").arg(&program).arg(source);
        let status = compile.status().unwrap_or_else(|why| panic!("{}: {why}", words[0]));
        assert!(status.success(), "{words:?}");
        add(&program, &mut hashes);
    }
    let rust = PathBuf::from(output("rustc", &["--print", "target-libdir"]));
    for entry in fs::read_dir(&rust).expect("the libraries of Rust").flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "rlib") {
            add(&entry.path(), &mut hashes);
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/everywhere.bin");
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    fs::write(&file, bytes).expect("src/everywhere.bin");
    println!("{}: {} hashes", file.display(), hashes.len());
}

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|why| panic!("{program}: {why}"));
    String::from_utf8(output.stdout).expect("a path").trim_end().to_owned()
}

/// Adds a linked file, an object, or the members of an archive.
fn add(path: &Path, hashes: &mut BTreeSet<Hash>) {
    let bytes = fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let Some(mut members) = bytes.strip_prefix(b"!<arch>\n") else {
        hashes.extend(Sketch::all_hashes(&&bytes[..]).unwrap_or_default());
        return;
    };
    while let Some((header, rest)) = members.split_first_chunk::<60>() {
        let size = String::from_utf8_lossy(&header[48..58]);
        let size: usize = size.trim().parse().expect("the size of a member");
        hashes.extend(Sketch::all_hashes(&&rest[..size]).unwrap_or_default());
        members = rest.get(size + size % 2..).unwrap_or_default();
    }
}
