//! A link while the server's database is away: where the server acknowledges builds only when the
//! database has them, the wrapper keeps its record in the spool, as while the server itself is
//! away.

use ogrt_end_to_end::{Stage, see, text};

#[test]
fn a_record_stays_in_the_spool_while_the_database_is_away() {
    let stage = Stage::with_tables(
        "[registry]\nbackend = \"postgres\"\nurl = \"host=/nowhere user=ogrt\"\nacknowledge = \"commit\"\n",
    );
    let program = stage.link("program");
    assert!(program.exists());
    assert_eq!(stage.spooled(), 1);
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), stage.spooled()), (Some(2), 1), "{flushed:?}");
    assert_eq!(text(&flushed.stderr).lines().count(), 1, "{flushed:?}");
    // `ogrt register` says that nothing is registered.
    let mut register = stage.site.ogrt(&["register", "--prefix"]);
    let refused = see(register.arg(stage.folder()));
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("not registered"), "{said}");
}

#[test]
fn a_record_leaves_the_spool_where_the_servers_disk_is_enough() {
    let stage = Stage::with_tables("[registry]\nbackend = \"postgres\"\nurl = \"host=/nowhere user=ogrt\"\n");
    assert!(stage.link("program").exists());
    assert_eq!(stage.spooled(), 0);
}
