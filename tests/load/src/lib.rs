//! Events, builds and whole sites, made by the thousand or by the million.
//!
//! [`site`] is a site in a box: users, accounts, clusters, software and jobs that follow from a
//! seed, and the means to fill a server with them. The programs `flood` and `provenance` measure
//! servers, and `site` fills a data directory.

pub mod site;
