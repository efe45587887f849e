//! The names of blobs. Revisions are zero-padded to twenty digits, so names sort in the order of their revisions.

use std::fmt;

/// The name of a blob, which says what the blob contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlobName {
    /// The header of the checkpoint after this commit: contains the number of its parts. This variant sorts first because
    /// checkpoints are deleted first.
    Checkpoint(u64),
    /// The index of the checkpoint after this commit: where each part begins. Deleted next.
    Index(u64),
    /// One commit.
    Record(u64),
    /// A part of the checkpoint after this commit.
    Part(u64, u32),
    /// The marker that records have been, or are about to be, deleted.
    Pruned,
}

impl BlobName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if name == "pruned" {
            return Some(Self::Pruned);
        }
        let parsed = match name.split_at_checked(1)? {
            ("c", revision) => Self::Checkpoint(revision.parse().ok()?),
            ("r", revision) => Self::Record(revision.parse().ok()?),
            ("i", revision) => Self::Index(revision.parse().ok()?),
            ("p", rest) => {
                let (revision, number) = rest.split_once('.')?;
                Self::Part(revision.parse().ok()?, number.parse().ok()?)
            }
            _ => return None,
        };
        // Reject other spellings of the same number: such a blob was not written by this crate.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(revision) => write!(f, "c{revision:020}"),
            Self::Record(revision) => write!(f, "r{revision:020}"),
            Self::Index(revision) => write!(f, "i{revision:020}"),
            Self::Part(revision, number) => write!(f, "p{revision:020}.{number:06}"),
            Self::Pruned => f.write_str("pruned"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BlobName;

    #[test]
    fn a_formatted_name_parses_to_the_same_name() {
        for name in [
            BlobName::Checkpoint(64),
            BlobName::Record(u64::MAX),
            BlobName::Part(64, 7),
            BlobName::Index(64),
            BlobName::Pruned,
            BlobName::Record(0),
        ] {
            assert_eq!(BlobName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn foreign_names_are_ignored() {
        for name in ["", "r", "r1", "r+0000000000000000001", "p1", "pruned2", "README.md", "é", "t123.tmp"] {
            assert_eq!(BlobName::parse(name), None, "{name}");
        }
    }
}
