//! `ogrt show`: our notes in ELF files, in all below a directory, or in what a process has loaded.

use crate::{
    elf_notes::{self, ElfError, ElfFile},
    exit_status::{ExitStatus, complain, print},
    format::{note_json, note_table},
    mapped_files,
};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt show ./a.out\n\
\x20 ogrt show /opt/software      # all ELF files below it\n\
\x20 ogrt show --json --pid 4711  # what a running process has loaded";

/// Show the signature and metadata in ELF files, below directories, or of a running process.
///
/// They stand in a note that OGRT puts into what it links. A file without a note was linked without
/// OGRT, or its note was removed.
///
/// Exit status: 0 every file has a note (of a directory or process: at least one); 1 one has none
/// (of a directory or process: none has); 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowCommand {
    /// Programs, shared libraries or object files; of a directory all ELF files below it.
    #[arg(value_name = "FILE", required_unless_present = "pid")]
    files: Vec<PathBuf>,

    /// Show the executable and the shared objects of this process instead.
    #[arg(long, value_name = "PID", conflicts_with = "files")]
    pid: Option<u32>,

    /// Print JSON: a list with one entry for each file.
    #[arg(long)]
    json: bool,
}

impl ShowCommand {
    /// Prints every note. Answers no where a file (of a directory or process: every file) has none.
    pub fn run(self) -> Result<ExitStatus> {
        let (shown, status) = match self.pid {
            None => self.show_files(),
            Some(pid) => show_process(pid)?,
        };
        print(if self.json { note_json::text(&shown)? } else { note_table::text(&shown) })?;
        Ok(status)
    }

    /// Reads the files that the user named. An unreadable file does not hide the others.
    fn show_files(&self) -> (Vec<ElfFile>, ExitStatus) {
        let mut status = ExitStatus::Yes;
        let mut shown = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                let (files, of_directory) = show_directory(path);
                shown.extend(files);
                status = status.max(of_directory);
                continue;
            }
            match elf_notes::read(path) {
                Ok(notes) => {
                    if notes.build_notes.is_empty() {
                        complain(format_args!("{}: no OGRT note", path.display()));
                        status = status.max(ExitStatus::No);
                    }
                    shown.push(ElfFile { name: path.display().to_string(), notes });
                }
                Err(error) => {
                    complain(format_args!("{}: {error}", path.display()));
                    status = ExitStatus::Error;
                }
            }
        }
        (shown, status)
    }
}

/// Reads the ELF files below a directory. Symlinks are not followed, so nothing is read twice.
/// Thousands of files may have no note, so only their number is said.
fn show_directory(directory: &Path) -> (Vec<ElfFile>, ExitStatus) {
    let mut status = ExitStatus::Yes;
    let files = files_below(directory, &mut status);
    let bar = ProgressBar::new(files.len() as u64);
    // Drawn on standard error, and only where that is a terminal.
    bar.set_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} files")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut shown = Vec::new();
    for path in bar.wrap_iter(files.into_iter()) {
        match elf_notes::read(&path) {
            Ok(notes) => shown.push(ElfFile { name: path.display().to_string(), notes }),
            Err(ElfError::NotElf | ElfError::NotAFile) => {}
            Err(error) => {
                bar.suspend(|| complain(format_args!("{}: {error}", path.display())));
                status = ExitStatus::Error;
            }
        }
    }
    bar.finish_and_clear();
    let unmarked = shown.iter().filter(|file| file.notes.build_notes.is_empty()).count();
    if unmarked > 0 {
        complain(format_args!(
            "{}: {unmarked} of {} ELF files have no OGRT note",
            directory.display(),
            shown.len()
        ));
    }
    if unmarked == shown.len() {
        status = status.max(ExitStatus::No);
    }
    (shown, status)
}

/// The regular files below a directory, sorted. A directory that cannot be read is named and
/// skipped.
fn files_below(directory: &Path, status: &mut ExitStatus) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                complain(format_args!("{}: {error}", folder.display()));
                *status = ExitStatus::Error;
                continue;
            }
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Reads the files that a process runs code from. Most come from the distribution and have no note,
/// so one line is written only where none has.
fn show_process(pid: u32) -> Result<(Vec<ElfFile>, ExitStatus)> {
    let mut shown = Vec::new();
    let files = mapped_files::of_process(pid)?;
    let total = files.len();
    for file in files {
        match elf_notes::read(&file.path) {
            Ok(notes) => shown.push(ElfFile { name: file.name, notes }),
            // Code may be mapped from files that are not ELF: just-in-time caches, Wine's DLLs.
            Err(ElfError::NotElf) => {}
            Err(error) => complain(format_args!("{}: {error}", file.name)),
        }
    }
    let marked = shown.iter().filter(|file| !file.notes.build_notes.is_empty()).count();
    if marked == 0 {
        complain(format_args!("process {pid}: no OGRT note in its {total} loaded objects"));
    }
    Ok((shown, if marked == 0 { ExitStatus::No } else { ExitStatus::Yes }))
}
