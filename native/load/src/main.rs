//! Load for the benchmarks: `varve-load JOB` with the job as JSON. Everything is built beforehand; then it says `ready`, waits for
//! a line on standard input, does the job and prints its figures as one line of JSON.

mod connection;
mod consume;
mod end_to_end;
mod idle;
mod job;
mod latencies;
mod produce;
mod requests;
mod started;
mod wire;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::job::Job;

pub type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Value, Failure> {
    let job = std::env::args().nth(1).ok_or("usage: varve-load JOB, the job as JSON (src/job.rs)")?;
    let mut figures = match serde_json::from_str(&job)? {
        Job::Produce { batches, address, connections, in_flight, seconds, max_bytes, max_requests } => {
            let limits = produce::Limits { in_flight, seconds, max_bytes, max_requests };
            json!(produce::produce(&batches, &address, connections, &limits)?)
        }
        Job::Consume { address, topic, connections, records, max_partition_bytes, max_bytes } => {
            let limits = consume::Limits { records, max_partition_bytes, max_bytes };
            json!(consume::consume(&address, &topic, connections, &limits)?)
        }
        Job::EndToEnd { batches, address, requests_per_second, warm_up_seconds, seconds } => {
            let pace = end_to_end::Pace { requests_per_second, warm_up_seconds, seconds };
            json!(end_to_end::end_to_end(&batches, &address, &pace)?)
        }
        Job::Idle { address, connections } => json!({ "connections": idle::idle(&address, connections)? }),
    };
    figures["clientCpuSeconds"] = json!(cpu_seconds());
    Ok(figures)
}

/// Of this process so far, which did little else than the job.
fn cpu_seconds() -> f64 {
    // SAFETY: all zeros is a valid rusage, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
