//! An append-only log in Apache Kafka's file format: segments, sparse indexes, recovery, group commit, slices.
//!
//! The crate knows nothing of Node and uses no async runtime. It reaches the disk through [`storage::Storage`] alone and
//! hands everything that waits to a [`runner::Runner`], so that tests can run it over [`sim::SimStorage`], crash it at
//! every operation and try every interleaving.

mod alarms;
mod append;
mod batch_reader;
mod checkpoint;
mod cleaned_segment;
mod cleaned_transactions;
mod cleaner;
mod cleanup_policy;
mod closing;
mod compacting;
mod compaction;
mod compaction_lag;
mod configuring;
mod cut_file;
mod data_dir;
mod disk;
mod disk_space;
mod error;
mod expansion;
mod flush;
pub mod inspect;
mod leader_epochs;
mod log;
mod log_config;
mod maintenance;
pub mod offset_index;
mod offset_map;
mod open_files;
mod preallocation;
mod preparation;
mod producer_replay;
pub mod producer_snapshot;
pub mod producer_state;
pub mod producer_state_manager;
mod producers;
mod read_only;
mod read_only_storage;
mod recovery;
pub mod repair;
mod retention;
pub mod runner;
mod segment;
pub mod sim;
mod slice;
mod slow_disk;
mod stats;
pub mod storage;
mod sync;
pub mod time_index;
pub mod transactions;
mod truncation;
pub mod turned_runner;
pub mod txn_index;
mod unsynced_storage;

pub use append::{APPEND_BYTES, Appended};
pub use batch_reader::Access;
pub use cleanup_policy::CleanupPolicy;
pub use data_dir::{DataDir, Identity, log_names};
pub use disk::{DiskStorage, descriptor_limit};
pub use error::{LogError, Result};
pub use leader_epochs::EpochEnd;
pub use log::{Listener, Log, Phase};
pub use log_config::{Durability, LogConfig};
pub use maintenance::Answer;
pub use preallocation::Preallocate;
pub use preparation::TimestampType;
pub use producer_state::ProducerError;
pub use recovery::Recovered;
pub use slice::{Slice, SliceRequest};
pub use stats::{CompactionStats, Distribution, LogStats, Reads, Volume};
pub use unsynced_storage::UnsyncedStorage;
