//! The rooms of each crate in their order, lowest first: a room imports those of lower rungs only.
//!
//! Rooms of one rung do not know each other. A new room is named here when it is made: its rung
//! says what it may know. note, proto and the crates of tests are one room each.

/// Rungs from the ground up.
pub type Order = [&'static [&'static str]];

/// Each package and its order.
pub const ORDERS: &[(&str, &Order)] = &[
    ("ogrt-server", SERVER),
    ("ogrt-observe", OBSERVE),
    ("ogrt-cli", CLI),
    ("ogrt-answers", ANSWERS),
    ("ogrt-page", PAGE),
    ("ogrt-wrap", WRAP),
    ("ogrt-ld", LD),
    ("ogrt-cc", &[&["which_compiler"], &["companion_tool"], &["main"]]),
    ("ogrt-preload", PRELOAD),
    ("xtask", XTASK),
];

const SERVER: &Order = &[
    &[
        "alarm",
        "bounded_map",
        "clock",
        "dates",
        "fair_shares",
        "fields",
        "job_key",
        "latency",
        "log_lines",
        "priority",
        "progress",
        "sd_notify",
        "shutdown",
        "sockets",
        "stored_text",
        "tls_client",
        "users",
        "versions",
    ],
    &["config", "job_name", "metrics", "start_digest"],
    &["database", "tls_server", "tokens"],
    &["registry"],
    &["learned", "ledger"],
    &["queue"],
    &["follow"],
    &["receive"],
    &["join"],
    &["processes", "sums"],
    &["jobs", "launches", "outputs", "uses"],
    &["reports"],
    &["backup", "http", "move_builds", "rebuild_sums", "reload", "retention", "xalt"],
    &["run"],
    &["fuzzing"],
    &["lib"],
    &["main"],
];

/// What asks the kernel, what is looked at, and what is told.
const OBSERVE: &Order = &[
    &[
        "capabilities",
        "clock",
        "complaints",
        "cpu_share",
        "datagram",
        "job_variables",
        "netlink",
        "oom_log",
        "package_paths",
        "process",
        "process_stat",
        "program_file",
        "python",
        "scheduling",
        "selection",
        "server_link",
    ],
    &["file_facts", "kernel_offer", "process_connector", "process_directory", "task_statistics"],
    &["exec_events"],
    &["ends", "objects", "starts"],
    &["observer"],
    &["lib"],
    &["main"],
];

/// Commands, formatters and comparisons: a formatter knows no command, a comparison knows neither.
const CLI: &Order = &[
    &[
        "elf_notes",
        "event_server",
        "exit_status",
        "mapped_files",
        "package_url",
        "preload_library",
        "signing_key",
        "spool_contents",
    ],
    &["advisory", "api_client"],
    &["dsse", "learn", "subject", "use_filter"],
    &["build_with_origins", "compare_with_record", "job_pages", "try_toolchain"],
    &["format"],
    &["commands"],
    &["main"],
];

/// Values out of answers, what is made of them, and how it is told.
const ANSWERS: &Order = &[
    &["spreadsheet", "units", "utc", "what_ran"],
    &["compare_builds", "json_field", "time_argument"],
    &["builds", "job_list", "job_process", "learned_name", "report"],
    &["job_document", "process_parents", "unregistered", "uses"],
    &["job_totals", "process_tree"],
    &["fold_tree", "job_sheet", "tree_line"],
    &["lib"],
];

/// What a page is made of, and the pages.
const PAGE: &Order = &[
    &["assets", "command", "shown"],
    &["api", "link"],
    &["graph", "parameters", "table"],
    &["figures", "frame", "period"],
    &["chart", "list"],
    &["pages"],
    &["lib"],
];

/// The order of a link.
const WRAP: &Order = &[
    &["complaint", "environment", "memory_file", "small_file"],
    &["cache_dir", "elf_head"],
    &["ask_tool"],
    &["line"],
    &["save_link", "tool"],
    &["note"],
    &["record"],
    &["deliver"],
    &["settings"],
    &["lib"],
];

/// One flow, `link`. It does not know the two ways of calling a linker, nor they it: `link_request`
/// has what they share.
const LD: &Order = &[
    &["probation"],
    &["companion", "driver_dry_run", "not_marked", "note_position"],
    &["link_request", "make_note", "reference_input", "seal_note"],
    &["attempt", "note_trial", "ordinary_output", "registration", "run_under_mold", "which_linker"],
    &["static_program"],
    &["link", "link_by_driver", "link_by_linker"],
    &["main"],
];

/// What asks the kernel, what looks at the process, what is told of it, and when.
const PRELOAD: &Order = &[
    &["arch", "field_numbers", "glob", "linkage", "literal", "room"],
    &["sys"],
    &["memory"],
    &["path_buffer"],
    &["canonical", "destination", "encoder", "event_id", "process", "reach", "say"],
    &["loaded_object", "namespaces", "proxy", "variables"],
    &["launch", "loader", "parts", "preloaded", "settings", "surroundings"],
    &["choice", "disclosure", "executable", "imports", "notes", "spool"],
    &["deliver", "objects"],
    &["message", "state", "tracked_program"],
    &["end", "start"],
    &["audit"],
    &["linked", "loaded"],
    &["lib"],
];

/// The chores stand on top; `install` is one that others need.
const XTASK: &Order = &[
    &["cleanup", "known_tools", "put_file"],
    &["child", "daemon", "share", "silent_library"],
    &["manuals", "site", "steps", "workspace"],
    &["machine", "site_in_a_box", "stack", "static_object"],
    &["programs"],
    &["install"],
    &["bench", "demo", "generate", "suite"],
    &["lib"],
    &["main"],
];
