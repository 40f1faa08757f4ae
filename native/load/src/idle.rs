//! Connections that each had an answer and then want nothing.

use std::io::{Read, Write, stdin};
use std::net::TcpStream;

use crate::Failure;
use crate::started::wait_for_start;
use crate::wire;

/// Opens them one after the other, and keeps them between two lines on standard input.
pub fn idle(address: &str, connections: usize) -> Result<usize, Failure> {
    allow_files(connections as u64 + 64)?;
    let request = wire::api_versions();
    let mut streams = Vec::with_capacity(connections);
    for index in 0..connections {
        let failure = |error: std::io::Error| format!("connection {} of {connections}: {error}", index + 1);
        let mut stream = TcpStream::connect(address).map_err(failure)?;
        stream.write_all(&request)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(failure)?;
        let mut rest = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut rest).map_err(failure)?;
        streams.push(stream);
    }
    wait_for_start()?;
    stdin().read_to_string(&mut String::new())?;
    Ok(streams.len())
}

fn allow_files(wanted: u64) -> Result<(), Failure> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the length of both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
    }
    if limit.rlim_cur < wanted {
        return Err(
            format!("it takes {wanted} files, and only {} may be open (ulimit -n)", limit.rlim_cur).into()
        );
    }
    Ok(())
}
