//! The log, a line an event: whatever a message holds, it neither begins a line nor steers a
//! terminal.
//!
//! Names, hosts and paths of strangers are in many messages. So nothing is left to those who write
//! messages: every line goes through here, text and JSON alike.

use ogrt_proto::printable::escaped;
use std::io::{self, Write};

/// A writer that gets each event at once, with one line end.
pub struct LogLines<W>(pub W);

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let line = String::from_utf8_lossy(line);
        // In JSON a string has no line end, so this changes only text.
        let line = escaped(&line).replace('\n', "\\n");
        self.0.write_all((line + "\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::prelude::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(is_json: bool) -> String {
        let log = Shared::default();
        let to = log.clone();
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || LogLines(to.clone()));
        let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match is_json {
            true => Box::new(tracing_subscriber::registry().with(lines.json())),
            false => Box::new(tracing_subscriber::registry().with(lines)),
        };
        let name = "ann\r\nFORGED \u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2028}\u{200b}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("a record of {name} is refused");
            tracing::warn!(name, user = %name, host = ?name, "all forms");
        });
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_name_in_a_message_is_of_its_line_and_steers_nothing() {
        for is_json in [false, true] {
            let log = logged(is_json);
            assert_eq!(log.lines().count(), 2, "{log}");
            let rest = log.replace('\n', "");
            assert!(!rest.chars().any(ogrt_proto::printable::is_unprintable), "{log}");
            if is_json {
                for line in log.lines() {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
            }
        }
    }
}
