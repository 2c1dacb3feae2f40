//! Words to standard error, only for those who asked for them.
//!
//! Even then nothing may happen to the program: not a byte is written into a full or broken pipe (SIGPIPE, or
//! waiting) or beyond RLIMIT_FSIZE (SIGXFSZ).

use crate::sys::{self, Descriptor};

const STANDARD_ERROR: Descriptor = Descriptor(2);
/// A pipe takes up to PIPE_BUF bytes whole.
const LINE_MAX: usize = 1024;

/// A line, or several, being put together; what is too long is cut.
pub struct Words {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Words {
    /// Nothing yet.
    pub fn new() -> Self {
        Words { bytes: [0; LINE_MAX], len: 0 }
    }

    /// Adds text.
    pub fn text(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            if let Some(room) = self.bytes.get_mut(self.len) {
                // What comes from the environment must not end the line or steer a terminal.
                *room = if byte < b' ' && byte != b'\n' || byte == 0x7F { b'?' } else { byte };
                self.len += 1;
            }
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        self.text(decimal(number, &mut digits))
    }

    /// Writes it, where standard error takes it at once.
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

/// A number in decimal digits.
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
