//! Words to standard error, for those who asked for them (`nothing_is_said_unless_asked_for`).
//!
//! They must not harm the program either. Nothing is written where a file size limit is set
//! (SIGXFSZ), or into a pipe that is full (a wait) or broken (SIGPIPE) at that moment. No test
//! breaks a pipe.

use crate::sys::{self, Descriptor};

const STANDARD_ERROR: Descriptor = Descriptor(2);
/// A pipe takes up to PIPE_BUF bytes whole.
const LINE_MAX: usize = 1024;

/// One or several lines that are being put together; what is too long is cut.
pub struct Words {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Words {
    /// No words yet.
    pub fn new() -> Self {
        Words { bytes: [0; LINE_MAX], len: 0 }
    }

    /// Adds text.
    pub fn text(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            if let Some(room) = self.bytes.get_mut(self.len) {
                // Text from the environment must not steer a terminal, nor begin a line. Beyond
                // ASCII there are controls too.
                *room = if (b' '..0x7F).contains(&byte) { byte } else { b'?' };
                self.len += 1;
            }
        }
        self
    }

    /// Ends a line, and begins the next.
    #[cfg(not(feature = "static"))]
    pub fn line_end(&mut self) -> &mut Self {
        if let Some(room) = self.bytes.get_mut(self.len) {
            *room = b'\n';
            self.len += 1;
        }
        self
    }

    /// Adds a number.
    #[cfg(not(feature = "static"))]
    pub fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        self.text(decimal(number, &mut digits))
    }

    /// Writes them, if standard error takes them at once.
    pub fn say(&mut self) {
        if let Some(last) = self.bytes.get_mut(self.len.min(LINE_MAX - 1)) {
            *last = b'\n';
        }
        let line = self.bytes.get(..(self.len + 1).min(LINE_MAX)).unwrap_or_default();
        let unlimited = sys::limit(sys::LIMIT_FILE_SIZE) > i64::MAX as u64;
        if unlimited && sys::is_writable(STANDARD_ERROR) {
            let _ = sys::write(STANDARD_ERROR, line);
        }
    }
}

/// The decimal digits of a number.
pub fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = at;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}
