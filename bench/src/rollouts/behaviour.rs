//! Components that differ only in how they behave: copies of the fixture `behaves` with other markers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xtask::command::{TaskError, file_error};

/// The beginning of the marker in the fixture, and the marker's length (`host/tests/guests/examples/behaves.rs`).
const BEGINNING: &[u8] = b"behaviour: version=1....";
const LENGTH: usize = 64;

/// Writes a copy of the fixture that has this version, one character, and behaves as `words` say, to a folder.
pub(super) fn write(fixture: &Path, version: char, words: &str, folder: &Path) -> Result<PathBuf, TaskError> {
    let bytes = fs::read(fixture).map_err(|error| file_error(fixture, &error))?;
    let bytes = patch(bytes, &format!("version={version} {words}"))
        .map_err(|why| TaskError(format!("{}: {why}", fixture.display())))?;
    let path = folder.join(format!("behaves-{version}.wasm"));
    fs::write(&path, bytes).map_err(|error| file_error(&path, &error))?;
    Ok(path)
}

/// Replaces the marker, which the component contains once.
fn patch(mut component: Vec<u8>, behaviour: &str) -> Result<Vec<u8>, String> {
    let marker = format!("{:.<LENGTH$}", format!("behaviour: {}", behaviour.trim_end()));
    if marker.len() != LENGTH {
        return Err(format!("{behaviour:?} does not fit into its marker"));
    }
    let windows = component.windows(BEGINNING.len()).enumerate();
    let starts: Vec<_> = windows.filter(|(_, bytes)| *bytes == BEGINNING).map(|(start, _)| start).collect();
    let [start] = *starts else { return Err(format!("it has {} markers instead of one", starts.len())) };
    let place = component.get_mut(start..start + LENGTH).ok_or("its marker is cut off")?;
    place.copy_from_slice(marker.as_bytes());
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_replaced_in_place() {
        let component = format!("before{:.<64}after", "behaviour: version=1");
        let patched = patch(component.clone().into_bytes(), "version=2 share=20 status=500 ").unwrap();
        let expected = format!("before{:.<64}after", "behaviour: version=2 share=20 status=500");
        assert_eq!(String::from_utf8(patched).unwrap(), expected);
        assert!(patch(component.repeat(2).into_bytes(), "version=2").is_err());
        assert!(patch(b"nothing".to_vec(), "version=2").is_err());
        assert!(patch(component.into_bytes(), &"long ".repeat(20)).is_err());
    }
}
