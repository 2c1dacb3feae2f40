//! A machine that has what documents name: packages, users' programs, a token, an advisory.
//!
//! It is a sandbox of bubblewrap: this machine's programs, and directories of its own in the places
//! that documents name.

use crate::{Stage, see, text};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Directories of this machine that the sandbox shows.
const SHARED: [&str; 7] = ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/var/lib/dpkg", "/tmp"];

/// See the module.
pub struct DocumentedMachine {
    root: PathBuf,
}

impl DocumentedMachine {
    /// Makes it below the stage's folder. `work` is where commands run.
    pub fn new(stage: &Stage, work: &Path) -> Self {
        let machine = DocumentedMachine { root: stage.folder().join("machine") };
        let (old, new) = (machine.program("lmp-2023", 0), machine.program("lmp-home", 25));
        for place in [
            "srv/images/node-12/usr/bin/ls",
            "opt/conda/envs/ml/bin/python3.11",
            "apps/software/GROMACS/2024.3/bin/gmx",
            "opt/vasp/6.4.2/bin/vasp_std",
            "opt/lammps/2023.08/bin/lmp",
            "opt/spack/linux/gcc/hdf5-1.14.3-abc/bin/h5dump",
        ] {
            machine.put(place, &fs::read(&old).unwrap());
        }
        for place in ["home/ann/bin/lmp", "scratch/ann/bin/lmp"] {
            machine.put(place, &fs::read(&new).unwrap());
        }
        machine
            .put("srv/images/node-12/var/lib/dpkg/info/coreutils.list", b"/.\n/usr\n/usr/bin\n/usr/bin/ls\n");
        machine.put(
            "srv/images/node-12/var/lib/dpkg/status",
            b"Package: coreutils\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9.1-1\n",
        );
        let conda = json!({ "name": "python", "version": "3.11.9", "files": ["bin/python3.11"] });
        machine.put("opt/conda/envs/ml/conda-meta/python-3.11.9-0.json", conda.to_string().as_bytes());
        let hdf5 = json!({
            "spec": { "name": "hdf5", "version": "1.14.3", "hash": "abcdefabcdef" },
            "path": "/opt/spack/linux/gcc/hdf5-1.14.3-abc", "installed": true,
        });
        let spack = json!({ "database": { "version": "7", "installs": { "abcdefabcdef": hdf5 } } });
        machine.put("opt/spack/.spack-db/index.json", spack.to_string().as_bytes());
        machine.put(
            "apps/lmod/cache/spiderT.lua",
            b"spiderT = { [\"/apps/modules\"] = { GROMACS = { fileT = { [\"GROMACS/2024.3\"] = {\n\
            fn = \"/apps/modules/GROMACS/2024.3.lua\", Version = \"2024.3\",\n\
            pathA = { [\"/apps/software/GROMACS/2024.3/bin\"] = 1 } } } } } }\n",
        );
        let token = stage.token_file(&["--scope", "administer"]);
        machine.put("etc/ogrt/operator.token", &fs::read(token).unwrap());
        for name in ["passwd", "group", "hosts", "os-release"] {
            machine.put(&format!("etc/{name}"), &fs::read(Path::new("/etc").join(name)).unwrap_or_default());
        }
        fs::create_dir_all(work).unwrap();
        fs::write(work.join("DSA-5649-1.json"), osv_advisory()).unwrap();
        fs::write(work.join("rhsa-2024_1234.json"), csaf_advisory()).unwrap();
        fs::copy(machine.program("a.out", 1000), work.join("a.out")).unwrap();
        // What `ogrt identify --unregistered` finds has run here.
        let ran = machine.run(stage, work, "JOBID=4699 ogrt run -- /home/ann/bin/lmp");
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        machine
    }

    /// Builds a program of many functions, of which some differ from those of others.
    fn program(&self, name: &str, different: u32) -> PathBuf {
        let function = |number: u32| {
            let own = if number < different { name } else { "common" };
            let id = own.replace(['-', '.'], "_");
            format!(
                "__attribute__((noinline)) int pair_{id}_{number}(int x) {{\n\
                 printf(\"pair style {own} {number}: illegal neighbour list %d\\n\", x); return x + {number}; }}\n"
            )
        };
        let call = |number: u32| {
            let own = if number < different { name } else { "common" };
            format!("x = pair_{}_{number}(x);\n", own.replace(['-', '.'], "_"))
        };
        let count = if different > 200 { 2 } else { 200 };
        let functions: String = (0..count).map(function).collect();
        let calls: String = (0..count).map(call).collect();
        let source = format!(
            "#include <stdio.h>\n{functions}\nint main(int x, char **v) {{ (void)v; if (x > 1) {{ {calls} }} return 0; }}\n"
        );
        fs::create_dir_all(&self.root).unwrap();
        let (file, program) = (self.root.join(format!("{name}.c")), self.root.join(name));
        fs::write(&file, source).unwrap();
        let built = see(Command::new("gcc").arg(&file).arg("-Wl,--build-id").arg("-o").arg(&program));
        assert!(built.status.success(), "{}", text(&built.stderr));
        program
    }

    fn put(&self, place: &str, content: &[u8]) {
        let path = self.root.join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a line of a shell there.
    pub fn run(&self, stage: &Stage, work: &Path, line: &str) -> Output {
        let mut command = stage.command("bwrap");
        command.args(["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]);
        for shared in SHARED.iter().filter(|path| Path::new(path).exists()) {
            match fs::read_link(shared) {
                Ok(target) => command.arg("--symlink").arg(target).arg(shared),
                Err(_) => command.args(["--bind", shared, shared]),
            };
        }
        for own in ["apps", "etc", "home", "opt", "scratch", "srv"] {
            command.arg("--bind").arg(self.root.join(own)).arg(format!("/{own}"));
        }
        command.arg("--bind").args([stage.prefix(), stage.prefix()]);
        command.arg("--bind").args([stage.folder(), stage.folder()]);
        command.arg("--chdir").arg(work).args(["sh", "-c", line]);
        command.env("OGRT_TOKEN_FILE", "/etc/ogrt/operator.token");
        see(&mut command)
    }
}

/// An advisory in OSV's form about versions that a site in a box has.
fn osv_advisory() -> String {
    json!({
        "id": "DSA-5649-1", "schema_version": "1.6.0", "modified": "2024-03-29T00:00:00Z",
        "affected": [{
            "package": { "ecosystem": "Debian:13", "name": "xz-utils" },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "5.6.0-0.1" }, { "fixed": "5.6.1+really5.4.5-1" }] }],
        }],
    })
    .to_string()
}

/// An advisory in CSAF's form about the same, in a product that a document names.
fn csaf_advisory() -> String {
    let version = json!({ "category": "product_version", "name": "5.6.1", "product": {
        "product_id": "xz-5.6.1", "name": "xz-utils",
        "product_identification_helper": { "purl": "pkg:deb/debian/xz-utils@5.6.1-1?arch=source" } } });
    let system = json!({ "category": "product_name", "name": "Linux 9", "product": {
        "product_id": "linux-9", "name": "Example Linux 9",
        "product_identification_helper": { "cpe": "cpe:/o:debian:debian_linux" } } });
    json!({
        "document": { "category": "csaf_security_advisory", "csaf_version": "2.0",
            "tracking": { "id": "EX-2024-1234" } },
        "product_tree": {
            "branches": [{ "category": "vendor", "name": "Example", "branches": [system, version] }],
            "relationships": [{ "category": "default_component_of", "product_reference": "xz-5.6.1",
                "relates_to_product_reference": "linux-9",
                "full_product_name": { "product_id": "linux-9:xz", "name": "xz-utils of Linux 9" } }],
        },
        "vulnerabilities": [{ "cve": "CVE-2024-3094", "product_status": { "known_affected": ["linux-9:xz"] } }],
    })
    .to_string()
}
