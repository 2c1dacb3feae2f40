//! The people of a site, and who pays for their jobs.

/// Names of users that documents and tests may rely on, of those who use the machines most.
const FIRST: [&str; 12] =
    ["alice", "ann", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory"];

const SURNAMES: [&str; 24] = [
    "adeyemi",
    "bauer",
    "chen",
    "dubois",
    "eriksson",
    "fernandez",
    "garcia",
    "hansen",
    "ito",
    "jansen",
    "kowalski",
    "lopez",
    "mueller",
    "nguyen",
    "okafor",
    "patel",
    "quist",
    "rossi",
    "schmidt",
    "tanaka",
    "usman",
    "varga",
    "weber",
    "yilmaz",
];

/// The name of a user.
pub fn user(number: usize) -> String {
    match FIRST.get(number) {
        Some(name) => (*name).to_owned(),
        None => {
            let number = number - FIRST.len();
            let initial = b'a' + (number / SURNAMES.len() * 5 + number) as u8 % 26;
            let again = number / (SURNAMES.len() * 5);
            let again = if again == 0 { String::new() } else { again.to_string() };
            format!("{}{}{again}", char::from(initial), SURNAMES[number % SURNAMES.len()])
        }
    }
}

/// The number of a user.
pub fn uid(number: usize) -> u32 {
    3_100_000 + number as u32
}

const ACCOUNTS: [&str; 30] = [
    "chem",
    "bio",
    "physics",
    "climate",
    "cfd",
    "materials",
    "astro",
    "genomics",
    "ml",
    "geo",
    "nuclear",
    "optics",
    "plasma",
    "energy",
    "pharma",
    "ocean",
    "math",
    "neuro",
    "combustion",
    "polymers",
    "quantum",
    "seismic",
    "economics",
    "linguistics",
    "robotics",
    "medicine",
    "water",
    "training",
    "industry",
    "operations",
];

/// The name of an account.
pub fn account(number: usize) -> &'static str {
    ACCOUNTS[number % ACCOUNTS.len()]
}

/// Names of the clusters.
pub const CLUSTERS: [&str; 2] = ["alpha", "beta"];

/// Partitions of each cluster.
pub const PARTITIONS: [[&str; 3]; 2] = [["batch", "long", "gpu"], ["batch", "bigmem", "debug"]];
