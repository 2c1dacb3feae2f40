//! A site in a box, put into a data directory.
//!
//! `cargo run -p ogrt-load --bin site -- --server target/debug/ogrt-server --data-dir DIR/data`
//! starts this server by a clock of its own, lets 14 months of a site pass in it, and stops it. Any
//! ogrt-server can then start with DIR/data. Prints one line of JSON: what there is to look for.

use anyhow::Result;
use clap::Parser;
use ogrt_load::site::{Site, Size, fill_data_dir, now_s};
use serde_json::json;
use std::{path::PathBuf, time::Instant};

#[derive(Parser)]
struct Arguments {
    /// An ogrt-server that is linked with the dynamic loader.
    #[arg(long)]
    server: PathBuf,
    /// The directory that is filled.
    #[arg(long)]
    data_dir: PathBuf,
    /// Jobs of the site. Each has seven processes on average.
    #[arg(long, default_value_t = 3000)]
    jobs: u64,
    /// The number that the site follows from.
    #[arg(long, default_value_t = 20_261_130)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let begin = Instant::now();
    let site = Site::new(arguments.seed, Size::of_jobs(arguments.jobs, now_s()));
    let folder = arguments.data_dir.with_extension("filling");
    fill_data_dir(&arguments.server, &arguments.data_dir, &folder, &site)?;
    std::fs::remove_dir_all(&folder)?;
    let mut told = site.landmarks.json();
    told["processes"] = json!(site.processes.len());
    told["jobs"] = json!(arguments.jobs);
    told["seconds"] = json!(begin.elapsed().as_secs_f64());
    println!("{told}");
    Ok(())
}
