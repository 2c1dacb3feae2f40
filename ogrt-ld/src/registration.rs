//! The registration of a link: what goes in is described while the linker runs, what came
//! out is looked at, and the record goes to the server or to the spool.
//!
//! A small link is described by this process while the linker runs, and its record is at the server
//! when the build goes on. A large one leaves the digests to a companion (see `companion.rs`). When
//! the linker has failed, nothing more is described: nobody needs it, and the build waits.

use crate::companion::Companion;
use crate::link_request::{LinkerCommand, Way};
use crate::make_note::BuildFacts;
use crate::not_marked::MarkError;
use crate::probation;
use crate::seal_note::seal;
use ogrt_proto::{BuildRecord, MessageType, encode_frame};
use ogrt_wrap::deliver::connection::{PATIENCE, PendingConnection, Server};
use ogrt_wrap::deliver::deliver_or_spool::{Delivery, deliver_or_spool};
use ogrt_wrap::deliver::server_rest;
use ogrt_wrap::deliver::spool::{SpoolDir, UnfinishedClaim};
use ogrt_wrap::line::dependency_file;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::resolve_inputs::resolve_while;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::note::signature;
use ogrt_wrap::record::describe_file::{self, OUTPUT_WHOLE_BYTES_MAX, OutputFacts};
use ogrt_wrap::record::digest_cache::DigestCache;
use ogrt_wrap::record::needed_libraries;
use ogrt_wrap::record::{self, InputDescriptions, LinkFacts};
use ogrt_wrap::settings::Settings;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The most inputs of a link that has no companion.
const INPUTS_MAX: usize = 64;

/// The most bytes that a link hashes without a companion, while the linker runs. They take some ten
/// milliseconds of one processor, and most of them only the first time: the digests of the system's
/// libraries are remembered.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A registration under way.
pub struct Registration<'a> {
    settings: &'a Settings,
    spool: SpoolDir,
    line: Cow<'a, LinkLine>,
    /// The record as far as it is known.
    record: BuildRecord,
    companion: Option<Companion>,
    /// The linker failed before the inputs were described.
    is_cut_short: bool,
    connecting: Option<PendingConnection>,
    /// Files wait in the spool, and can be sent by the same connection.
    has_more: bool,
}

/// Begins to connect to a server on this machine, as soon as the tool runs.
///
/// The server comes for new connections of its Unix socket every few milliseconds, and is to have
/// come when the tool ends. The call does not wait.
pub fn connect_early(way: &dyn Way, settings: &Settings) -> Option<PendingConnection> {
    let is_small = way.request().line.inputs.len() <= INPUTS_MAX;
    (is_small && matches!(settings.server, Server::Unix(_))).then(|| connect(settings))
}

fn connect(settings: &Settings) -> PendingConnection {
    settings.server.connect_beside(settings.token_file.clone(), PATIENCE)
}

impl<'a> Registration<'a> {
    /// Describes what is known while the linker runs, as long as `goes_on` does not say that it has
    /// failed. It may take as long as the linker: the wrapper waits for it afterwards.
    pub fn begin(
        way: &'a dyn Way,
        facts: BuildFacts,
        settings: &'a Settings,
        early: Option<PendingConnection>,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Registration<'a> {
        let request = way.request();
        let LinkerCommand { linker, words, line } = way.linker_command();
        let record = record::begin(LinkFacts {
            signature: facts.signature,
            metadata: facts.metadata,
            reproducible: settings.reproducible,
            started: facts.started,
            working_directory: request.working_directory.clone(),
            driver: request.driver.clone(),
            linker,
            linker_command: words,
            client: request.client,
        });
        let spool = SpoolDir::from_environment();
        let mut registration = Registration {
            settings,
            spool,
            line,
            record,
            companion: None,
            is_cut_short: false,
            connecting: None,
            has_more: false,
        };
        registration.prepare(early, goes_on);
        registration
    }

    fn prepare(&mut self, early: Option<PendingConnection>, goes_on: &(dyn Fn() -> bool + Sync)) {
        if self.line.inputs.len() > INPUTS_MAX {
            self.start_companion();
        }
        let connecting = (self.companion.is_none()
            && !server_rest::rests(&self.spool, &self.settings.server))
        .then(|| early.unwrap_or_else(|| connect(self.settings)));
        self.describe_inputs(goes_on);
        self.has_more = connecting.is_some() && self.spool.has_any();
        self.connecting = connecting.map(PendingConnection::advanced);
    }

    /// Starts a companion, which makes the digests. It finds the inputs by the linker's command, so
    /// there is none where that is not known. There is none under OGRT_STRICT either: the build has
    /// to know whether the registration failed.
    fn start_companion(&mut self) {
        let finds_inputs = !self.record.linker_command.is_empty() || !self.record.inputs.is_empty();
        if !self.settings.strict && finds_inputs {
            self.companion = Companion::start(&self.record, None).ok();
        }
    }

    /// Describes the inputs, unless a companion does it.
    fn describe_inputs(&mut self, goes_on: &(dyn Fn() -> bool + Sync)) {
        if self.companion.is_some() {
            return;
        }
        let described = resolve_while(&self.line, goes_on).and_then(|resolved| {
            let cache = DigestCache::open();
            if !self.settings.strict && describe_file::are_more_to_hash(&resolved, &cache, BYTES_MAX) {
                self.start_companion();
            }
            match self.companion {
                Some(_) => Some(InputDescriptions::default()),
                None => record::describe_while(&resolved, &cache, goes_on),
            }
        });
        self.is_cut_short = described.is_none();
        let described = described.unwrap_or_default();
        (self.record.inputs, self.record.compilers) = (described.inputs, described.compilers);
    }

    /// Registers the output of a linker that has succeeded. `mark` is the note's file, or the
    /// reason why there is none.
    pub fn finish(
        mut self,
        mark: Result<&NoteFile, &MarkError>,
        duration: Duration,
    ) -> Result<(), MarkError> {
        if self.is_cut_short {
            // The line was run again, and that run succeeded.
            self.describe_inputs(&|| true);
        }
        let lost = match mark {
            Ok(note) => self.complete_note(note).err(),
            Err(why) => {
                self.is_unmarked(why);
                None
            }
        };
        let seen = describe_file::output(&self.line.output).map_err(|source| self.output_error(source))?;
        let has_note = seen.notes.signatures.iter().any(|signature| self.record.signature() == signature);
        let lost = lost.or_else(|| {
            (self.record.marked() && !has_note).then(|| MarkError::Lost(self.line.output.clone()))
        });
        if let Some(why) = &lost {
            self.is_unmarked(why);
        }
        if let Some(needed) = &seen.needed {
            needed_libraries::mark_dropped(&mut self.record.inputs, needed, Path::new(""));
        }
        self.record.duration_ns = Some(duration.as_nanos() as u64);
        if self.companion.is_none() && seen.metadata.len() > OUTPUT_WHOLE_BYTES_MAX {
            self.start_companion();
        }
        match self.companion.take() {
            Some(companion) => self.leave_to(companion, seen)?,
            None if self.is_on_probation(&seen) => self.deliver_later(seen)?,
            None => self.deliver(seen)?,
        }
        lost.map_or(Ok(()), Err)
    }

    /// Takes the note's object off the list of what was read, and writes the signature of a
    /// reproducible link.
    fn complete_note(&mut self, note: &NoteFile) -> Result<(), MarkError> {
        self.record.marked = Some(true);
        if let Some(list) = &self.line.dependency_file {
            dependency_file::remove_from(list, note.path())
                .map_err(|source| MarkError::DependencyFile { path: list.clone(), source })?;
        }
        if self.settings.reproducible {
            let path = self.line.output.clone();
            let sealed = seal(&path).map_err(|source| MarkError::Unsealed { path, source })?;
            let signature = sealed.ok_or_else(|| MarkError::Lost(self.line.output.clone()))?;
            self.record.signature = Some(signature.as_bytes().to_vec().into());
        }
        Ok(())
    }

    /// The record stands for an output without a note. Its signature is in no file.
    fn is_unmarked(&mut self, why: &MarkError) {
        self.record.marked = Some(false);
        self.record.unmarked_reason = Some(why.to_string());
        self.record.reproducible = Some(false);
        self.record.signature = Some(signature::random().as_bytes().to_vec().into());
    }

    fn output_error(&self, source: io::Error) -> MarkError {
        MarkError::Output { path: self.line.output.clone(), source }
    }

    fn leave_to(mut self, companion: Companion, seen: OutputFacts) -> Result<(), MarkError> {
        self.record.output = Some(seen.output.clone());
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        let unfinished = self.spool.put_unfinished(&frame).ok();
        if companion.finish(&self.record, &seen.metadata, unfinished.as_deref()).is_ok() {
            return Ok(());
        }
        // The companion died, so its work is done here.
        let taken = unfinished.as_deref().and_then(|path| self.spool.take_unfinished(path));
        if unfinished.is_some() && taken.is_none() {
            return Ok(());
        }
        if self.record.inputs.is_empty() {
            let resolved = resolve_while(&self.line, &|| true).unwrap_or_default();
            let described = record::describe_while(&resolved, &DigestCache::open(), &|| true);
            let described = described.unwrap_or_default();
            (self.record.inputs, self.record.compilers) = (described.inputs, described.compilers);
            if let Some(needed) = &seen.needed {
                needed_libraries::mark_dropped(&mut self.record.inputs, needed, Path::new(""));
            }
        }
        self.deliver(seen)?;
        taken.into_iter().for_each(UnfinishedClaim::done);
        Ok(())
    }

    fn is_on_probation(&self, seen: &OutputFacts) -> bool {
        self.record.marked()
            && !self.settings.strict
            && probation::is_on_probation(&self.line, &self.record, &seen.metadata)
    }

    /// Leaves it to a companion to find out whether the program is gone in a moment.
    fn deliver_later(mut self, seen: OutputFacts) -> Result<(), MarkError> {
        let metadata = seen.metadata.clone();
        let file = File::open(&self.line.output);
        self.record.output = Some(seen.hashed().map_err(|source| self.output_error(source))?);
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        let Ok(unfinished) = self.spool.put_unfinished(&frame) else { return self.send() };
        let started = file.and_then(|file| Companion::start(&self.record, Some(file)));
        if started.and_then(|companion| companion.finish(&self.record, &metadata, Some(&unfinished))).is_ok()
        {
            return Ok(());
        }
        let taken = self.spool.take_unfinished(&unfinished);
        self.send()?;
        taken.into_iter().for_each(UnfinishedClaim::done);
        Ok(())
    }

    fn deliver(mut self, seen: OutputFacts) -> Result<(), MarkError> {
        self.record.output = Some(seen.hashed().map_err(|source| self.output_error(source))?);
        self.send()
    }

    fn send(self) -> Result<(), MarkError> {
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        let server = &self.settings.server;
        let delivery =
            deliver_or_spool(&frame, 1, self.connecting, self.has_more, PATIENCE, server, &self.spool)?;
        match delivery {
            Delivery::Refused(why) if self.settings.strict => Err(MarkError::Unregistered(why)),
            _ => Ok(()),
        }
    }
}
