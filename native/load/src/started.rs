//! Whoever runs this reads the broker's CPU time right before the load starts and right after it ends.

use std::io::{Write, stdin, stdout};

use crate::Failure;

/// Says that everything is prepared, and waits for a line.
pub fn wait_for_start() -> Result<(), Failure> {
    println!("ready");
    stdout().flush()?;
    let mut line = String::new();
    if stdin().read_line(&mut line)? == 0 {
        return Err("nobody wants this started".into());
    }
    Ok(())
}
