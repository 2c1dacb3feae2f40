//! The modules of the standard library, by version.
//!
//! From `sys.stdlib_module_names` (3.10 and later), and from the folders of the library of 2.7 and
//! 3.6 to 3.9. Names that begin with `_` are left out: they are private anyway.

/// A version, as major and minor.
type Version = (u8, u8);

/// The newest version that the table knows. Later ones are taken to have what it has.
const NEWEST: Version = (3, 15);

/// Modules, with the first and the last version that has them.
const MODULES: [(Version, Version, &str); 18] = [
    (
        (2, 7),
        (2, 7),
        "BaseHTTPServer Bastion CDROM CGIHTTPServer Canvas ConfigParser Cookie DLFCN Dialog \
         DocXMLRPCServer FileDialog FixTk HTMLParser IN MimeWriter Queue ScrolledText \
         SimpleDialog SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO TYPES Tix \
         Tkconstants Tkdnd Tkinter UserDict UserList UserString anydbm audiodev bsddb cPickle \
         cStringIO commands compiler cookielib copy_reg dbhash dircache dumbdbm dummy_thread \
         exceptions fpformat future_builtins hotshot htmlentitydefs htmllib httplib ihooks \
         imputil linuxaudiodev markupbase md5 mhlib mimetools mimify multifile mutex new \
         os2emxpath popen2 posixfile repr rexec rfc822 robotparser sets sgmllib sha sre \
         statvfs stringold strop sunaudio thread tkColorChooser tkCommonDialog tkFileDialog \
         tkFont tkMessageBox tkSimpleDialog toaiff ttk urllib2 urlparse user whichdb xmllib \
         xmlrpclib",
    ),
    ((2, 7), (3, 6), "macurl2path"),
    ((2, 7), (3, 7), "macpath"),
    ((2, 7), (3, 8), "dummy_threading"),
    ((2, 7), (3, 9), "formatter parser symbol"),
    ((2, 7), (3, 10), "binhex"),
    ((2, 7), (3, 11), "asynchat asyncore distutils imp smtpd"),
    (
        (2, 7),
        (3, 12),
        "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap nis nntplib ossaudiodev \
         pipes sndhdr spwd sunau telnetlib uu xdrlib",
    ),
    (
        (2, 7),
        (3, 15),
        "abc antigravity argparse array ast atexit base64 bdb binascii bisect bz2 cProfile \
         calendar cmath cmd code codecs codeop collections colorsys compileall contextlib \
         copy csv ctypes curses datetime decimal difflib dis doctest email encodings \
         ensurepip errno fcntl filecmp fileinput fnmatch fractions ftplib functools gc \
         genericpath getopt getpass gettext glob grp gzip hashlib heapq hmac idlelib imaplib \
         importlib inspect io itertools json keyword linecache locale logging mailbox marshal \
         math mimetypes mmap modulefinder multiprocessing netrc ntpath nturl2path numbers \
         opcode operator optparse os pdb pickle pickletools pkgutil platform plistlib poplib \
         posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data \
         pyexpat quopri random re readline resource rlcompleter runpy sched select shelve \
         shlex shutil signal site smtplib socket sqlite3 \
         ssl stat string stringprep struct subprocess symtable sys sysconfig syslog tabnanny \
         tarfile tempfile termios test textwrap this threading time timeit token tokenize \
         trace traceback tty turtle types unicodedata unittest urllib uuid warnings wave \
         weakref webbrowser wsgiref xml xxsubtype zipfile zipimport zlib",
    ),
    (
        (3, 6),
        (3, 15),
        "asyncio builtins concurrent configparser copyreg dbm enum faulthandler html http \
         ipaddress lzma pathlib queue reprlib secrets selectors socketserver statistics \
         tkinter tracemalloc turtledemo typing venv xmlrpc xxlimited zipapp",
    ),
    ((3, 7), (3, 15), "contextvars dataclasses"),
    ((3, 9), (3, 15), "graphlib zoneinfo"),
    ((3, 10), (3, 12), "msilib"),
    ((3, 10), (3, 15), "msvcrt nt winreg winsound xxlimited_35"),
    ((3, 11), (3, 15), "tomllib"),
    ((3, 14), (3, 15), "annotationlib compression"),
    ((2, 7), (3, 14), "sre_compile sre_constants sre_parse"),
    ((3, 15), (3, 15), "profiling"),
];

/// True for a top-level name of the standard library of this version.
pub fn is_standard(version: Version, name: &str) -> bool {
    let version = version.min(NEWEST);
    let has = |modules: &str| modules.split(' ').any(|module| module == name);
    MODULES.iter().any(|(first, last, modules)| (*first..=*last).contains(&version) && has(modules))
}
