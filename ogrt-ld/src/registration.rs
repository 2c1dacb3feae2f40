//! The registration of a marked link: what goes in is described while the linker runs, what came out is looked at, and
//! the record goes to the server or to the spool.
//!
//! A small link is described by this process while the linker runs, and its record is at the server when the build
//! goes on. Of a large one the digests are left to a companion (see `companion.rs`).

use crate::companion::Companion;
use crate::link_request::{LinkerCommand, Way};
use crate::make_note::Note;
use crate::not_marked::MarkError;
use ogrt_proto::{BuildRecord, MessageType, encode_frame};
use ogrt_wrap::deliver::connection::{Connecting, PATIENCE};
use ogrt_wrap::deliver::deliver_or_spool::deliver_or_spool;
use ogrt_wrap::deliver::server_rest;
use ogrt_wrap::deliver::spool::{SpoolDir, TakenUnfinished};
use ogrt_wrap::line::dependency_file;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::record::describe_file::{self, OUTPUT_WHOLE_BYTES_MAX, SeenOutput};
use ogrt_wrap::record::digest_cache::DigestCache;
use ogrt_wrap::record::{self, DescribedInputs, Facts};
use ogrt_wrap::settings::Settings;
use std::borrow::Cow;
use std::time::Duration;

/// More inputs are described by a companion.
const INPUTS_MAX: usize = 64;

/// More bytes are hashed by a companion. Up to here they are hashed while the linker runs, in some ten milliseconds of
/// one processor, and most of them once: the libraries of the system are remembered.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A registration under way.
pub struct Registration<'a> {
    settings: &'a Settings,
    spool: SpoolDir,
    line: Cow<'a, LinkLine>,
    /// The record as far as it is known.
    record: BuildRecord,
    companion: Option<Companion>,
    connecting: Option<Connecting>,
    /// Something waits in the spool, and can go the same way.
    has_more: bool,
}

impl<'a> Registration<'a> {
    /// Describes what is known while the linker runs. It takes its time: the wrapper waits for the linker afterwards anyway.
    pub fn begin(way: &'a dyn Way, note: Note, settings: &'a Settings) -> Registration<'a> {
        let request = way.request();
        let LinkerCommand { linker, words, line } = way.linker_command();
        let record = record::begin(Facts {
            signature: note.signature,
            metadata: note.metadata,
            reproducible: settings.reproducible,
            started: note.started,
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
            connecting: None,
            has_more: false,
        };
        registration.prepare(note.described);
        registration
    }

    fn prepare(&mut self, described: Option<DescribedInputs>) {
        if described.is_none() && self.line.inputs.len() > INPUTS_MAX {
            self.start_companion();
        }
        let server = &self.settings.server;
        let connecting = (self.companion.is_none() && !server_rest::rests(&self.spool, server))
            .then(|| server.connect_beside(self.settings.token_file.clone(), PATIENCE));
        if let Some(described) = described.or_else(|| self.describe_inputs()) {
            (self.record.inputs, self.record.compilers) = (described.inputs, described.compilers);
        }
        self.has_more = connecting.is_some() && self.spool.has_any();
        self.connecting = connecting.map(Connecting::advanced);
    }

    /// Leaves the digests to a companion. It finds the inputs by the linker's command, so one that is not known is not
    /// enough. Under OGRT_STRICT nothing is left for later: the build is to know how its registration ended.
    fn start_companion(&mut self) {
        let finds_inputs = !self.record.linker_command.is_empty() || !self.record.inputs.is_empty();
        if !self.settings.strict && finds_inputs {
            self.companion = Companion::start(&self.record).ok();
        }
    }

    /// The inputs, unless a companion describes them.
    fn describe_inputs(&mut self) -> Option<DescribedInputs> {
        if self.companion.is_some() {
            return None;
        }
        let (resolved, cache) = (resolve_inputs(&self.line), DigestCache::open());
        if !self.settings.strict && describe_file::bytes_to_hash(&resolved, &cache) > BYTES_MAX {
            self.start_companion();
        }
        self.companion.is_none().then(|| record::describe_inputs(&resolved, &cache))
    }

    /// Registers the output of a linker that has succeeded.
    pub fn finish(mut self, note: &NoteFile, duration: Duration) -> Result<(), MarkError> {
        if let Some(list) = &self.line.dependency_file {
            dependency_file::remove_from(list, note.path())?;
        }
        let seen = describe_file::output(&self.line.output)?;
        if !seen.notes.signatures.iter().any(|signature| self.record.signature() == signature) {
            return Err(MarkError::Lost(self.line.output.clone()));
        }
        self.record.duration_ns = Some(duration.as_nanos() as u64);
        if self.companion.is_none() && seen.metadata.len() > OUTPUT_WHOLE_BYTES_MAX {
            self.start_companion();
        }
        match self.companion.take() {
            Some(companion) => self.leave_to(companion, seen),
            None => self.deliver(seen),
        }
    }

    fn leave_to(mut self, companion: Companion, seen: SeenOutput) -> Result<(), MarkError> {
        self.record.output = Some(seen.output.clone());
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        let unfinished = self.spool.put_unfinished(&frame).ok();
        if companion.finish(&self.record, &seen.metadata, unfinished.as_deref()).is_ok() {
            return Ok(());
        }
        // It died: then all of it is done here.
        let taken = unfinished.as_deref().and_then(|path| self.spool.take_unfinished(path));
        if unfinished.is_some() && taken.is_none() {
            return Ok(());
        }
        if self.record.inputs.is_empty() {
            let described = record::describe_inputs(&resolve_inputs(&self.line), &DigestCache::open());
            (self.record.inputs, self.record.compilers) = (described.inputs, described.compilers);
        }
        self.deliver(seen)?;
        taken.into_iter().for_each(TakenUnfinished::done);
        Ok(())
    }

    fn deliver(mut self, seen: SeenOutput) -> Result<(), MarkError> {
        self.record.output = Some(seen.hashed()?);
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        let server = &self.settings.server;
        deliver_or_spool(&frame, 1, self.connecting, self.has_more, PATIENCE, server, &self.spool)?;
        Ok(())
    }
}
