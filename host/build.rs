//! Packs what the API explorer consists of: a page of ours, and the files it needs out of Swagger UI's
//! distribution. Each is compressed once, here, and lies like that in the program. And tells the program what it is
//! built for and with: its target, and the version of wasmtime.

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

/// Files of ours: their name below `/docs`, which the page itself has none of, and in `src/http/explorer`.
const OURS: [(&str, &str); 3] = [("", "index.html"), ("start.js", "start.js"), ("page.css", "page.css")];
/// Files of the distribution: their name below `/docs` and in the archive. Apache-2.0 asks that its text and the
/// notice go with them.
const THEIRS: [(&str, &str); 5] = [
    ("swagger-ui-bundle.js", "dist/swagger-ui-bundle.js"),
    ("swagger-ui.css", "dist/swagger-ui.css"),
    ("favicon.png", "dist/favicon-32x32.png"),
    ("LICENSE", "LICENSE"),
    ("NOTICE", "NOTICE"),
];
/// Characters of a hash that name a version of a file.
const TAG: usize = 16;

/// What says which version of wasmtime is built: its own crate does not tell it to others.
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
    let count = OURS.len() + THEIRS.len();
    let mut list = format!("static ASSETS: [Asset; {count}] = [\n");
    for (name, file) in OURS {
        let contents = fs::read(Path::new("src/http/explorer").join(file))?;
        list.push_str(&pack(&out, name, &contents)?);
    }
    for (name, file) in THEIRS {
        let contents =
            unpack(SWAGGER_UI_VENDORED, file).ok_or_else(|| format!("no {file} in the archive"))??;
        list.push_str(&pack(&out, name, &contents)?);
    }
    list.push_str("];\n");
    fs::write(out.join("assets.rs"), list)?;
    Ok(())
}

/// The one version of a package in a lock file.
fn locked_version(lock: &str, package: &str) -> Result<String, Box<dyn Error>> {
    let mut versions = lock
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        .filter_map(|entry| entry.split_once("\nversion = \"")?.1.split_once('"'));
    match (versions.next(), versions.next()) {
        (Some((version, _)), None) => Ok(version.to_owned()),
        _ => Err(format!("{LOCK_FILE} should have exactly one {package}").into()),
    }
}

/// Writes a compressed copy of a file; gives the line that the program includes it by.
fn pack(out: &Path, name: &str, contents: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(contents)?;
    fs::write(out.join(format!("{name}.gz")), packed.finish()?)?;
    let mut tag = String::new();
    for byte in Sha256::digest(contents) {
        write!(tag, "{byte:02x}")?;
    }
    tag.truncate(TAG);
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

/// Takes one file out of a ZIP archive, whose folder has a name of its own (APPNOTE.TXT 4.3, PKWARE): the list at
/// its end says where each file begins.
fn unpack(archive: &[u8], wanted: &str) -> Option<Result<Vec<u8>, std::io::Error>> {
    /// The end of the list, without the comment that may follow.
    const END: usize = 22;
    const STORED: usize = 0;
    const DEFLATED: usize = 8;
    let end = (0..=archive.len().checked_sub(END)?)
        .rev()
        .find(|at| number(archive, *at, 4) == Some(0x0605_4b50))?;
    let mut entry = number(archive, end + 16, 4)?;
    for _ in 0..number(archive, end + 10, 2)? {
        let name_length = number(archive, entry + 28, 2)?;
        let name = archive.get(entry + 46..entry + 46 + name_length)?;
        if std::str::from_utf8(name).ok()?.split_once('/')?.1 == wanted {
            let file = number(archive, entry + 42, 4)?;
            let begin = file + 30 + number(archive, file + 26, 2)? + number(archive, file + 28, 2)?;
            let packed = archive.get(begin..begin + number(archive, entry + 20, 4)?)?;
            let mut contents = Vec::new();
            return match number(archive, entry + 10, 2)? {
                STORED => Some(Ok(packed.to_vec())),
                DEFLATED => Some(DeflateDecoder::new(packed).read_to_end(&mut contents).map(|_| contents)),
                _ => None,
            };
        }
        entry += 46 + name_length + number(archive, entry + 30, 2)? + number(archive, entry + 32, 2)?;
    }
    None
}

/// A number of some bytes, the lowest first.
fn number(archive: &[u8], at: usize, bytes: usize) -> Option<usize> {
    archive
        .get(at..at + bytes)?
        .iter()
        .rev()
        .try_fold(0, |number: usize, byte| number.checked_mul(256)?.checked_add(usize::from(*byte)))
}
