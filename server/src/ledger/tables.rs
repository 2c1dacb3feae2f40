//! The tables of the store in PostgreSQL. Each step only adds, so that servers of two versions may
//! use them while one after the other is replaced.

use crate::registry::TableList;

/// The channel of questions that want everything written.
pub const FLUSH: &str = "ogrt_flush";

/// All tables of the store.
pub static TABLES: TableList = TableList {
    counter: "ogrt_store_additions",
    steps: STEPS,
    owner: "store",
    what_waits: "Events of jobs wait in the queue, and the database is asked again",
    channels: &[FLUSH],
};

const STEPS: &[&str] = &[
    // Places in the servers' logs (mod.rs), and the leases of the registry's tables, which may be
    // in another database. A place changes at each write: room in its page keeps that cheap.
    "
    CREATE TABLE places (
        consumer text NOT NULL,
        partition bigint NOT NULL,
        next bigint NOT NULL,
        epoch bigint NOT NULL,
        owner text NOT NULL,
        server bigint NOT NULL,
        until timestamptz NOT NULL,
        closed boolean NOT NULL DEFAULT false,
        openings bigint[] NOT NULL DEFAULT '{}',
        asked bigint NOT NULL DEFAULT 0,
        counted_ns bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (consumer, partition)
    ) WITH (fillfactor = 50);
    CREATE SEQUENCE ogrt_questions;
    CREATE TABLE IF NOT EXISTS leases (
        name text PRIMARY KEY,
        server bigint NOT NULL,
        epoch bigint NOT NULL,
        until timestamptz NOT NULL,
        done timestamptz
    );
    ",
    // What jobs ran (server/src/jobs/site/). Bodies are compressed before they come here.
    "
    CREATE TABLE job_chunks (
        day integer NOT NULL,
        job bytea NOT NULL,
        cluster bytea NOT NULL,
        received_ns bigint NOT NULL,
        partition bigint NOT NULL,
        first bigint NOT NULL,
        number integer NOT NULL,
        next bigint NOT NULL,
        events integer NOT NULL,
        holder bytea NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (partition, first, number, day)
    ) PARTITION BY RANGE (day);
    ALTER TABLE job_chunks ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE INDEX job_chunks_by_job ON job_chunks (job, received_ns, partition, first, number);
    CREATE TABLE job_bytes (
        day integer NOT NULL,
        partition bigint NOT NULL,
        holder bytea NOT NULL,
        bytes bigint NOT NULL,
        PRIMARY KEY (day, partition, holder)
    ) WITH (fillfactor = 70);
    CREATE TABLE job_losses (
        job bytea NOT NULL,
        cluster bytea NOT NULL,
        day integer NOT NULL,
        PRIMARY KEY (job, cluster)
    );
    ",
];
