//! A library to preload (`LD_PRELOAD`): reads and writes of files below `VARVE_SHORT_DIR` transfer half of what they are
//! asked to, as the kernel may whenever it likes. strace can make a call fail or lie about it, but not do it in part.
//! Each shortened call adds a byte to the file `VARVE_SHORT_REPORT`.

use std::env;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::{self, File};
use std::io::Write;
use std::mem;
use std::sync::OnceLock;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The next library that has the symbol: the C library itself.
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

fn original(name: &CStr) -> *mut c_void {
    let symbol = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) };
    assert!(!symbol.is_null(), "the C library has no {name:?}");
    symbol
}

/// Whether a call on this file is to be shortened; notes that it is.
fn applies(fd: c_int) -> bool {
    static TARGET: OnceLock<Option<(String, File)>> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let report =
            fs::OpenOptions::new().append(true).create(true).open(env::var("VARVE_SHORT_REPORT").ok()?);
        Some((env::var("VARVE_SHORT_DIR").ok()?, report.ok()?))
    });
    let Some((dir, report)) = target else { return false };
    let path = fs::read_link(format!("/proc/self/fd/{fd}"));
    let applies = path.is_ok_and(|path| path.starts_with(dir));
    if applies {
        (&*report).write_all(b".").expect("the report can be written");
    }
    applies
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoVec {
    base: *mut c_void,
    len: usize,
}

/// The first half of the buffers, rounded up.
unsafe fn half(buffers: *const IoVec, count: c_int) -> Vec<IoVec> {
    let buffers = unsafe { std::slice::from_raw_parts(buffers, count as usize) };
    let mut room = buffers.iter().map(|buffer| buffer.len).sum::<usize>().div_ceil(2);
    let mut kept = Vec::new();
    for buffer in buffers {
        let len = buffer.len.min(room);
        room -= len;
        kept.push(IoVec { len, ..*buffer });
        if room == 0 {
            break;
        }
    }
    kept
}

macro_rules! shorten {
    ($($name:ident($buffer:ty);)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, buffer: $buffer, len: usize, at: i64) -> isize {
            type Call = unsafe extern "C" fn(c_int, $buffer, usize, i64) -> isize;
            let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()).expect("one NUL");
            let call: Call = unsafe { mem::transmute(original(name)) };
            let len = if len > 1 && applies(fd) { len.div_ceil(2) } else { len };
            unsafe { call(fd, buffer, len, at) }
        }
    )*};
}

shorten! {
    pread(*mut c_void);
    pread64(*mut c_void);
    pwrite(*const c_void);
    pwrite64(*const c_void);
}

macro_rules! shorten_vectored {
    ($($name:ident($($flags:ident)?);)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            fd: c_int,
            buffers: *const IoVec,
            count: c_int,
            at: i64,
            $($flags: c_int,)?
        ) -> isize {
            type Call = unsafe extern "C" fn(c_int, *const IoVec, c_int, i64, $($flags: c_int)?) -> isize;
            let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()).expect("one NUL");
            let call: Call = unsafe { mem::transmute(original(name)) };
            if !applies(fd) {
                return unsafe { call(fd, buffers, count, at $(, $flags)?) };
            }
            let kept = unsafe { half(buffers, count) };
            unsafe { call(fd, kept.as_ptr(), kept.len() as c_int, at $(, $flags)?) }
        }
    )*};
}

shorten_vectored! {
    pwritev();
    pwritev64();
    preadv2(flags);
    preadv64v2(flags);
}
