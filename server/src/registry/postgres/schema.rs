//! The tables: one step for each version of the format, and additions, which change no table that
//! an older server knows.

/// The steps, in order; a step that was released is never changed. A server refuses a database with
/// a step that it does not know.
pub const STEPS: &[&str] = &[
    "
    CREATE TABLE builds (
        number bigint PRIMARY KEY,
        signature uuid NOT NULL UNIQUE,
        registered_ns bigint NOT NULL,
        time_ns bigint NOT NULL,
        output_digest bytea,
        terms uuid[] NOT NULL,
        brief bytea NOT NULL,
        record bytea NOT NULL
    );
    CREATE SEQUENCE build_numbers OWNED BY builds.number;
    CREATE INDEX builds_by_time ON builds (time_ns, number);
    CREATE INDEX builds_by_output ON builds (output_digest) WHERE output_digest IS NOT NULL;
    CREATE INDEX builds_by_term ON builds USING gin (terms);
    CREATE TABLE linked (
        dependency bigint NOT NULL,
        dependent bigint NOT NULL REFERENCES builds ON DELETE CASCADE,
        PRIMARY KEY (dependency, dependent)
    );
    CREATE INDEX linked_by_dependent ON linked (dependent);
    CREATE TABLE made_again (
        number bigint NOT NULL REFERENCES builds ON DELETE CASCADE,
        time_ns bigint NOT NULL,
        made bytea NOT NULL,
        PRIMARY KEY (number, time_ns, made)
    );
    ",
    // Sorted runs (index.rs) replace the index over sixty terms of every build. A row for each
    // group of links (links.rs) replaces a row for each link. Records stay in their rows,
    // compressed.
    "
    DROP INDEX builds_by_term;
    ALTER TABLE builds DROP COLUMN terms;
    ALTER TABLE builds ALTER COLUMN record SET STORAGE MAIN;
    DO $$ BEGIN
        EXECUTE 'ALTER TABLE builds ALTER COLUMN record SET COMPRESSION lz4';
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE 'this PostgreSQL has no LZ4';
    END $$;
    CREATE TABLE runs (
        first bigint PRIMARY KEY,
        last bigint NOT NULL,
        level integer NOT NULL,
        builds bigint NOT NULL
    );
    CREATE TABLE blocks (
        run bigint NOT NULL,
        first_row bytea NOT NULL,
        block bytea NOT NULL,
        PRIMARY KEY (run, first_row)
    );
    ALTER TABLE blocks ALTER COLUMN first_row SET STORAGE PLAIN, ALTER COLUMN block SET STORAGE PLAIN;
    CREATE TABLE dependents (
        dependency bigint NOT NULL,
        first bigint NOT NULL,
        numbers bigint[] NOT NULL,
        PRIMARY KEY (dependency, first)
    );
    INSERT INTO dependents
        SELECT dependency, min(dependent), array_agg(dependent ORDER BY dependent) FROM linked GROUP BY dependency;
    DROP TABLE linked;
    CREATE TABLE unresolved (term bytea PRIMARY KEY);
    ",
    // Narrow tables for a walk through hundreds of thousands of builds: signatures by number
    // (names.rs), and which builds have dependents.
    "
    CREATE TABLE signatures (
        slice bigint NOT NULL,
        first bigint NOT NULL,
        signatures bytea NOT NULL,
        PRIMARY KEY (slice, first)
    );
    ALTER TABLE signatures ALTER COLUMN signatures SET STORAGE PLAIN;
    INSERT INTO signatures
        SELECT number / 400, min(number), string_agg(uuid_send(signature), ''::bytea ORDER BY number)
        FROM (SELECT number, signature, number - row_number() OVER (ORDER BY number) AS run FROM builds) AS b
        GROUP BY number / 400, run;
    CREATE TABLE libraries (number bigint PRIMARY KEY);
    INSERT INTO libraries SELECT DISTINCT dependency FROM dependents;
    ",
    // The database sends an array number by number, but bytes as they are stored.
    "
    CREATE TABLE packed (
        dependency bigint NOT NULL,
        first bigint NOT NULL,
        offsets bytea NOT NULL,
        PRIMARY KEY (dependency, first)
    );
    INSERT INTO packed
        SELECT dependency, first,
            (SELECT string_agg(int4send((n - first)::int), ''::bytea ORDER BY n) FROM unnest(numbers) AS n)
        FROM dependents WHERE numbers <> '{}';
    DROP TABLE dependents;
    ALTER TABLE packed RENAME TO dependents;
    ALTER INDEX packed_pkey RENAME TO dependents_pkey;
    ",
    // By default a vacuum reads as fast as the disk can, and lookups wait for it. This is the pace
    // that PostgreSQL had before version 12.
    "
    ALTER TABLE builds SET (autovacuum_vacuum_cost_delay = 20, toast.autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE blocks SET (autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE dependents SET (autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE signatures SET (autovacuum_vacuum_cost_delay = 20);
    ",
    // The servers of this registry, and what they ask each other (inquiries.rs).
    "
    CREATE TABLE servers (
        server bigint PRIMARY KEY,
        name text NOT NULL,
        seen timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE inquiries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        asker bigint NOT NULL,
        signatures uuid[] NOT NULL
    );
    CREATE TABLE inquiry_answers (
        inquiry bigint NOT NULL REFERENCES inquiries ON DELETE CASCADE,
        server bigint NOT NULL,
        last_used bigint[] NOT NULL,
        PRIMARY KEY (inquiry, server)
    );
    ",
    // Builds that an administrator took back.
    "
    CREATE TABLE withdrawn (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        time_ns bigint NOT NULL,
        signature uuid NOT NULL,
        withdrawn_by text NOT NULL,
        registered_ns bigint NOT NULL,
        record bytea NOT NULL
    );
    ",
    // What package managers installed. An index entry has less room than a path may take, so paths
    // and names of modules are looked up by their digest.
    "
    CREATE TABLE installations (
        id bytea PRIMARY KEY,
        prefix bytea NOT NULL,
        module bytea,
        signatures uuid[] NOT NULL,
        installation bytea NOT NULL
    );
    CREATE INDEX installations_by_prefix ON installations (sha256(prefix), id);
    CREATE INDEX installations_by_module ON installations (sha256(module), id) WHERE module IS NOT NULL;
    CREATE INDEX installations_by_signature ON installations USING gin (signatures);
    ",
    // Tokens, which hold at every server of the registry.
    "
    CREATE TABLE tokens (
        name text PRIMARY KEY,
        digest text NOT NULL,
        scopes text NOT NULL
    );
    ",
    // What unregistered files are. A row has a new number whenever it changes, so that each server
    // follows.
    "
    CREATE TABLE learned (
        digest bytea PRIMARY KEY,
        number bigint NOT NULL UNIQUE,
        entry bytea NOT NULL,
        names text NOT NULL
    );
    CREATE SEQUENCE learned_numbers OWNED BY learned.number;
    ",
    // What learned files resemble.
    "
    ALTER TABLE learned ADD COLUMN sketch bytea;
    ",
];

/// Steps that an older server need not know: servers of one registry are replaced one by one. So an
/// addition makes tables, functions and columns with a default, and takes nothing away. It may find
/// what it makes.
pub const ADDITIONS: &[&str] = &[
    // Each server is told at once what another one, of whatever version, has written (news.rs).
    "
    CREATE OR REPLACE FUNCTION ogrt_notify() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify(TG_ARGV[0], '');
            RETURN NULL;
        END
    $$;
    DROP TRIGGER IF EXISTS ogrt_notify ON builds;
    CREATE TRIGGER ogrt_notify AFTER INSERT ON builds
        FOR EACH STATEMENT EXECUTE FUNCTION ogrt_notify('ogrt_builds');
    DROP TRIGGER IF EXISTS ogrt_notify ON withdrawn;
    CREATE TRIGGER ogrt_notify AFTER INSERT ON withdrawn
        FOR EACH STATEMENT EXECUTE FUNCTION ogrt_notify('ogrt_builds');
    DROP TRIGGER IF EXISTS ogrt_notify ON tokens;
    CREATE TRIGGER ogrt_notify AFTER INSERT OR UPDATE OR DELETE ON tokens
        FOR EACH STATEMENT EXECUTE FUNCTION ogrt_notify('ogrt_news');
    DROP TRIGGER IF EXISTS ogrt_notify ON inquiries;
    CREATE TRIGGER ogrt_notify AFTER INSERT ON inquiries
        FOR EACH STATEMENT EXECUTE FUNCTION ogrt_notify('ogrt_news');
    ",
    // What one server does at a time (lease.rs), and the days on which builds ran last at each
    // server, which are known when that server is gone (inquiries.rs).
    "
    CREATE TABLE IF NOT EXISTS leases (
        name text PRIMARY KEY,
        server bigint NOT NULL,
        epoch bigint NOT NULL,
        until timestamptz NOT NULL,
        done timestamptz
    );
    CREATE TABLE IF NOT EXISTS last_used (
        signature uuid NOT NULL,
        server bigint NOT NULL,
        day integer NOT NULL,
        PRIMARY KEY (signature, server)
    );
    ",
];

/// The lock that one server holds while it changes the tables or registers builds.
pub const LOCK: &str = "SELECT pg_advisory_xact_lock(7232909)";
