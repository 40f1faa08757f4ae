//! How long things took.

use std::time::Duration;

use histogram::{Histogram, Quantile};
use serde::Serialize;

use crate::Failure;

/// Two in the power of this are the steps between a value and its double: an error of 1 %.
const GROUPING_POWER: u8 = 7;
/// A minute in nanoseconds fits.
const LARGEST_POWER: u8 = 36;

pub struct Latencies {
    nanoseconds: Histogram,
    count: u64,
}

/// In microseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    count: u64,
    p50: f64,
    p99: f64,
    max: f64,
}

impl Latencies {
    pub fn new() -> Self {
        let nanoseconds = Histogram::new(GROUPING_POWER, LARGEST_POWER).expect("the powers are in range");
        Self { nanoseconds, count: 0 }
    }

    pub fn record(&mut self, latency: Duration) -> Result<(), Failure> {
        let largest = (1u64 << LARGEST_POWER) - 1;
        self.nanoseconds.increment((latency.as_nanos() as u64).min(largest))?;
        self.count += 1;
        Ok(())
    }

    /// `None` where nothing was recorded.
    pub fn summary(&self) -> Result<Option<Summary>, Failure> {
        let Some(found) = self.nanoseconds.quantiles(&[0.5, 0.99])? else { return Ok(None) };
        let at = |quantile: f64| -> Result<f64, Failure> {
            let bucket = found.get(&Quantile::new(quantile)?).ok_or("a quantile is missing")?;
            Ok(bucket.end() as f64 / 1000.0)
        };
        let max = found.max().end() as f64 / 1000.0;
        Ok(Some(Summary { count: self.count, p50: at(0.5)?, p99: at(0.99)?, max }))
    }
}
