//! Which workloads a test tries: a few, the same ones every time, or under `npm run prove` many more, from a random one on.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a long run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// The numbers of the workloads, which are their seeds. `VARVE_LONG_RUN=1` makes it a long run, `VARVE_SEED` chooses the
/// first one. One that fails is named.
pub struct Seeds {
    next: u64,
    end: u64,
    total: u64,
    is_long: bool,
    began: Instant,
    told: Instant,
}

pub fn seeds(short: u64, long: u64) -> Seeds {
    let variable = |name| std::env::var(name).ok();
    let is_long = variable("VARVE_LONG_RUN").is_some_and(|is| is == "1");
    let by_the_clock =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let first = match variable("VARVE_SEED") {
        Some(seed) => seed.parse().expect("VARVE_SEED is a whole number"),
        None if is_long => by_the_clock() % 1_000_000,
        None => 0,
    };
    let total = if is_long { long } else { short };
    let now = Instant::now();
    Seeds { next: first, end: first + total, total, is_long, began: now, told: now }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.is_long && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.tell();
        }
        let seed = self.next;
        self.next += 1;
        (seed < self.end).then_some(seed)
    }
}

impl Seeds {
    fn tell(&self) {
        let left = self.end - self.next;
        let done = self.total - left;
        if done == 0 {
            return;
        }
        let elapsed = self.began.elapsed();
        let seconds = elapsed.as_secs_f64() / done as f64 * left as f64;
        let (total, elapsed) = (self.total, elapsed.as_secs());
        say(&format!("{done} of {total} in {elapsed} s, about {seconds:.0} s left"));
    }
}

impl Drop for Seeds {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.next - 1;
            eprintln!("VARVE_SEED={seed} repeats it");
            if self.is_long {
                // What failed is shown once all tests have ended, hours later perhaps.
                say(&format!("VARVE_SEED={seed} fails"));
            }
        }
    }
}

/// Past the harness, which keeps back what macros write until the test has failed.
fn say(what: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "  {test}: {what}");
}
