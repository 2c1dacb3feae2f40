//! `ogrt show`: the watermarks in ELF files, in all below a directory, or in what a process has loaded.

use crate::{
    elf_notes::{self, ElfError, ShownFile},
    exit_status::{Answer, complain, print},
    format::{watermark_json, watermark_table},
    mapped_files,
};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Show the signature and metadata in ELF files, below directories, or of a running process.
///
/// Exit status: 0 all have a watermark (of a directory or process: one does), 1 not so, 2 error.
#[derive(Args)]
pub struct Show {
    /// Programs, shared libraries or object files; of a directory all ELF files in it, however deep.
    #[arg(value_name = "FILE", required_unless_present = "pid")]
    files: Vec<PathBuf>,

    /// Show the executable and the shared objects of this process instead.
    #[arg(long, value_name = "PID", conflicts_with = "files")]
    pid: Option<u32>,

    /// Print JSON: a list with one entry a file.
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Prints every watermark. Answers no when a file (of a process: every file) has none.
    pub fn run(self) -> Result<Answer> {
        let (shown, answer) = match self.pid {
            None => self.show_files(),
            Some(pid) => show_process(pid)?,
        };
        print(if self.json { watermark_json::text(&shown)? } else { watermark_table::text(&shown) })?;
        Ok(answer)
    }

    /// One unreadable file does not hide the others.
    fn show_files(&self) -> (Vec<ShownFile>, Answer) {
        let mut answer = Answer::Yes;
        let mut shown = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                let (files, of_directory) = show_directory(path);
                shown.extend(files);
                answer = answer.max(of_directory);
                continue;
            }
            match elf_notes::read(path) {
                Ok(notes) => {
                    if notes.watermarks.is_empty() {
                        complain(format_args!("{}: no watermark", path.display()));
                        answer = answer.max(Answer::No);
                    }
                    shown.push(ShownFile { name: path.display().to_string(), notes });
                }
                Err(error) => {
                    complain(format_args!("{}: {error}", path.display()));
                    answer = Answer::Error;
                }
            }
        }
        (shown, answer)
    }
}

/// Symlinks are not followed, so nothing is seen twice. Of files without a watermark there may be thousands: that is said
/// as a count.
fn show_directory(directory: &Path) -> (Vec<ShownFile>, Answer) {
    let mut answer = Answer::Yes;
    let files = files_below(directory, &mut answer);
    let bar = ProgressBar::new(files.len() as u64);
    // Drawn on standard error, and only where that is a terminal.
    bar.set_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} files")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut shown = Vec::new();
    for path in bar.wrap_iter(files.into_iter()) {
        match elf_notes::read(&path) {
            Ok(notes) => shown.push(ShownFile { name: path.display().to_string(), notes }),
            Err(ElfError::NotElf | ElfError::NotAFile) => {}
            Err(error) => {
                bar.suspend(|| complain(format_args!("{}: {error}", path.display())));
                answer = Answer::Error;
            }
        }
    }
    bar.finish_and_clear();
    let unmarked = shown.iter().filter(|file| file.notes.watermarks.is_empty()).count();
    if unmarked > 0 {
        complain(format_args!(
            "{}: {unmarked} of {} ELF files have no watermark",
            directory.display(),
            shown.len()
        ));
    }
    if unmarked == shown.len() {
        answer = answer.max(Answer::No);
    }
    (shown, answer)
}

/// The regular files, sorted. A directory that cannot be read is named and passed over.
fn files_below(directory: &Path, answer: &mut Answer) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                complain(format_args!("{}: {error}", folder.display()));
                *answer = Answer::Error;
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

/// Most of a process's objects come from the distribution and carry no watermark: that is said once, as a count.
fn show_process(pid: u32) -> Result<(Vec<ShownFile>, Answer)> {
    let mut shown = Vec::new();
    let files = mapped_files::of_process(pid)?;
    let total = files.len();
    for file in files {
        match elf_notes::read(&file.path) {
            Ok(notes) => shown.push(ShownFile { name: file.name, notes }),
            // Code may be mapped from files that are no ELF: just-in-time caches, Wine's DLLs.
            Err(ElfError::NotElf) => {}
            Err(error) => complain(format_args!("{}: {error}", file.name)),
        }
    }
    let marked = shown.iter().filter(|file| !file.notes.watermarks.is_empty()).count();
    if marked == 0 {
        complain(format_args!("process {pid}: no watermark in its {total} loaded objects"));
    }
    Ok((shown, if marked == 0 { Answer::No } else { Answer::Yes }))
}
