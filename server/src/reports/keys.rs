//! The keys of reports.

/// Most keys of one report.
pub const KEYS_MAX: usize = 4;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportKey {
    Software,
    Version,
    Program,
    Compiler,
    Package,
    KnownBy,
    User,
    Account,
    Partition,
    Cluster,
    Status,
    Day,
    Week,
    Month,
}

impl ReportKey {
    /// All of them.
    pub const ALL: [ReportKey; 14] = [
        ReportKey::Software,
        ReportKey::Version,
        ReportKey::Program,
        ReportKey::Compiler,
        ReportKey::Package,
        ReportKey::KnownBy,
        ReportKey::User,
        ReportKey::Account,
        ReportKey::Partition,
        ReportKey::Cluster,
        ReportKey::Status,
        ReportKey::Day,
        ReportKey::Week,
        ReportKey::Month,
    ];

    /// The name in questions and answers.
    pub fn text(self) -> &'static str {
        match self {
            ReportKey::Software => "software",
            ReportKey::Version => "version",
            ReportKey::Program => "program",
            ReportKey::Compiler => "compiler",
            ReportKey::Package => "package",
            ReportKey::KnownBy => "known_by",
            ReportKey::User => "user",
            ReportKey::Account => "account",
            ReportKey::Partition => "partition",
            ReportKey::Cluster => "cluster",
            ReportKey::Status => "status",
            ReportKey::Day => "day",
            ReportKey::Week => "week",
            ReportKey::Month => "month",
        }
    }

    /// The key of this name.
    pub fn read(text: &str) -> Option<ReportKey> {
        ReportKey::ALL.into_iter().find(|key| key.text() == text)
    }
}
