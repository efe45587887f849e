//! Packs the files of the API explorer: its page, and the files it needs from the Swagger UI distribution. Each is
//! compressed here, once, and included in the program in that form. Also passes the build target and the version of wasmtime
//! to the program.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::DeflateDecoder, write::GzEncoder};
use sha2::{Digest, Sha256};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// The explorer's own files: the name below `/docs`, which is empty for the page itself, and the name in `src/http/explorer`.
const OWN_FILES: [(&str, &str); 3] = [("", "index.html"), ("start.js", "start.js"), ("page.css", "page.css")];
/// Files of the distribution: the name below `/docs`, and the name in the archive. Apache-2.0 requires its text and the
/// notice to be distributed with them.
const SWAGGER_UI_FILES: [(&str, &str); 5] = [
    ("swagger-ui-bundle.js", "dist/swagger-ui-bundle.js"),
    ("swagger-ui.css", "dist/swagger-ui.css"),
    ("favicon.png", "dist/favicon-32x32.png"),
    ("LICENSE", "LICENSE"),
    ("NOTICE", "NOTICE"),
];
/// Length of the version tag of a file, in hexadecimal digits of its hash.
const TAG_LENGTH: usize = 16;

/// The source of wasmtime's version, which its crate does not expose.
const LOCK_FILE: &str = "../Cargo.lock";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/http/explorer");
    println!("cargo::rerun-if-changed={LOCK_FILE}");
    let version = locked_version(&fs::read_to_string(LOCK_FILE)?, "wasmtime")?;
    println!("cargo::rustc-env=ORDERS_WASMTIME_VERSION={version}");
    let target = env::var_os("TARGET").ok_or("cargo sets TARGET")?;
    println!("cargo::rustc-env=ORDERS_TARGET={}", target.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let count = OWN_FILES.len() + SWAGGER_UI_FILES.len();
    let mut list = format!("static ASSETS: [Asset; {count}] = [\n");
    for (name, file) in OWN_FILES {
        let contents = fs::read(Path::new("src/http/explorer").join(file))?;
        list.push_str(&pack(&out, name, &contents)?);
    }
    for (name, file) in SWAGGER_UI_FILES {
        let contents =
            unpack(SWAGGER_UI_VENDORED, file).ok_or_else(|| format!("no {file} in the archive"))??;
        list.push_str(&pack(&out, name, &contents)?);
    }
    list.push_str("];\n");
    fs::write(out.join("assets.rs"), list)?;
    Ok(())
}

/// The version of a package in a lock file that has exactly one version of it.
fn locked_version(lock: &str, package: &str) -> Result<String, Box<dyn Error>> {
    let mut versions = lock
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        .filter_map(|entry| entry.split_once("\nversion = \"")?.1.split_once('"'));
    match (versions.next(), versions.next()) {
        (Some((version, _)), None) => Ok(version.to_owned()),
        _ => Err(format!("{LOCK_FILE} must have exactly one version of {package}").into()),
    }
}

/// Writes a compressed copy of a file. Returns the line of code that includes it in the program.
fn pack(out: &Path, name: &str, contents: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(contents)?;
    fs::write(out.join(format!("{name}.gz")), packed.finish()?)?;
    let mut tag = String::new();
    for byte in Sha256::digest(contents) {
        write!(tag, "{byte:02x}")?;
    }
    tag.truncate(TAG_LENGTH);
    let media_type = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "png")) => "image/png",
        _ if name.is_empty() => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let packed = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.gz\"))");
    Ok(format!("Asset::new({name:?}, {media_type:?}, {tag:?}, {packed}),\n"))
}

/// Extracts one file from a ZIP archive with a top-level folder of any name (PKWARE APPNOTE.TXT, section 4.3). The central
/// directory at the end of the archive says where each file begins.
fn unpack(archive: &[u8], wanted: &str) -> Option<Result<Vec<u8>, std::io::Error>> {
    /// Size of the end of the central directory, without its optional comment.
    const END_RECORD: usize = 22;
    const STORED: usize = 0;
    const DEFLATED: usize = 8;
    let end = (0..=archive.len().checked_sub(END_RECORD)?)
        .rev()
        .find(|at| little_endian(archive, *at, 4) == Some(0x0605_4b50))?;
    let mut entry = little_endian(archive, end + 16, 4)?;
    for _ in 0..little_endian(archive, end + 10, 2)? {
        let name_length = little_endian(archive, entry + 28, 2)?;
        let name = archive.get(entry + 46..entry + 46 + name_length)?;
        if std::str::from_utf8(name).ok()?.split_once('/')?.1 == wanted {
            let file = little_endian(archive, entry + 42, 4)?;
            let begin =
                file + 30 + little_endian(archive, file + 26, 2)? + little_endian(archive, file + 28, 2)?;
            let packed = archive.get(begin..begin + little_endian(archive, entry + 20, 4)?)?;
            let mut contents = Vec::new();
            return match little_endian(archive, entry + 10, 2)? {
                STORED => Some(Ok(packed.to_vec())),
                DEFLATED => Some(DeflateDecoder::new(packed).read_to_end(&mut contents).map(|_| contents)),
                _ => None,
            };
        }
        entry += 46
            + name_length
            + little_endian(archive, entry + 30, 2)?
            + little_endian(archive, entry + 32, 2)?;
    }
    None
}

/// Reads a little-endian number of this many bytes.
fn little_endian(archive: &[u8], at: usize, bytes: usize) -> Option<usize> {
    archive
        .get(at..at + bytes)?
        .iter()
        .rev()
        .try_fold(0, |number: usize, byte| number.checked_mul(256)?.checked_add(usize::from(*byte)))
}
