//! The field numbers of `ogrt.proto`, for those who read or write a message's bytes by hand.
//!
//! A module for each message, and `message_type` with the types of frames. The file needs neither
//! `std` nor another file, so that libogrt.so can use it too.
//!
//! This file is @generated from `ogrt.proto` by `cargo xtask generate`.

/// Types of frames.
pub mod message_type {
    /// `JOB_START`
    pub const JOB_START: u32 = 10;
    /// `JOB_END`
    pub const JOB_END: u32 = 11;
    /// `PROCESS_INFO`
    pub const PROCESS_INFO: u32 = 12;
    /// `SHARED_OBJECT`
    pub const SHARED_OBJECT: u32 = 13;
    /// `FORK`
    pub const FORK: u32 = 14;
    /// `EXECVE`
    pub const EXECVE: u32 = 15;
    /// `PROCESS_END`
    pub const PROCESS_END: u32 = 16;
    /// `JOB_SUMMARY`
    pub const JOB_SUMMARY: u32 = 17;
    /// `OBSERVATION`
    pub const OBSERVATION: u32 = 18;
    /// `JOB_OVER`
    pub const JOB_OVER: u32 = 19;
    /// `BUILD_RECORD`
    pub const BUILD_RECORD: u32 = 20;
    /// `HELLO`
    pub const HELLO: u32 = 100;
    /// `ACK`
    pub const ACK: u32 = 101;
}

/// Fields of `Hello`.
pub mod hello {
    /// `optional string client`
    pub const CLIENT: u32 = 1;
    /// `optional string token`
    pub const TOKEN: u32 = 2;
    /// `optional uint64 frames`
    pub const FRAMES: u32 = 3;
    /// `optional bool passes_on`
    pub const PASSES_ON: u32 = 4;
    /// `optional string imports`
    pub const IMPORTS: u32 = 8;
}

/// Fields of `Ack`.
pub mod ack {
    /// `optional uint64 durable_frames`
    pub const DURABLE_FRAMES: u32 = 1;
    /// `optional string refused`
    pub const REFUSED: u32 = 2;
}

/// Fields of `Note`.
pub mod note {
    /// `optional bytes signature`
    pub const SIGNATURE: u32 = 1;
    /// `optional bytes metadata`
    pub const METADATA: u32 = 2;
    /// `optional uint32 version`
    pub const VERSION: u32 = 3;
}

/// Fields of `SharedObject`.
pub mod shared_object {
    /// `optional bytes path`
    pub const PATH: u32 = 400;
    /// `optional string signature`
    pub const SIGNATURE: u32 = 401;
    /// `repeated Note notes`
    pub const NOTES: u32 = 402;
    /// `optional bytes build_id`
    pub const BUILD_ID: u32 = 403;
    /// `optional bool preloaded`
    pub const PRELOADED: u32 = 404;
}

/// Fields of `Module`.
pub mod module {
    /// `optional bytes name`
    pub const NAME: u32 = 700;
    /// `optional bytes file`
    pub const FILE: u32 = 701;
}

/// Fields of `Provenance`.
pub mod provenance {
    /// `optional uint32 pid`
    pub const PID: u32 = 1;
    /// `optional uint32 uid`
    pub const UID: u32 = 2;
    /// `optional uint32 gid`
    pub const GID: u32 = 3;
    /// `optional uint32 delivered_by`
    pub const DELIVERED_BY: u32 = 4;
    /// `optional bytes via`
    pub const VIA: u32 = 5;
}

/// Fields of `ProcessInfo`.
pub mod process_info {
    /// `optional bytes binpath`
    pub const BINPATH: u32 = 300;
    /// `optional int32 pid`
    pub const PID: u32 = 301;
    /// `optional int32 parent_pid`
    pub const PARENT_PID: u32 = 302;
    /// `optional int64 time`
    pub const TIME: u32 = 303;
    /// `optional string signature`
    pub const SIGNATURE: u32 = 304;
    /// `optional bytes job_id`
    pub const JOB_ID: u32 = 305;
    /// `optional bytes username`
    pub const USERNAME: u32 = 306;
    /// `optional bytes hostname`
    pub const HOSTNAME: u32 = 307;
    /// `optional bytes cmdline`
    pub const CMDLINE: u32 = 308;
    /// `repeated bytes environment_variables`
    pub const ENVIRONMENT_VARIABLES: u32 = 309;
    /// `repeated bytes arguments`
    pub const ARGUMENTS: u32 = 310;
    /// `repeated SharedObject shared_objects`
    pub const SHARED_OBJECTS: u32 = 311;
    /// `repeated Module loaded_modules`
    pub const LOADED_MODULES: u32 = 312;
    /// `optional bytes event_id`
    pub const EVENT_ID: u32 = 320;
    /// `optional int64 start_time_ns`
    pub const START_TIME_NS: u32 = 321;
    /// `optional uint32 uid`
    pub const UID: u32 = 322;
    /// `optional uint32 gid`
    pub const GID: u32 = 323;
    /// `optional bytes working_directory`
    pub const WORKING_DIRECTORY: u32 = 324;
    /// `optional bytes build_id`
    pub const BUILD_ID: u32 = 325;
    /// `repeated Note notes`
    pub const NOTES: u32 = 326;
    /// `optional bytes job_step`
    pub const JOB_STEP: u32 = 327;
    /// `optional bytes array_index`
    pub const ARRAY_INDEX: u32 = 328;
    /// `optional uint32 mpi_rank`
    pub const MPI_RANK: u32 = 329;
    /// `optional uint32 mpi_size`
    pub const MPI_SIZE: u32 = 330;
    /// `optional bytes container`
    pub const CONTAINER: u32 = 331;
    /// `optional uint32 part_index`
    pub const PART_INDEX: u32 = 332;
    /// `optional uint32 part_count`
    pub const PART_COUNT: u32 = 333;
    /// `optional uint64 events_lost`
    pub const EVENTS_LOST: u32 = 334;
    /// `optional string client`
    pub const CLIENT: u32 = 335;
    /// `optional uint32 values_cut`
    pub const VALUES_CUT: u32 = 336;
    /// `optional uint32 incomplete`
    pub const INCOMPLETE: u32 = 337;
    /// `optional uint64 pid_namespace`
    pub const PID_NAMESPACE: u32 = 338;
    /// `optional uint64 user_namespace`
    pub const USER_NAMESPACE: u32 = 339;
    /// `optional uint64 uts_namespace`
    pub const UTS_NAMESPACE: u32 = 340;
    /// `optional uint64 mount_namespace`
    pub const MOUNT_NAMESPACE: u32 = 341;
    /// `optional int32 namespace_pid`
    pub const NAMESPACE_PID: u32 = 342;
    /// `optional bytes cluster`
    pub const CLUSTER: u32 = 345;
    /// `optional bytes launch`
    pub const LAUNCH: u32 = 347;
    /// `optional int32 ancestor_pid`
    pub const ANCESTOR_PID: u32 = 348;
    /// `optional Provenance provenance`
    pub const PROVENANCE: u32 = 350;
    /// `optional uint32 sampled_ppm`
    pub const SAMPLED_PPM: u32 = 380;
    /// `optional bytes claimed_username`
    pub const CLAIMED_USERNAME: u32 = 351;
    /// `optional bool is_static`
    pub const IS_STATIC: u32 = 353;
    /// `optional bool is_outermost`
    pub const IS_OUTERMOST: u32 = 354;
    /// `optional bytes account`
    pub const ACCOUNT: u32 = 355;
    /// `optional bytes partition`
    pub const PARTITION: u32 = 356;
    /// `optional uint32 nodes`
    pub const NODES: u32 = 357;
    /// `optional uint32 tasks`
    pub const TASKS: u32 = 358;
    /// `optional uint32 cpus_per_task`
    pub const CPUS_PER_TASK: u32 = 359;
    /// `optional bytes visible_gpus`
    pub const VISIBLE_GPUS: u32 = 360;
    /// `optional bytes threads`
    pub const THREADS: u32 = 361;
    /// `optional bytes conda_prefix`
    pub const CONDA_PREFIX: u32 = 362;
    /// `optional bytes virtual_environment`
    pub const VIRTUAL_ENVIRONMENT: u32 = 363;
    /// `optional bytes array_job`
    pub const ARRAY_JOB: u32 = 364;
    /// `optional bytes program_digest`
    pub const PROGRAM_DIGEST: u32 = 365;
    /// `optional bytes modules_digest`
    pub const MODULES_DIGEST: u32 = 366;
    /// `optional bytes what_ran`
    pub const WHAT_RAN: u32 = 367;
}

/// Fields of `ProcessEnd`.
pub mod process_end {
    /// `optional bytes event_id`
    pub const EVENT_ID: u32 = 1;
    /// `optional int32 pid`
    pub const PID: u32 = 2;
    /// `optional int64 time_ns`
    pub const TIME_NS: u32 = 3;
    /// `optional uint64 duration_ns`
    pub const DURATION_NS: u32 = 4;
    /// `optional uint64 user_time_us`
    pub const USER_TIME_US: u32 = 5;
    /// `optional uint64 system_time_us`
    pub const SYSTEM_TIME_US: u32 = 6;
    /// `optional uint64 max_rss_kib`
    pub const MAX_RSS_KIB: u32 = 7;
    /// `repeated SharedObject shared_objects`
    pub const SHARED_OBJECTS: u32 = 8;
    /// `optional bytes job_id`
    pub const JOB_ID: u32 = 9;
    /// `optional bytes hostname`
    pub const HOSTNAME: u32 = 10;
    /// `optional uint32 part_index`
    pub const PART_INDEX: u32 = 11;
    /// `optional uint32 part_count`
    pub const PART_COUNT: u32 = 12;
    /// `optional uint64 events_lost`
    pub const EVENTS_LOST: u32 = 13;
    /// `optional EndedBy ended_by`
    pub const ENDED_BY: u32 = 14;
    /// `optional uint32 exit_status`
    pub const EXIT_STATUS: u32 = 15;
    /// `optional uint32 signal`
    pub const SIGNAL: u32 = 16;
    /// `optional bool core_dumped`
    pub const CORE_DUMPED: u32 = 17;
    /// `optional ToldBy told_by`
    pub const TOLD_BY: u32 = 18;
    /// `optional int64 alive_until_ns`
    pub const ALIVE_UNTIL_NS: u32 = 19;
    /// `optional Measured measured`
    pub const MEASURED: u32 = 20;
    /// `optional uint64 worker_time_us`
    pub const WORKER_TIME_US: u32 = 21;
    /// `optional bytes cluster`
    pub const CLUSTER: u32 = 25;
    /// `optional ProcessInfo start`
    pub const START: u32 = 26;
    /// `repeated Package packages`
    pub const PACKAGES: u32 = 31;
    /// `repeated Gpu gpus`
    pub const GPUS: u32 = 32;
    /// `optional bool oom_killed`
    pub const OOM_KILLED: u32 = 33;
    /// `optional int64 gone_by_ns`
    pub const GONE_BY_NS: u32 = 34;
    /// `optional uint32 cpus_allowed`
    pub const CPUS_ALLOWED: u32 = 35;
    /// `optional Provenance provenance`
    pub const PROVENANCE: u32 = 30;
}

/// Fields of `JobOver`.
pub mod job_over {
    /// `optional bytes job_id`
    pub const JOB_ID: u32 = 1;
    /// `optional bytes cluster`
    pub const CLUSTER: u32 = 2;
}

/// Fields of `Observation`.
pub mod observation {
    /// `optional uint64 starts_lost`
    pub const STARTS_LOST: u32 = 1;
    /// `optional int32 pid`
    pub const PID: u32 = 2;
    /// `optional uint64 process_number`
    pub const PROCESS_NUMBER: u32 = 3;
    /// `optional int64 seen_ns`
    pub const SEEN_NS: u32 = 4;
    /// `repeated SharedObject shared_objects`
    pub const SHARED_OBJECTS: u32 = 5;
    /// `repeated Gpu gpus`
    pub const GPUS: u32 = 6;
    /// `repeated Package packages`
    pub const PACKAGES: u32 = 7;
    /// `repeated EndAccount end_accounts`
    pub const END_ACCOUNTS: u32 = 8;
    /// `optional bool tells_ends`
    pub const TELLS_ENDS: u32 = 9;
    /// `optional uint64 ends_lost`
    pub const ENDS_LOST: u32 = 10;
}

/// Fields of `EndAccount`.
pub mod end_account {
    /// `optional int32 pid`
    pub const PID: u32 = 1;
    /// `optional int64 exec_ns`
    pub const EXEC_NS: u32 = 2;
    /// `optional int64 seen_ns`
    pub const SEEN_NS: u32 = 3;
    /// `optional uint64 user_time_us`
    pub const USER_TIME_US: u32 = 4;
    /// `optional uint64 system_time_us`
    pub const SYSTEM_TIME_US: u32 = 5;
    /// `optional uint64 max_rss_kib`
    pub const MAX_RSS_KIB: u32 = 6;
    /// `optional uint64 worker_time_us`
    pub const WORKER_TIME_US: u32 = 7;
    /// `optional uint32 wait_status`
    pub const WAIT_STATUS: u32 = 8;
    /// `optional bool oom_killed`
    pub const OOM_KILLED: u32 = 9;
}

/// Fields of `Package`.
pub mod package {
    /// `optional string language`
    pub const LANGUAGE: u32 = 1;
    /// `optional bytes name`
    pub const NAME: u32 = 2;
    /// `optional string version`
    pub const VERSION: u32 = 3;
    /// `optional bool claimed`
    pub const CLAIMED: u32 = 4;
}

/// Fields of `Gpu`.
pub mod gpu {
    /// `optional string maker`
    pub const MAKER: u32 = 1;
    /// `optional bool did`
    pub const DID: u32 = 2;
    /// `repeated bytes devices`
    pub const DEVICES: u32 = 3;
    /// `optional bool claimed`
    pub const CLAIMED: u32 = 4;
}

/// Fields of `JobSummary`.
pub mod job_summary {
    /// `optional bytes event_id`
    pub const EVENT_ID: u32 = 1;
    /// `optional bytes job_id`
    pub const JOB_ID: u32 = 2;
    /// `optional uint64 starts`
    pub const STARTS: u32 = 3;
    /// `optional uint64 ends`
    pub const ENDS: u32 = 4;
    /// `optional int64 from_ns`
    pub const FROM_NS: u32 = 5;
    /// `optional int64 to_ns`
    pub const TO_NS: u32 = 6;
    /// `repeated ProgramCount programs`
    pub const PROGRAMS: u32 = 7;
    /// `optional uint64 claimed`
    pub const CLAIMED: u32 = 8;
    /// `optional bytes cluster`
    pub const CLUSTER: u32 = 15;
    /// `optional Provenance provenance`
    pub const PROVENANCE: u32 = 30;
}

/// Fields of `ProgramCount`.
pub mod program_count {
    /// `optional bytes binpath`
    pub const BINPATH: u32 = 1;
    /// `optional uint64 starts`
    pub const STARTS: u32 = 2;
}

/// Fields of `BuildMetadata`.
pub mod build_metadata {
    /// `optional string name`
    pub const NAME: u32 = 1;
    /// `optional string version`
    pub const VERSION: u32 = 2;
    /// `optional string version_suffix`
    pub const VERSION_SUFFIX: u32 = 3;
    /// `optional string toolchain`
    pub const TOOLCHAIN: u32 = 4;
    /// `optional string package_manager`
    pub const PACKAGE_MANAGER: u32 = 5;
    /// `optional string package_id`
    pub const PACKAGE_ID: u32 = 6;
    /// `optional string module`
    pub const MODULE: u32 = 7;
    /// `optional string builder`
    pub const BUILDER: u32 = 8;
    /// `optional int64 time`
    pub const TIME: u32 = 9;
    /// `optional string compiler`
    pub const COMPILER: u32 = 10;
}

/// Fields of `BuildRecord`.
pub mod build_record {
    /// `optional bytes signature`
    pub const SIGNATURE: u32 = 1;
    /// `optional BuildMetadata metadata`
    pub const METADATA: u32 = 2;
    /// `optional int64 time_ns`
    pub const TIME_NS: u32 = 3;
    /// `optional uint64 duration_ns`
    pub const DURATION_NS: u32 = 4;
    /// `optional string hostname`
    pub const HOSTNAME: u32 = 5;
    /// `optional uint32 uid`
    pub const UID: u32 = 6;
    /// `optional uint32 gid`
    pub const GID: u32 = 7;
    /// `optional string username`
    pub const USERNAME: u32 = 8;
    /// `optional bytes working_directory`
    pub const WORKING_DIRECTORY: u32 = 9;
    /// `repeated bytes driver_command`
    pub const DRIVER_COMMAND: u32 = 10;
    /// `repeated bytes linker_command`
    pub const LINKER_COMMAND: u32 = 11;
    /// `optional Tool driver`
    pub const DRIVER: u32 = 12;
    /// `optional Tool linker`
    pub const LINKER: u32 = 13;
    /// `repeated Compiler compilers`
    pub const COMPILERS: u32 = 14;
    /// `repeated Input inputs`
    pub const INPUTS: u32 = 15;
    /// `optional Output output`
    pub const OUTPUT: u32 = 16;
    /// `repeated string loaded_modules`
    pub const LOADED_MODULES: u32 = 17;
    /// `repeated KeyValue extra`
    pub const EXTRA: u32 = 18;
    /// `optional Source source`
    pub const SOURCE: u32 = 19;
    /// `optional string client`
    pub const CLIENT: u32 = 20;
    /// `optional bool reproducible`
    pub const REPRODUCIBLE: u32 = 21;
    /// `optional bool marked`
    pub const MARKED: u32 = 22;
    /// `optional string unmarked_reason`
    pub const UNMARKED_REASON: u32 = 23;
    /// `optional Registrar registrar`
    pub const REGISTRAR: u32 = 24;
}

/// Fields of `Registrar`.
pub mod registrar {
    /// `optional uint32 uid`
    pub const UID: u32 = 1;
    /// `optional uint32 gid`
    pub const GID: u32 = 2;
    /// `optional string username`
    pub const USERNAME: u32 = 3;
    /// `optional string token`
    pub const TOKEN: u32 = 4;
    /// `optional string certificate`
    pub const CERTIFICATE: u32 = 5;
    /// `optional string via`
    pub const VIA: u32 = 6;
}

/// Fields of `Tool`.
pub mod tool {
    /// `optional bytes path`
    pub const PATH: u32 = 1;
    /// `optional string version`
    pub const VERSION: u32 = 2;
}

/// Fields of `Compiler`.
pub mod compiler {
    /// `optional string producer`
    pub const PRODUCER: u32 = 1;
    /// `optional uint32 inputs`
    pub const INPUTS: u32 = 2;
}

/// Fields of `Input`.
pub mod input {
    /// `optional bytes path`
    pub const PATH: u32 = 1;
    /// `optional bytes sha256`
    pub const SHA256: u32 = 2;
    /// `optional uint64 size`
    pub const SIZE: u32 = 3;
    /// `optional FileKind kind`
    pub const KIND: u32 = 4;
    /// `repeated bytes signatures`
    pub const SIGNATURES: u32 = 5;
    /// `optional bytes build_id`
    pub const BUILD_ID: u32 = 6;
    /// `optional bytes gitoid`
    pub const GITOID: u32 = 7;
    /// `optional bool dropped`
    pub const DROPPED: u32 = 8;
}

/// Fields of `Output`.
pub mod output {
    /// `optional bytes path`
    pub const PATH: u32 = 1;
    /// `optional bytes sha256`
    pub const SHA256: u32 = 2;
    /// `optional uint64 size`
    pub const SIZE: u32 = 3;
    /// `optional FileKind kind`
    pub const KIND: u32 = 4;
    /// `optional bytes build_id`
    pub const BUILD_ID: u32 = 5;
    /// `optional string machine`
    pub const MACHINE: u32 = 6;
    /// `optional LoadedParts loaded`
    pub const LOADED: u32 = 7;
}

/// Fields of `LoadedParts`.
pub mod loaded_parts {
    /// `optional bytes code_sha256`
    pub const CODE_SHA256: u32 = 1;
    /// `optional bytes data_sha256`
    pub const DATA_SHA256: u32 = 2;
    /// `optional bytes linkage_sha256`
    pub const LINKAGE_SHA256: u32 = 3;
    /// `optional bytes run_path`
    pub const RUN_PATH: u32 = 4;
}

/// Fields of `KeyValue`.
pub mod key_value {
    /// `optional string key`
    pub const KEY: u32 = 1;
    /// `optional string value`
    pub const VALUE: u32 = 2;
}

/// Fields of `Source`.
pub mod source {
    /// `optional string git_commit`
    pub const GIT_COMMIT: u32 = 1;
    /// `optional bytes directory`
    pub const DIRECTORY: u32 = 2;
}

/// Fields of `Installation`.
pub mod installation {
    /// `optional bytes prefix`
    pub const PREFIX: u32 = 1;
    /// `optional BuildMetadata metadata`
    pub const METADATA: u32 = 2;
    /// `optional bytes module_file`
    pub const MODULE_FILE: u32 = 3;
    /// `optional int64 time_ns`
    pub const TIME_NS: u32 = 4;
    /// `optional string hostname`
    pub const HOSTNAME: u32 = 5;
    /// `optional uint32 uid`
    pub const UID: u32 = 6;
    /// `optional string username`
    pub const USERNAME: u32 = 7;
    /// `repeated InstalledFile files`
    pub const FILES: u32 = 8;
    /// `optional string client`
    pub const CLIENT: u32 = 9;
    /// `optional Registrar registrar`
    pub const REGISTRAR: u32 = 10;
}

/// Fields of `InstalledFile`.
pub mod installed_file {
    /// `optional bytes path`
    pub const PATH: u32 = 1;
    /// `repeated bytes signatures`
    pub const SIGNATURES: u32 = 2;
}
