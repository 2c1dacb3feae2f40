//! The numbers of `proto/ogrt.proto` that this library writes. A test holds each against that file, so a
//! constant is named `MESSAGE_FIELD`.

#![allow(missing_docs)]

pub const FRAME_PROCESS_INFO: u32 = 12;
pub const FRAME_PROCESS_END: u32 = 16;

pub const WATERMARK_SIGNATURE: u32 = 1;
pub const WATERMARK_METADATA: u32 = 2;
pub const WATERMARK_VERSION: u32 = 3;

pub const SHARED_OBJECT_PATH: u32 = 400;
pub const SHARED_OBJECT_WATERMARKS: u32 = 402;
pub const SHARED_OBJECT_BUILD_ID: u32 = 403;
pub const SHARED_OBJECT_PRELOADED: u32 = 404;

pub const MODULE_NAME: u32 = 700;
pub const MODULE_FILE: u32 = 701;

pub const PROCESS_INFO_BINPATH: u32 = 300;
pub const PROCESS_INFO_PID: u32 = 301;
pub const PROCESS_INFO_PARENT_PID: u32 = 302;
pub const PROCESS_INFO_TIME: u32 = 303;
pub const PROCESS_INFO_JOB_ID: u32 = 305;
pub const PROCESS_INFO_HOSTNAME: u32 = 307;
pub const PROCESS_INFO_ENVIRONMENT_VARIABLES: u32 = 309;
pub const PROCESS_INFO_ARGUMENTS: u32 = 310;
pub const PROCESS_INFO_SHARED_OBJECTS: u32 = 311;
pub const PROCESS_INFO_LOADED_MODULES: u32 = 312;
pub const PROCESS_INFO_EVENT_ID: u32 = 320;
pub const PROCESS_INFO_START_TIME_NS: u32 = 321;
pub const PROCESS_INFO_UID: u32 = 322;
pub const PROCESS_INFO_GID: u32 = 323;
pub const PROCESS_INFO_WORKING_DIRECTORY: u32 = 324;
pub const PROCESS_INFO_BUILD_ID: u32 = 325;
pub const PROCESS_INFO_WATERMARKS: u32 = 326;
pub const PROCESS_INFO_JOB_STEP: u32 = 327;
pub const PROCESS_INFO_ARRAY_INDEX: u32 = 328;
pub const PROCESS_INFO_MPI_RANK: u32 = 329;
pub const PROCESS_INFO_MPI_SIZE: u32 = 330;
pub const PROCESS_INFO_CONTAINER: u32 = 331;
pub const PROCESS_INFO_PART_INDEX: u32 = 332;
pub const PROCESS_INFO_PART_COUNT: u32 = 333;
pub const PROCESS_INFO_CLIENT: u32 = 335;
pub const PROCESS_INFO_VALUES_CUT: u32 = 336;

pub const PROCESS_END_EVENT_ID: u32 = 1;
pub const PROCESS_END_PID: u32 = 2;
pub const PROCESS_END_TIME_NS: u32 = 3;
pub const PROCESS_END_DURATION_NS: u32 = 4;
pub const PROCESS_END_USER_TIME_US: u32 = 5;
pub const PROCESS_END_SYSTEM_TIME_US: u32 = 6;
pub const PROCESS_END_MAX_RSS_KIB: u32 = 7;
pub const PROCESS_END_SHARED_OBJECTS: u32 = 8;
pub const PROCESS_END_JOB_ID: u32 = 9;
pub const PROCESS_END_HOSTNAME: u32 = 10;
pub const PROCESS_END_PART_INDEX: u32 = 11;
pub const PROCESS_END_PART_COUNT: u32 = 12;
pub const PROCESS_END_EVENTS_LOST: u32 = 13;
