//! How large the image is, unpacked and as it is sent.

use std::{fs, path::Path};

use crate::{
    command::{Failed, ask, failed},
    containers::{self, finish, program},
};

/// The most that its files may have, in bytes.
const UNPACKED: u64 = 20_000_000;
/// The most that its layers may have as they are sent, in bytes.
const COMPRESSED: u64 = 8_000_000;

/// Prints the sizes; gives the digest of the image.
///
/// # Errors
///
/// [`Failed`] if it is larger than it may be.
pub(crate) fn sizes(name: &str, root: &Path) -> Result<String, Failed> {
    let digest = digest(name)?;
    let folder = sent(name);
    let manifest = fs::read_to_string(folder.join("index.json")).map_err(|error| failed(&folder, &error))?;
    let manifest = digests(&manifest).next().ok_or_else(|| Failed("the image has no manifest".into()))?;
    let manifest = blob(&folder, &manifest)?;
    // The configuration is named first, then the layers, the base's before ours.
    let layers: Vec<String> = digests(&manifest).skip(1).collect();

    println!("\n{:<44}{:>12}{:>12}", "", "unpacked", "compressed");
    let mut compressed = 0;
    for (number, layer) in layers.iter().enumerate() {
        let path = folder.join("blobs/sha256").join(layer);
        let size = fs::metadata(&path).map_err(|error| failed(&path, &error))?.len();
        let unpacked = archived(&path)?;
        println!("{:<44}{unpacked:>12}{size:>12}", format!("layer {} {:.12}", number + 1, layer));
        compressed += size;
    }
    let mut unpacked = 0;
    for (path, size) in super::files(root)? {
        unpacked += size;
        if path.starts_with(root.join("app")) {
            let inside = Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
            println!("{:<44}{size:>12}", format!("  {}", inside.display()));
        }
    }
    println!("{:<44}{unpacked:>12}{compressed:>12}", "all, in bytes");
    println!("{:<44}{UNPACKED:>12}{COMPRESSED:>12}\n", "at most");
    if unpacked > UNPACKED || compressed > COMPRESSED {
        return Err(Failed("the image is larger than it may be".into()));
    }
    Ok(digest)
}

/// The digest of an image: that of its manifest, with its layers compressed as `deploy/push-image` sends them.
///
/// # Errors
///
/// [`Failed`] if it cannot be written out.
pub(crate) fn digest(name: &str) -> Result<String, Failed> {
    let folder = sent(name);
    let _ = fs::remove_dir_all(&folder);
    let file = folder.with_extension("digest");
    finish(
        program("buildah")
            .args(["push", "--format", "oci", "--compression-format", "zstd", "--compression-level", "19"])
            .arg("--digestfile")
            .arg(&file)
            .arg(name)
            .arg(format!("oci:{}", folder.display())),
    )?;
    fs::read_to_string(&file).map_err(|error| failed(&file, &error))
}

/// Where the image lies as it is sent.
fn sent(name: &str) -> std::path::PathBuf {
    let tag = name.rsplit(':').next().unwrap_or(name);
    containers::folder().join(format!("sent-{tag}"))
}

fn blob(folder: &Path, digest: &str) -> Result<String, Failed> {
    let path = folder.join("blobs/sha256").join(digest);
    fs::read_to_string(&path).map_err(|error| failed(&path, &error))
}

/// The digests that a document names, in their order, without `sha256:`.
fn digests(document: &str) -> impl Iterator<Item = String> {
    document.split("\"sha256:").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
}

/// The bytes of the files in a compressed archive.
fn archived(path: &Path) -> Result<u64, Failed> {
    let listed =
        ask(std::process::Command::new("tar").args(["--zstd", "--numeric-owner", "-tvf"]).arg(path))?;
    let size = |line: &str| line.split_whitespace().nth(2).and_then(|size| size.parse::<u64>().ok());
    Ok(listed.lines().filter_map(size).sum())
}
