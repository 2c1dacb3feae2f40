//! What the stages share: opened once, before any of them.

use crate::{
    config::Config,
    database::Store,
    follow::{self, Follow, FollowStage, OpenStarts, Receipts},
    jobs::{self, Jobs, Site},
    join::{DocumentBatches, Join, Joiner, Neighbours, Rules},
    learned::{LearnedFiles, SoftwareNames},
    metrics::Metrics,
    queue::{EventIds, HeldEntries, Queue, Room, Writer},
    receive::{Complaints, DefaultCluster, Intake, JobsOver},
    registry::{self, RegisteredBuilds, Registry, Summaries},
    shutdown::Shutdown,
    tokens::Tokens,
    users::Users,
    uses::{self, OwnEvents, Uses},
};
use anyhow::Result;
use std::sync::Arc;
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        watch,
    },
};

/// See the module.
pub struct Shared {
    pub config: Config,
    pub runtime: Handle,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    pub queue: Arc<Queue>,
    pub registry: Arc<dyn Registry>,
    /// What unregistered files are, and what they are called by it.
    pub learned: Arc<LearnedFiles>,
    pub names: Arc<SoftwareNames>,
    /// Batches of documents, for all that read them.
    pub documents: Arc<DocumentBatches>,
    /// The way to the queue.
    pub intake: Intake,
    /// Filter and limit, which a reload exchanges.
    pub rules: watch::Sender<Arc<Rules>>,
    pub jobs: Arc<Jobs>,
    pub uses: Arc<Uses>,
    /// Batches below may have been delivered before a restart.
    pub replay_until: u64,
    /// The request to stop in order.
    pub shutdown: Shutdown,
    /// The request to stop at once: the time for an orderly stop is over.
    pub give_up: Shutdown,
}

/// The ends of channels that only one stage has.
pub struct Inlets {
    /// The queue's writer, which has all submissions.
    pub writer: Writer,
    /// Builds that were registered, for the join.
    pub registered: RegisteredBuilds,
    /// Jobs that are over here.
    pub jobs_over: UnboundedReceiver<JobsOver>,
}

impl Shared {
    /// Opens all that stands on the store.
    pub fn open(config: Config, store: Store, shutdown: Shutdown) -> Result<(Self, Inlets)> {
        let metrics = Arc::new(Metrics::default());
        let mut consumers: Vec<String> = config.outputs.keys().cloned().collect();
        consumers.extend([jobs::CONSUMER, uses::CONSUMER].map(str::to_owned));
        let follow = Arc::new(Follow::open(&config.follow, metrics.clone()));
        consumers.extend(follow.is_on().then(|| follow::CONSUMER.to_owned()));
        let queue = Arc::new(Queue::open(store.queue(), &consumers)?);
        let held = Arc::new(HeldEntries::new(store.held()));
        let replay_until = queue.tail().borrow().next;
        let (summaries, registered) =
            Summaries::new(config.registry.cached_builds_max, config.registry.backend.unknown_for());
        let summaries = Arc::new(summaries);
        let registry = registry::open(&config.registry, &store, summaries.clone(), metrics.clone())?;
        let learned = Arc::new(LearnedFiles::open(&config.registry, store.learned())?);
        let names = Arc::new(SoftwareNames::new(learned.clone(), config.names.read_rules()?));
        let (writer, to_writer) = Writer::open(
            store.queue(),
            queue.clone(),
            held.clone(),
            registry.clone(),
            metrics.clone(),
            config.queue.clone(),
            store.condition(),
        )?;
        let (to_closer, jobs_over) = unbounded_channel();
        let intake = Intake {
            jobs_over: to_closer,
            writer: to_writer,
            room: Room::new(config.receive.pending_bytes_max.0),
            ids: Arc::new(EventIds::new()),
            numbering: Arc::default(),
            default_cluster: Arc::new(DefaultCluster::new(&config.cluster)),
            follow,
            metrics: metrics.clone(),
            condition: store.condition(),
            users: Arc::new(Users::new()),
            tokens: Arc::new(Tokens::new(&config.access, &config.data_dir)),
            datagram_complaints: Arc::new(Complaints::new(10)),
            stream_complaints: Arc::new(Complaints::new(1000)),
            alarm: Arc::default(),
            drained: watch::Sender::new(0),
            receipts: Arc::new(Receipts::new()),
            shutdown: shutdown.clone(),
        };
        let joiner = Arc::new(Joiner::new(registry.clone(), summaries));
        let documents = Arc::new(DocumentBatches::new(queue.clone(), held, joiner.clone())?);
        let uses = Uses::new(
            store.uses(),
            Arc::new(OwnEvents::new(queue.clone(), documents.clone())),
            uses::Neighbours { joiner: joiner.clone(), registry: registry.clone(), names: names.clone() },
            metrics.clone(),
            config.uses.clone(),
        )?;
        let site = Site::open(&config.store, &config.registry, &store, &queue, metrics.clone())?;
        let jobs = Jobs::new(
            store.jobs(),
            queue.clone(),
            documents.clone(),
            joiner,
            metrics.clone(),
            config.jobs.clone(),
            site,
        )?;
        let shared = Shared {
            runtime: Handle::current(),
            rules: watch::Sender::new(Arc::new(Rules::new(&config))),
            jobs: Arc::new(jobs),
            uses: Arc::new(uses),
            config,
            metrics,
            store,
            queue,
            registry,
            learned,
            names,
            documents,
            intake,
            replay_until,
            shutdown,
            give_up: Shutdown::new(),
        };
        Ok((shared, Inlets { writer, registered, jobs_over }))
    }

    /// The stage that keeps starts without an end, where processes are followed.
    pub fn open_starts(&self) -> Result<Option<OpenStarts>> {
        let follow = self.intake.follow.clone();
        let open = || OpenStarts::resume(self.store.follow(), self.queue.clone(), follow.clone());
        follow.is_on().then(open).transpose()
    }

    /// The stage that tells the ends of processes, until `stop`.
    pub fn follow_stage(&self, stop: Shutdown) -> FollowStage {
        FollowStage {
            follow: self.intake.follow.clone(),
            writer: self.intake.writer.clone(),
            room: self.intake.room.clone(),
            receipts: self.intake.receipts.clone(),
            receiver: self.intake.alarm.clone(),
            stop,
            look_every: self.config.receive.poll_every,
            idle_look_every: self.config.receive.idle_poll_every,
            sample_from: self.config.follow.sample_from,
            samples_per_second: self.config.follow.samples_per_second,
        }
    }

    /// Opens the join.
    pub fn open_join(&self, registered: RegisteredBuilds) -> Result<Join> {
        Join::open(
            self.store.join(),
            self.documents.clone(),
            self.config.join.clone(),
            self.rules.subscribe(),
            self.metrics.clone(),
            Neighbours { registered, writer: self.intake.writer.clone(), follow: &self.intake.follow },
        )
    }
}
