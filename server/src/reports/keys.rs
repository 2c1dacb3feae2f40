//! The keys of reports.

/// Most keys of one report.
pub const KEYS_MAX: usize = 4;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportKey {
    Software,
    Version,
    Program,
    Executable,
    Compiler,
    InstalledPackage,
    KnownBy,
    Library,
    Module,
    Package,
    User,
    Account,
    Partition,
    Cluster,
    Host,
    Status,
    Day,
    Week,
    Month,
}

impl ReportKey {
    /// All of them.
    pub const ALL: [ReportKey; 19] = [
        ReportKey::Software,
        ReportKey::Version,
        ReportKey::Program,
        ReportKey::Executable,
        ReportKey::Compiler,
        ReportKey::InstalledPackage,
        ReportKey::KnownBy,
        ReportKey::Library,
        ReportKey::Module,
        ReportKey::Package,
        ReportKey::User,
        ReportKey::Account,
        ReportKey::Partition,
        ReportKey::Cluster,
        ReportKey::Host,
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
            ReportKey::Executable => "executable",
            ReportKey::Compiler => "compiler",
            ReportKey::InstalledPackage => "installed_package",
            ReportKey::KnownBy => "known_by",
            ReportKey::Library => "library",
            ReportKey::Module => "module",
            ReportKey::Package => "package",
            ReportKey::User => "user",
            ReportKey::Account => "account",
            ReportKey::Partition => "partition",
            ReportKey::Cluster => "cluster",
            ReportKey::Host => "host",
            ReportKey::Status => "status",
            ReportKey::Day => "day",
            ReportKey::Week => "week",
            ReportKey::Month => "month",
        }
    }

    /// A process may have several values of it, and counts for each.
    pub fn is_set(self) -> bool {
        matches!(self, ReportKey::Library | ReportKey::Module | ReportKey::Package)
    }

    /// The first of these keys that cannot be told by host, where one of them is the host.
    pub fn not_by_host(keys: &[ReportKey]) -> Option<ReportKey> {
        let goes_with_host = |key: &ReportKey| {
            matches!(
                key,
                ReportKey::Host
                    | ReportKey::Cluster
                    | ReportKey::Status
                    | ReportKey::Day
                    | ReportKey::Week
                    | ReportKey::Month
            )
        };
        keys.iter().find(|key| keys.contains(&ReportKey::Host) && !goes_with_host(key)).copied()
    }

    /// The key of this name.
    pub fn read(text: &str) -> Option<ReportKey> {
        ReportKey::ALL.into_iter().find(|key| key.text() == text)
    }
}
