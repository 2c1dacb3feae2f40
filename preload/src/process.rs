//! What the kernel put on the initial stack: arguments, environment, auxiliary vector.
//!
//! No symbol of libc is believed that a program may define itself: one with an `environ` of its own
//! leaves libc's unused (`a_program_with_an_environ_of_its_own_is_recorded`). glibc passes a
//! constructor what it passes to main, which is believed where the three values fit together. musl
//! passes nothing, and its `__environ` is believed where it points to such a block on our own
//! stack. That name is reserved to libc.

use crate::{linkage::IS_STATIC, sys};
use core::{
    ffi::{c_char, c_int},
    slice,
};

const AT_NULL: usize = 0;
const AT_BASE: usize = 7;
const AT_UID: usize = 11;
const AT_GID: usize = 13;
const AT_SECURE: usize = 23;
const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_RANDOM: usize = 25;
const AT_EXECFN: usize = 31;
#[cfg(not(feature = "static"))]
const AT_SYSINFO_EHDR: usize = 33;

/// A NULL-terminated array of C strings.
#[derive(Clone, Copy)]
pub struct Strings(*const *const c_char);

/// This process as it was started.
#[derive(Clone, Copy)]
pub struct Process {
    /// The arguments.
    pub arguments: Strings,
    /// The environment.
    pub environment: Strings,
    auxiliary: *const [usize; 2],
}

impl Process {
    /// Finds everything; `None` where it cannot be found. `environ` is the address of libc's
    /// `__environ`, 0 where there is none.
    pub fn find(
        count: c_int,
        arguments: *const *const c_char,
        environment: *const *const c_char,
        environ: usize,
    ) -> Option<Self> {
        Self::passed(count as usize, arguments as usize, environment as usize)
            .or_else(|| Self::on_stack(environ))
    }

    /// What glibc passes to a constructor.
    fn passed(count: usize, arguments: usize, environment: usize) -> Option<Self> {
        // More arguments than the kernel allows (they share 6 MB with the environment).
        const COUNT_MAX: usize = 4 << 20;
        let fits = count < COUNT_MAX
            && arguments > frame_address()
            && arguments.is_multiple_of(8)
            && environment == arguments.wrapping_add(count.wrapping_add(1) * 8);
        // SAFETY: three values that fit together are the initial stack's.
        fits.then(|| unsafe { Self::at(arguments, environment) })
    }

    /// The block that musl's `__environ` points into.
    fn on_stack(environ: usize) -> Option<Self> {
        // SAFETY: where it is, it names one word.
        let environment = if environ == 0 { 0 } else { unsafe { *(environ as *const usize) } };
        let mut stack = Stack { low: frame_address(), known: 0 };
        // In front of the environment stand argc, arguments, NULL. An argument is an address and
        // larger than any number of them.
        let mut at = environment.checked_sub(16)?;
        for count in 0.. {
            if stack.word(at)? == count {
                break;
            }
            at = at.checked_sub(8)?;
        }
        if IS_STATIC {
            // SAFETY: libc has set its `__environ` just now, to what the kernel put there.
            return Some(unsafe { Self::at(at + 8, environment) });
        }
        // Behind it stands the auxiliary vector, where the kernel says what is random.
        let mut end = environment;
        while stack.word(end)? != 0 {
            end += 8;
        }
        end += 8;
        loop {
            match stack.word(end)? {
                AT_NULL => return None,
                AT_RANDOM => break,
                _ => end += 16,
            }
        }
        // SAFETY: the whole structure was seen just now.
        Some(unsafe { Self::at(at + 8, environment) })
    }

    /// # Safety
    /// The addresses are the initial stack's, with the auxiliary vector behind the environment
    /// (System V ABI, process initialisation).
    unsafe fn at(arguments: usize, environment: usize) -> Self {
        let environment = environment as *const *const c_char;
        let mut end = environment;
        // SAFETY: the array ends in NULL, and the auxiliary vector follows.
        let auxiliary = unsafe {
            while !(*end).is_null() {
                end = end.add(1);
            }
            end.add(1).cast()
        };
        Process {
            arguments: Strings(arguments as *const *const c_char),
            environment: Strings(environment),
            auxiliary,
        }
    }

    fn auxiliary(&self, kind: usize) -> Option<usize> {
        let mut at = self.auxiliary;
        loop {
            // SAFETY: the vector ends in AT_NULL, at which we stop.
            let [found, value] = unsafe { *at };
            match found {
                AT_NULL => return None,
                _ if found == kind => return Some(value),
                // SAFETY: as above.
                _ => at = unsafe { at.add(1) },
            }
        }
    }

    /// The path that `execve` was given: for a script, the script's.
    pub fn executed_path(&self) -> &'static [u8] {
        match self.auxiliary(AT_EXECFN) {
            // SAFETY: a string on the initial stack, or the loader's argument where it was called
            // by name.
            Some(path) => unsafe { c_string(path as *const c_char) },
            None => &[],
        }
    }

    /// Real user of the process.
    pub fn uid(&self) -> Option<u32> {
        self.auxiliary(AT_UID).map(|uid| uid as u32)
    }

    /// Real group of the process.
    pub fn gid(&self) -> Option<u32> {
        self.auxiliary(AT_GID).map(|gid| gid as u32)
    }

    /// Tells whether the program runs with more rights than its caller, whose environment must not
    /// be believed.
    pub fn is_secure(&self) -> bool {
        self.auxiliary(AT_SECURE).is_some_and(|secure| secure != 0)
    }

    /// Address at which the kernel put the ELF interpreter; `None` where it has run the loader
    /// itself.
    pub fn interpreter_base(&self) -> Option<usize> {
        self.auxiliary(AT_BASE).filter(|&base| base != 0)
    }

    /// Address at which the kernel put its own shared object.
    #[cfg(not(feature = "static"))]
    pub fn vdso_base(&self) -> Option<usize> {
        self.auxiliary(AT_SYSINFO_EHDR)
    }

    /// Address and number of the executable's program headers.
    pub fn program_headers(&self) -> Option<(usize, usize)> {
        Some((self.auxiliary(AT_PHDR)?, self.auxiliary(AT_PHNUM)?))
    }

    /// The value of a variable, the first where there are several.
    pub fn variable(&self, name: &[u8]) -> Option<&'static [u8]> {
        self.environment.variable(name)
    }
}

/// The part of our own stack above our frame, as far as it can be read.
///
/// A static program has one `__environ`, which libc itself set just now. So the kernel is not asked
/// whether what it points to can be read (`an_inactive_static_program_makes_no_call`).
struct Stack {
    low: usize,
    /// The page that was asked about last.
    known: usize,
}

impl Stack {
    fn word(&mut self, at: usize) -> Option<usize> {
        const PAGE: usize = 4096;
        // Far more than any stack has above a constructor.
        const LEN_MAX: usize = 64 << 20;
        if at <= self.low || at - self.low > LEN_MAX || !at.is_multiple_of(8) {
            return None;
        }
        let page = at & !(PAGE - 1);
        if !IS_STATIC && page != self.low & !(PAGE - 1) && page != self.known {
            if !sys::is_readable(page) {
                return None;
            }
            self.known = page;
        }
        // SAFETY: the page can be read, as the kernel said just now or because our frame is in it.
        Some(unsafe { *(at as *const usize) })
    }
}

impl Strings {
    /// The value of a variable, the first where there are several. Other variables are read only up
    /// to the first byte that differs.
    pub fn variable(mut self, name: &[u8]) -> Option<&'static [u8]> {
        // SAFETY: an array of C strings that ends in NULL; each is read up to its first difference,
        // which its NUL is at the latest.
        unsafe {
            while !(*self.0).is_null() {
                let entry = (*self.0).cast::<u8>();
                let same = name.iter().enumerate().all(|(at, &byte)| *entry.add(at) == byte);
                if same && *entry.add(name.len()) == b'=' {
                    return Some(c_string(entry.add(name.len() + 1).cast()));
                }
                self.0 = self.0.add(1);
            }
        }
        None
    }
}

impl Iterator for Strings {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: an array of C strings that ends in NULL; we stop there.
        unsafe {
            let string = *self.0;
            if string.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            Some(c_string(string))
        }
    }
}

/// The bytes of a C string without its NUL.
///
/// # Safety
/// `string` is NULL or a C string that outlives our use of it.
pub unsafe fn c_string(string: *const c_char) -> &'static [u8] {
    unsafe extern "C" {
        // Ours, in `arch`.
        fn strlen(string: *const c_char) -> usize;
    }
    if string.is_null() {
        return &[];
    }
    // SAFETY: by our caller's promise.
    unsafe { slice::from_raw_parts(string.cast(), strlen(string)) }
}

#[inline(never)]
fn frame_address() -> usize {
    let here = 0u8;
    &raw const here as usize
}
