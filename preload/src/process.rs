//! What the kernel put on the initial stack: arguments, environment, auxiliary vector.
//!
//! The constructor's arguments do not serve, since musl passes none. libc's `environ` still points
//! into the initial stack unless an earlier constructor moved the environment, and glibc's
//! `__libc_stack_end` points at its beginning. A candidate is believed only when the whole
//! structure fits. It must lie between our own frame and the random bytes that the kernel put above
//! it, so that every read is in the stack's mapping. Its auxiliary vector must name those very
//! bytes. Under LD_AUDIT no libc is in reach; only glibc has LD_AUDIT, and it does pass arguments.

use crate::{arch::weak_address, sys};
use core::{arch::global_asm, ffi::c_char, mem::transmute, ptr, slice};

global_asm!(".weak environ", ".weak getauxval", ".weak __libc_stack_end");

const AT_NULL: usize = 0;
const AT_BASE: usize = 7;
const AT_UID: usize = 11;
const AT_GID: usize = 13;
const AT_SECURE: usize = 23;
const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_RANDOM: usize = 25;
const AT_EXECFN: usize = 31;
const AT_SYSINFO_EHDR: usize = 33;

/// A NULL-terminated array of C strings.
#[derive(Clone, Copy)]
pub struct Strings(*const *const c_char);

/// This process as it was started.
#[derive(Clone, Copy)]
pub struct Process {
    /// The arguments; empty where they could not be found.
    pub arguments: Strings,
    /// The environment as it is now.
    pub environment: Strings,
    auxiliary: *const [usize; 2],
    getauxval: Option<extern "C" fn(usize) -> usize>,
}

impl Process {
    /// Finds everything through libc's symbols. In a process that has none of them everything is
    /// empty.
    pub fn from_libc() -> Self {
        let getauxval = match weak_address!("getauxval") {
            0 => None,
            // SAFETY: both libcs document `unsigned long getauxval(unsigned long)`.
            address => Some(unsafe { transmute::<usize, extern "C" fn(usize) -> usize>(address) }),
        };
        let random = getauxval.map_or(0, |getauxval| getauxval(AT_RANDOM));
        let [environ, stack_end] = [weak_address!("environ"), weak_address!("__libc_stack_end")];
        // SAFETY: both symbols, where they are, name one word.
        let [environ, stack_end] = unsafe { [word_at(environ), word_at(stack_end)] };
        let stack = Stack { low: frame_address(), high: random };
        let found = stack.block_before(environ).or_else(|| stack.block_at(stack_end));
        let (arguments, initial, auxiliary) = found.unwrap_or((Strings::NONE, Strings::NONE, ptr::null()));
        let environment = if environ == 0 { initial } else { Strings(environ as *const *const c_char) };
        Process { arguments, environment, auxiliary, getauxval }
    }

    /// Takes what glibc passes to a constructor.
    ///
    /// # Safety
    /// `arguments` and `environment` are the initial stack's, with the auxiliary vector behind the
    /// latter.
    pub unsafe fn from_constructor(
        arguments: *const *const c_char,
        environment: *const *const c_char,
    ) -> Self {
        let mut end = environment;
        // SAFETY: the array ends in NULL, and the auxiliary vector follows (System V ABI, process
        // initialisation).
        let auxiliary = unsafe {
            while !(*end).is_null() {
                end = end.add(1);
            }
            end.add(1).cast()
        };
        Process {
            arguments: Strings(arguments),
            environment: Strings(environment),
            auxiliary,
            getauxval: None,
        }
    }

    fn auxiliary(&self, kind: usize) -> Option<usize> {
        let mut at = self.auxiliary;
        if at.is_null() {
            return self.getauxval.map(|getauxval| getauxval(kind)).filter(|&value| value != 0);
        }
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
    pub fn uid(&self) -> u32 {
        // Without an auxiliary vector 0 would mean root, so the kernel is asked.
        self.auxiliary(AT_UID).map_or_else(sys::uid, |uid| uid as u32)
    }

    /// Real group of the process.
    pub fn gid(&self) -> u32 {
        self.auxiliary(AT_GID).map_or_else(sys::gid, |gid| gid as u32)
    }

    /// Tells whether the program runs with more rights than its caller, whose environment must not
    /// be believed.
    pub fn is_secure(&self) -> bool {
        self.auxiliary(AT_SECURE).is_some_and(|secure| secure != 0)
    }

    /// Address at which the kernel put the ELF interpreter.
    pub fn interpreter_base(&self) -> Option<usize> {
        self.auxiliary(AT_BASE)
    }

    /// Address at which the kernel put its own shared object.
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

/// The part of the main thread's stack above our frame.
struct Stack {
    low: usize,
    high: usize,
}

type Block = (Strings, Strings, *const [usize; 2]);

impl Stack {
    fn word(&self, at: usize) -> Option<usize> {
        let inside = at > self.low && at < self.high.saturating_sub(8) && at.is_multiple_of(8);
        // SAFETY: between our frame and the kernel's bytes at the top there is nothing but the
        // stack.
        inside.then(|| unsafe { *(at as *const usize) })
    }

    /// The block whose environment is at `environment`.
    fn block_before(&self, environment: usize) -> Option<Block> {
        // In front of it stand argc, arguments, NULL. An argument is an address and larger than any
        // number of them.
        let mut at = environment.checked_sub(16)?;
        for count in 0.. {
            if self.word(at)? == count {
                return self.block_at(at);
            }
            at = at.checked_sub(8)?;
        }
        None
    }

    /// The block whose first word, the number of arguments, is at `start`.
    fn block_at(&self, start: usize) -> Option<Block> {
        let count = self.word(start)?;
        let arguments = start + 8;
        let end = arguments.checked_add(count.checked_mul(8)?)?;
        if self.word(end)? != 0 {
            return None;
        }
        let environment = end + 8;
        let mut at = environment;
        while self.word(at)? != 0 {
            at += 8;
        }
        let auxiliary = at + 8;
        at = auxiliary;
        loop {
            match self.word(at)? {
                AT_NULL => return None,
                AT_RANDOM if self.word(at + 8)? == self.high => break,
                _ => at += 16,
            }
        }
        Some((
            Strings(arguments as *const *const c_char),
            Strings(environment as *const *const c_char),
            auxiliary as *const [usize; 2],
        ))
    }
}

impl Strings {
    const NONE: Strings = Strings(ptr::null());

    /// The environment by libc's `environ`. Nothing else is read in an inactive process.
    pub fn environment_of_libc() -> Self {
        let environ = weak_address!("environ");
        // SAFETY: where it is, it names one word.
        Strings(unsafe { word_at(environ) } as *const *const c_char)
    }

    /// The value of a variable, the first where there are several. Other variables are read only up
    /// to the first byte that differs.
    pub fn variable(mut self, name: &[u8]) -> Option<&'static [u8]> {
        if self.0.is_null() {
            return None;
        }
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
        if self.0.is_null() {
            return None;
        }
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

/// # Safety
/// `address` is 0 or that of a word.
unsafe fn word_at(address: usize) -> usize {
    // SAFETY: by our caller's promise.
    if address == 0 { 0 } else { unsafe { *(address as *const usize) } }
}

#[inline(never)]
fn frame_address() -> usize {
    let here = 0u8;
    &raw const here as usize
}
