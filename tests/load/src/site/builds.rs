//! Records of the builds of a site: programs, and the libraries that they contain.

use super::{LibraryFile, Origin, Program, Site, people, programs::digest_of};
use bytes::Bytes;
use ogrt_proto::{BuildMetadata, BuildRecord, Compiler, FileKind, Input, Output, Tool};

const DAY_NS: i64 = 86_400_000_000_000;

/// All of them: libraries before what contains them.
pub fn records(site: &Site) -> Vec<BuildRecord> {
    let first_ns = site.size.moments.first().map_or(0, |first| first * 1_000_000_000);
    let last_ns = site.size.moments.last().map_or(0, |last| last * 1_000_000_000);
    let old_ns = first_ns - 20 * DAY_NS;
    let new_ns = first_ns + (last_ns - first_ns) / 3;
    let libraries = site.libraries.iter().filter_map(|file| library(file, old_ns));
    let programs = site.programs.iter().enumerate().filter_map(|(index, program)| {
        // What has one version only is as old as the site.
        let is_new = !program.is_old && program.code.versions.len() > 1;
        // Some users built their programs today.
        let time_ns = match (program.code.origin, is_new) {
            (Origin::Home, true) => last_ns - 3_600_000_000_000,
            (_, true) => new_ns + index as i64 * DAY_NS / 4,
            (_, false) => old_ns + DAY_NS + index as i64 * 60_000_000_000,
        };
        self::program(site, program, time_ns)
    });
    libraries.chain(programs).chain([plot(last_ns - 3_600_000_000_000)]).collect()
}

/// A build of the user games, by another compiler than all others.
fn plot(time_ns: i64) -> BuildRecord {
    let path = "/home/games/plot";
    let by = Installation::of(Origin::Home, "plot", "2.0", "clang", None);
    let by = Installation { user: "games".to_owned(), uid: 5, host: "login1", ..by };
    let record = by.record(super::programs::signature(path, "2.0"), time_ns, &["clang", "-O2"], path);
    let output = output(path, FileKind::Executable, &digest_of(path).slice(..20), 90_000);
    BuildRecord { inputs: vec![object(path, "plot.o")], output: Some(output), ..record }
}

fn library(file: &LibraryFile, time_ns: i64) -> Option<BuildRecord> {
    let signature = file.signature.clone()?;
    let own = object(&file.path, "lib.o");
    let by = Installation::of(file.library.origin, file.library.name, file.version, "foss-2023b", Some(1));
    let record = by.record(signature, time_ns, &["gcc", "-O2", "-fPIC", "-shared"], &file.path);
    let archive = (file.library.key == "HDF5").then(|| archive("/apps/software/szip/2.1.1/lib/libsz.a"));
    let inputs = [Some(own), archive].into_iter().flatten().collect();
    let output = output(&file.path, FileKind::SharedLibrary, &file.build_id, 2_000_000);
    Some(BuildRecord { inputs, output: Some(output), ..record })
}

fn program(site: &Site, program: &Program, time_ns: i64) -> Option<BuildRecord> {
    let signature = program.signature.clone()?;
    let toolchain = program.toolchain().replace('/', "-");
    let by =
        Installation::of(program.code.origin, program.code.name, program.version, &toolchain, program.owner);
    // What differs between two versions: the flags, a source, and libraries.
    let flags: &[&str] = match program.is_old {
        true => &["gcc", "-O2", "-march=x86-64-v2"],
        false => &["gcc", "-Ofast", "-march=x86-64-v4", "-fopenmp"],
    };
    let record = by.record(signature, time_ns, flags, &program.path);
    let loaded = program.libraries.iter().map(|index| &site.libraries[*index]);
    let libraries = loaded.map(|file| Input {
        path: Some(file.path.clone().into()),
        sha256: Some(digest_of(&file.path)),
        size: Some(2_000_000),
        kind: Some(FileKind::SharedLibrary as i32),
        signatures: file.signature.iter().cloned().collect(),
        build_id: Some(file.build_id.clone()),
        ..Input::default()
    });
    let mut objects = vec![object(&program.path, "main.o"), object(&program.path, "solve.o")];
    if !program.is_old {
        objects.push(object(&program.path, "gpu.o"));
    }
    let inputs = objects.into_iter().chain(libraries).collect();
    let output = output(&program.path, FileKind::Executable, &program.build_id, 9_000_000);
    Some(BuildRecord { inputs, output: Some(output), ..record })
}

fn object(path: &str, name: &str) -> Input {
    Input {
        path: Some(name.to_owned().into()),
        sha256: Some(digest_of(&format!("{path} {name}"))),
        size: Some(40_000),
        kind: Some(FileKind::Object as i32),
        ..Input::default()
    }
}

fn archive(path: &str) -> Input {
    Input {
        path: Some(path.to_owned().into()),
        sha256: Some(digest_of(path)),
        size: Some(120_000),
        kind: Some(FileKind::Archive as i32),
        ..Input::default()
    }
}

fn output(path: &str, kind: FileKind, build_id: &Bytes, size: u64) -> Output {
    Output {
        path: Some(path.to_owned().into()),
        sha256: Some(digest_of(path)),
        size: Some(size),
        kind: Some(kind as i32),
        build_id: Some(build_id.clone()).filter(|id| !id.is_empty()),
        machine: Some("x86_64".into()),
        ..Output::default()
    }
}

/// Who built something, and by what.
struct Installation {
    metadata: BuildMetadata,
    user: String,
    uid: u32,
    host: &'static str,
}

impl Installation {
    fn of(origin: Origin, name: &str, version: &str, toolchain: &str, owner: Option<usize>) -> Self {
        let by = |manager: &str, id: String| (Some(manager.to_owned()), Some(id));
        let (package_manager, package_id) = match origin {
            Origin::EasyBuild => by("easybuild", format!("{name}-{version}-{toolchain}.eb")),
            Origin::Spack => {
                let hash = ogrt_proto::hex(&digest_of(&format!("{name}{version}"))[..16]);
                by("spack", hash)
            }
            _ => (None, None),
        };
        let (user, uid, host) = match (origin, owner) {
            (Origin::Home, Some(owner)) => (people::user(owner), people::uid(owner), "login1"),
            (Origin::Spack, _) => ("spack".to_owned(), 3_099_002, "build2"),
            _ => ("easybuild".to_owned(), 3_099_001, "build1"),
        };
        let metadata = BuildMetadata {
            name: Some(name.to_owned()),
            version: Some(version.to_owned()),
            toolchain: (origin == Origin::EasyBuild).then(|| toolchain.to_owned()),
            module: (origin == Origin::EasyBuild).then(|| format!("{name}/{version}-{toolchain}")),
            package_manager,
            package_id,
            builder: Some(user.clone()),
            compiler: Some(compiler(toolchain).to_owned()),
            ..BuildMetadata::default()
        };
        Installation { metadata, user, uid, host }
    }

    /// A record without inputs and output.
    fn record(self, signature: Bytes, time_ns: i64, command: &[&str], path: &str) -> BuildRecord {
        let compiler = self.metadata.compiler.clone().unwrap_or_default();
        let version = compiler.split(' ').nth(1).unwrap_or_default().to_owned();
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec().into()).collect();
        let tool =
            |path: &'static str, version: String| Tool { path: Some(path.into()), version: Some(version) };
        let flags = command[1..].join(" ");
        let producer = match command[0] {
            "clang" => format!("clang version {version}"),
            _ => format!("GNU C17 {version} {flags}"),
        };
        BuildRecord {
            signature: Some(signature),
            time_ns: Some(time_ns),
            duration_ns: Some(240_000_000),
            hostname: Some(self.host.to_owned()),
            uid: Some(self.uid),
            gid: Some(self.uid),
            username: Some(self.user),
            working_directory: Some(format!("/build/{}", self.metadata.name()).into()),
            driver_command: words(&[command, &["main.o", "solve.o", "-o", path]].concat()),
            linker_command: words(&["ld", "-o", path, "main.o", "solve.o"]),
            driver: Some(tool("/apps/software/GCCcore/bin/gcc", format!("gcc (GCC) {version}"))),
            linker: Some(tool("/apps/software/binutils/bin/ld", "GNU ld (GNU Binutils) 2.40".to_owned())),
            compilers: vec![Compiler { producer: Some(producer), inputs: Some(2) }],
            client: Some("ogrt-ld 1.0.0".to_owned()),
            metadata: Some(self.metadata),
            ..BuildRecord::default()
        }
    }
}

fn compiler(toolchain: &str) -> &'static str {
    match toolchain {
        "clang" => "clang 14.0.6",
        old if old.contains("2022b") => "gcc 12.2.0",
        _ => "gcc 13.2.0",
    }
}
