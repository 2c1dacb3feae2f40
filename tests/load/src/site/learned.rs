//! What `ogrt learn` would tell of a site: the files of its packages and of its vendors.

use super::{Origin, Site};
use ogrt_proto::hex;
use serde_json::{Value, json};

/// The body of `POST /v1/learned`.
pub fn body(site: &Site) -> String {
    let package = |origin: Origin, software: &str, version: &str, path: &str, build_id: &[u8]| {
        let mut file = json!({ "path": path });
        if !build_id.is_empty() {
            file["build_id"] = hex(build_id).into();
        }
        json!({
            "packager": packager(origin), "software": software, "version": version, "package": software,
            "files": [file],
        })
    };
    let is_learned = |origin: Origin| origin.is_learned();
    let programs = site.programs.iter().filter(|program| is_learned(program.code.origin)).map(|program| {
        package(program.code.origin, program.code.name, program.version, &program.path, &program.build_id)
    });
    let libraries = site.libraries.iter().filter(|file| is_learned(file.library.origin));
    let libraries = libraries.map(|file| {
        package(file.library.origin, file.library.name, file.version, &file.path, &file.build_id)
    });
    let packages: Vec<Value> = programs.chain(libraries).collect();
    json!({ "source": "node-12", "packages": packages }).to_string()
}

fn packager(origin: Origin) -> &'static str {
    match origin {
        Origin::Dpkg => "dpkg",
        Origin::Conda => "conda",
        _ => "tree",
    }
}
