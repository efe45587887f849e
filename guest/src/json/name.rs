//! Quotes the name of a member in an error message.

/// Maximum number of code points of a member's name that an error message quotes. No name in the contract is that long.
const MAX_QUOTED: usize = 64;

/// Quotes and escapes a name for an error message, and truncates it if it is long.
pub(crate) fn quote_name(name: &str) -> String {
    truncated_name(name).map_or_else(|| format!("{name:?}"), |start| format!("{start:?}…"))
}

/// The part of a long name that an error message quotes; `None` if the name is short enough to be quoted in full.
pub(super) fn truncated_name(name: &str) -> Option<&str> {
    name.char_indices().nth(MAX_QUOTED).and_then(|(end, _)| name.get(..end))
}
