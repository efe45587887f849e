//! Which characters texts may have, and which of them show.

use std::ops::RangeInclusive;

/// Whether a text has no control characters: neither those of ASCII nor U+0080 to U+009F (category Cc).
pub(super) fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether a text has no control characters other than tab and newline.
pub(super) fn is_paragraph(text: &str) -> bool {
    text.chars().all(|character| matches!(character, '\t' | '\n') || !character.is_control())
}

/// Whether a character leaves a mark on a page: it is neither white space nor a control character, and is not ignored by default.
pub(super) fn shows(character: char) -> bool {
    !(character.is_whitespace()
        || character.is_control()
        || INVISIBLE.iter().any(|range| range.contains(&character)))
}

/// The characters with the property `Default_Ignorable_Code_Point` (Unicode 17.0, DerivedCoreProperties.txt), the annotation
/// characters U+FFF9 to U+FFFB, and the braille pattern without dots. The API description names those of the basic plane.
pub(super) const INVISIBLE: [RangeInclusive<char>; 19] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{fff9}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

#[cfg(test)]
mod tests {
    use super::{INVISIBLE, is_line, is_paragraph, shows};

    #[test]
    fn control_characters_are_found() {
        for (text, line, paragraph) in [
            ("", true, true),
            ("é 😀\u{a0}", true, true),
            ("a\tb\nc", false, true),
            ("a\rb", false, false),
            ("\0", false, false),
            ("\u{7f}", false, false),
            ("\u{85}", false, false),
            ("\u{9f}", false, false),
        ] {
            assert_eq!((is_line(text), is_paragraph(text)), (line, paragraph), "{text:?}");
        }
    }

    #[test]
    fn characters_that_leave_no_mark_do_not_show() {
        for character in "a0é漢😀.\u{301}\u{600}".chars() {
            assert!(shows(character), "{character:?}");
        }
        for character in " \t\n\u{85}\u{a0}\u{ad}\u{1680}\u{200b}\u{200d}\u{2028}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{e0020}".chars() {
            assert!(!shows(character), "{character:?}");
        }
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].end() < pair[1].start()), "sorted");
    }
}
