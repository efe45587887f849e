//! The names of blobs. Revisions have all twenty digits, so that names are ordered as what they stand for.

use std::fmt;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The state after this commit: says how many parts there are. Before all others: this is what is deleted first.
    Checkpoint(u64),
    /// One commit.
    Record(u64),
    /// A part of the state after this commit.
    Part(u64, u32),
    /// Whether any record has ever been deleted.
    Pruned,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if name == "pruned" {
            return Some(Self::Pruned);
        }
        let parsed = match name.split_at_checked(1)? {
            ("c", revision) => Self::Checkpoint(revision.parse().ok()?),
            ("r", revision) => Self::Record(revision.parse().ok()?),
            ("p", rest) => {
                let (revision, number) = rest.split_once('.')?;
                Self::Part(revision.parse().ok()?, number.parse().ok()?)
            }
            _ => return None,
        };
        // Only what is written as we write it is ours.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(revision) => write!(f, "c{revision:020}"),
            Self::Record(revision) => write!(f, "r{revision:020}"),
            Self::Part(revision, number) => write!(f, "p{revision:020}.{number:06}"),
            Self::Pruned => f.write_str("pruned"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in
            [Name::Checkpoint(64), Name::Record(u64::MAX), Name::Part(64, 7), Name::Pruned, Name::Record(0)]
        {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in ["", "r", "r1", "r+0000000000000000001", "p1", "pruned2", "README.md", "é", "t123.tmp"] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
