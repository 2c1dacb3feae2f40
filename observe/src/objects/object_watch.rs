//! The flow of the looks at running processes.

use super::{
    gpus::GpuUse,
    java_packages::java_packages,
    look_times::{LookTimes, RunningProgram},
    mapped_objects::{CodeMapping, code_mappings},
    package_versions::{PackageVersions, version_of_r},
    python_packages::python_packages,
};
use crate::{
    clock::now_ns,
    exec_events::ExecEvent,
    file_facts::{FileCache, path_of},
    job_variables::{JobVariables, job_of_groups},
    package_paths::{Language, package_of_path},
    process::process_number,
    process_directory::ProcessDirectory,
    program_file::FileKind,
    selection::Selection,
    server_link::{MESSAGE_MAX, ServerLink},
};
use ogrt_proto::{MessageType, Observation, Package, SharedObject, encode_frame};
use prost::Message;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

/// The library that tells of starts. It does not tell of itself.
const OURSELVES: &[u8] = b"/libogrt.so";

/// Languages whose packages are not known by the paths of objects.
const PYTHON: &str = "Python";
const JAVA: &str = "Java";

/// Looks before something else is done.
const LOOKS_MAX: usize = 16;

/// Bytes of the environment and of the list of control groups in which the job is looked for.
const TEXT_MAX: usize = 1 << 20;

/// The time by which the beginning of a process may be later than its exec, as clocks tell.
const CLOCKS_NS: i64 = 50_000_000;

/// What the server has been told of a program.
#[derive(Default)]
struct ToldObjects {
    objects: HashSet<(u64, u64)>,
    gpus: GpuUse,
    packages: BTreeSet<(&'static str, String)>,
}

impl ToldObjects {
    /// The package that an object belongs to, by its path, if it was not told before.
    fn package(
        &mut self,
        path: &[u8],
        mapping: &CodeMapping,
        directory: &ProcessDirectory,
    ) -> Option<Package> {
        let (language, name) = package_of_path(str::from_utf8(path).ok()?)?;
        self.named_package(language.name(), name, || match language {
            Language::R => version_of_r(directory, mapping),
            Language::Julia | Language::Perl | Language::Matlab => None,
        })
    }

    /// A package, if it was not told before.
    fn named_package(
        &mut self,
        language: &'static str,
        name: String,
        version: impl FnOnce() -> Option<String>,
    ) -> Option<Package> {
        let is_new = self.packages.insert((language, name.clone()));
        is_new.then(|| Package {
            language: Some(language.to_owned()),
            name: Some(name.into()),
            version: version(),
            ..Package::default()
        })
    }
}

/// See the module.
pub struct ObjectWatch {
    times: LookTimes,
    told: HashMap<RunningProgram, ToldObjects>,
    selection: Selection,
    job_id_variables: String,
    versions: PackageVersions,
}

impl ObjectWatch {
    /// Looks at the processes of this selection.
    pub fn new(selection: Selection, job_id_variables: String) -> Self {
        ObjectWatch {
            times: LookTimes::default(),
            told: HashMap::new(),
            selection,
            job_id_variables,
            versions: PackageVersions::default(),
        }
    }

    /// The time until the next look.
    pub fn wait(&self) -> Option<Duration> {
        self.times.wait(Instant::now())
    }

    /// Takes which processes have become another program.
    pub fn executed(&mut self, execs: &[ExecEvent]) {
        let now = Instant::now();
        for exec in execs {
            self.times.begin(RunningProgram { pid: exec.pid, exec_ns: exec.time_ns }, now);
        }
    }

    /// Looks at what is due, and tells the server.
    pub fn run(&mut self, files: &mut FileCache, server: &mut ServerLink) {
        for _ in 0..LOOKS_MAX {
            let now = Instant::now();
            let Some((program, looks)) = self.times.take_due(now) else { return };
            match self.look(program, looks, files) {
                Some(observation) => {
                    if let Some(frame) = observation {
                        server.push(frame, None);
                    }
                    self.times.again(program, looks, now);
                }
                None => {
                    self.told.remove(&program);
                    self.times.end(program);
                }
            }
        }
    }

    /// The message of a look. `None` where the program is gone, or is not to be looked at.
    fn look(
        &mut self,
        program: RunningProgram,
        looks: usize,
        files: &mut FileCache,
    ) -> Option<Option<Vec<u8>>> {
        let pid = program.pid;
        let pidfd = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
        let directory = ProcessDirectory::open(pid, Some(&pidfd))?;
        if directory.began_ns()? > program.exec_ns + CLOCKS_NS {
            // Another process has the number by now.
            return None;
        }
        if looks == 0 && !self.is_selected(&directory) {
            return None;
        }
        let seen_ns = now_ns();
        let executable = directory.executable()?;
        let mappings = code_mappings(&directory)?;
        let told = self.told.entry(program).or_default();
        let mut observation = Observation {
            pid: Some(pid.cast_signed()),
            process_number: process_number(&pidfd),
            seen_ns: Some(seen_ns),
            ..Observation::default()
        };
        let imported = python_packages(pid, mappings.iter().map(|mapping| &mapping.path[..]));
        let imported = imported.into_iter().filter_map(|name| {
            let version = || self.versions.of_python(&directory, &mappings, &name);
            told.named_package(PYTHON, name.clone(), version)
        });
        observation.packages.extend(imported);
        let jars = java_packages(&directory, mappings.iter().map(|mapping| &mapping.path[..]));
        let jars = jars.into_iter().filter_map(|(name, version)| told.named_package(JAVA, name, || version));
        observation.packages.extend(jars);
        let gpus = GpuUse::look(&directory, mappings.iter().map(|mapping| &mapping.path[..]));
        let mut bytes = 0;
        for mapping in mappings {
            let Some(file) = directory.open_file(&mapping.name) else { continue };
            let Some((id, facts)) = files.facts(&file) else { continue };
            let is_object = facts.content.kind != FileKind::Other && (id.0, id.1) != executable;
            if !is_object || !told.objects.insert((id.0, id.1)) {
                continue;
            }
            let path = path_of(&file);
            if path.ends_with(OURSELVES) {
                continue;
            }
            let object = SharedObject {
                path: Some(path.clone().into()),
                notes: facts.content.notes.clone(),
                build_id: facts.content.build_id.clone().map(Into::into),
                ..SharedObject::default()
            };
            bytes += object.encoded_len() + 4;
            if bytes > MESSAGE_MAX / 2 {
                // It is told at the next look.
                told.objects.remove(&(id.0, id.1));
                break;
            }
            observation.packages.extend(told.package(&path, &mapping, &directory));
            observation.shared_objects.push(object);
        }
        if gpus != told.gpus {
            observation.gpus = gpus.messages();
            told.gpus = gpus;
        }
        // What was read after the process has become another program is the other's.
        if !self.times.is_current(program) || directory.executable() != Some(executable) {
            return None;
        }
        let has_news = !observation.shared_objects.is_empty()
            || !observation.gpus.is_empty()
            || !observation.packages.is_empty();
        Some(has_news.then(|| encode_frame(MessageType::Observation, &observation).to_vec()))
    }

    fn is_selected(&self, directory: &ProcessDirectory) -> bool {
        let Some(identity) = directory.identity() else { return false };
        let in_job = || {
            let groups = directory.read("cgroup", TEXT_MAX);
            let environment = directory.read("environ", TEXT_MAX);
            groups.is_some_and(|(groups, _)| job_of_groups(&groups).is_some())
                || environment.is_some_and(|(environment, _)| {
                    !JobVariables::read(&environment, &self.job_id_variables).job_id.is_empty()
                })
        };
        self.selection.has(identity.uid, self.selection.all || in_job())
    }

    /// Does what is due from time to time; the server hears what could not be looked at.
    pub fn tidy(&mut self) {
        let times = &self.times;
        self.told.retain(|program, _| times.is_current(*program));
    }

    /// Forgets what the server was told: it is another one.
    pub fn begin_anew(&mut self) {
        self.told.clear();
    }
}
