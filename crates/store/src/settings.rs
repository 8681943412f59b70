//! How a store keeps its promises.

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives the loss of power.
    #[default]
    Sync,
    /// When the kernel has it: it survives the death of every process. The loss of power may take what was
    /// acknowledged within the last second.
    Relaxed,
}
