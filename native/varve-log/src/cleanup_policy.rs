/// What becomes of old records (Kafka's `cleanup.policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Segments are deleted when the retention does not cover them.
    #[default]
    Delete,
    /// Of each key only the last record is kept.
    Compact,
    CompactAndDelete,
}

impl CleanupPolicy {
    pub fn compacts(self) -> bool {
        self != Self::Delete
    }

    pub fn deletes(self) -> bool {
        self != Self::Compact
    }
}
