//! What is printed: a formatter a file. A formatter turns one answer into text and decides nothing else.

pub mod build_table;
pub mod sheet;
pub mod utc;
pub mod verify_table;
pub mod watermark_json;
pub mod watermark_table;
