//! What can be said of infrastructure and pipeline without a cloud: terraform/, .github/, deploy/, the Dockerfile.
//!
//! Terraform is found on the machine; all other tools come from PyPI, pinned in `deploy/checks/requirements.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{Failed, failed, output},
    process::Process,
    target, tools, workspace,
};

/// How long one check may take. Terraform's tests need half a minute on two slow cores.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a workflow would have if it held a key of the cloud's that does not expire, in small letters.
const KEYS: [&str; 5] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws-access-key-id",
    "aws-secret-access-key",
    "secrets.aws",
];
/// What such a key begins with, and how long it is.
const KEY: (&str, usize) = ("AKIA", 20);

/// Checks that the programs are there that these checks cannot install themselves.
///
/// # Errors
///
/// [`Failed`] with what is missing, and where it is to be had.
pub(crate) fn check_tools() -> Result<(), Failed> {
    let has = |program: &str, arguments: &[&str]| output(Command::new(program).args(arguments)).is_some();
    if !has("terraform", &["version"]) {
        return Err(Failed(
            "the checks of infrastructure need Terraform 1.11 or later: \
             https://developer.hashicorp.com/terraform/install"
                .into(),
        ));
    }
    if !has("python3", &["-c", "import ensurepip, venv"])
        || !has("jq", &["--version"])
        || !has("bash", &["--version"])
    {
        return Err(Failed(
            "the checks of infrastructure need bash, jq and Python 3 with venv; `./dev check` installs them on Debian \
             and Ubuntu"
                .into(),
        ));
    }
    Ok(())
}

/// Runs all checks of infrastructure.
///
/// # Errors
///
/// [`Failed`] with the first that fails.
pub(crate) fn check() -> Result<(), Failed> {
    check_tools()?;
    no_long_lived_keys()?;
    let python = tools::python("infra-venv", &workspace().join("deploy/checks/requirements.txt"))?;
    let tool = |name: &str| {
        let mut command = Command::new(python.with_file_name(name));
        command.current_dir(workspace());
        command
    };
    scripts(&tool)?;
    workflows(&tool)?;
    image(&tool)?;
    terraform()?;
    let scan = workspace().join("deploy/checks/scan.py");
    let checkov = python.with_file_name("checkov");
    run(tool("python").arg("-B").arg(scan).arg(checkov).arg(target().join("checkov")))
}

/// Whatever is run by bash, and what `deploy/deploy` promises.
fn scripts(tool: &impl Fn(&str) -> Command) -> Result<(), Failed> {
    let mut files = files(&workspace().join("deploy"), "")?;
    files.extend(self::files(&workspace().join("deploy/checks"), ".sh")?);
    files.extend(self::files(&workspace().join("xtask/image"), "")?);
    files.extend([".ci/run", "dev"].map(|name| workspace().join(name)));
    run(tool("shellcheck").arg("--external-sources").args(files))?;
    run(&mut Command::new(workspace().join("deploy/checks/deploy_test.sh")))
}

fn workflows(tool: &impl Fn(&str) -> Command) -> Result<(), Failed> {
    let workflows = files(&workspace().join(".github/workflows"), ".yml")?;
    run(tool("yamllint").args([
        "--strict",
        "--config-file",
        "deploy/checks/yamllint.yaml",
        ".github",
        "compose.yaml",
        "deploy",
        "examples",
        "tests",
    ]))?;
    let schema = ["--builtin-schema", "vendor.github-workflows"];
    run(tool("check-jsonschema").args(schema).args(&workflows))?;
    let schema = ["--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"];
    run(tool("check-jsonschema").args(schema))?;
    run(tool("zizmor").args(["--offline", "--persona", "pedantic", ".github"]))?;
    let shellcheck = tool("shellcheck").get_program().to_owned();
    run(tool("python").args(["-B", "deploy/checks/run_blocks.py"]).arg(shellcheck).args(workflows))
}

fn image(tool: &impl Fn(&str) -> Command) -> Result<(), Failed> {
    run(tool("hadolint").arg("Dockerfile"))?;
    run(tool("hadolint").args(files(&workspace().join("deploy/bases"), ".Dockerfile")?))?;
    run(tool("check-jsonschema").args(["--builtin-schema", "vendor.compose-spec", "compose.yaml"]))?;
    same_toolchain()
}

/// That the image is built by the toolchain that all else is built by.
fn same_toolchain() -> Result<(), Failed> {
    let [pinned, built_by] = ["rust-toolchain.toml", "Dockerfile"].map(|name| workspace().join(name));
    let text = fs::read_to_string(&pinned).map_err(|error| failed(&pinned, &error))?;
    let version = text.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
    let version = version.ok_or_else(|| Failed(format!("{} names no channel", pinned.display())))?;
    let text = fs::read_to_string(&built_by).map_err(|error| failed(&built_by, &error))?;
    let base = format!("ARG BUILD_BASE=docker.io/library/rust:{version}-");
    if text.lines().any(|line| line.starts_with(&base)) {
        return Ok(());
    }
    Err(Failed(format!("the Dockerfile should build with Rust {version}, as rust-toolchain.toml says")))
}

fn terraform() -> Result<(), Failed> {
    let folder = target().join("terraform");
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    let configuration = provider_mirror(&folder)?;
    let terraform = || {
        let mut command = Command::new("terraform");
        command.current_dir(workspace().join("terraform")).env("TF_DATA_DIR", &folder);
        command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
        if let Some(file) = &configuration {
            command.env("TF_CLI_CONFIG_FILE", file);
        }
        command
    };
    run(terraform().args(["fmt", "-check", "-diff", "-recursive"]))?;
    run(terraform().args(["init", "-no-color", "-backend=false", "-input=false", "-lockfile=readonly"]))?;
    run(terraform().args(["validate", "-no-color"]))?;
    run(terraform().args(["test", "-no-color", "-var-file=environments/production.tfvars"]))?;
    // The other example is as good. What is refused does not depend on it.
    run(terraform()
        .args([
            "test",
            "-no-color",
            "-var-file=environments/staging.tfvars",
            "-filter=tests/service.tftest.hcl",
        ])
        .arg("-filter=tests/closed.tftest.hcl"))
}

/// A configuration of Terraform that takes providers from a folder of this machine, where there is one under /opt and
/// the machine's own configuration is missing; without it they come from the registry.
fn provider_mirror(folder: &Path) -> Result<Option<PathBuf>, Failed> {
    if std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| Path::new(&file).exists()) {
        return Ok(None);
    }
    let mirrors = fs::read_dir("/opt").into_iter().flatten().flatten().map(|entry| entry.path());
    let Some(mirror) =
        mirrors.into_iter().find(|path| path.join("registry.terraform.io/hashicorp/aws").is_dir())
    else {
        return Ok(None);
    };
    let file = folder.join("mirror.tfrc");
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
        mirror.display()
    );
    fs::write(&file, text).map_err(|error| failed(&file, &error))?;
    Ok(Some(file))
}

/// That the pipeline has no key that does not expire: neither its name nor itself is anywhere in it.
fn no_long_lived_keys() -> Result<(), Failed> {
    let mut paths = files(&workspace().join("deploy"), "")?;
    for (folder, end) in [
        (".github", ".yml"),
        (".github/workflows", ".yml"),
        ("terraform", ".tf"),
        ("terraform/environments", ""),
    ] {
        paths.extend(files(&workspace().join(folder), end)?);
    }
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        if let Some(line) = text.lines().position(is_long_lived_key) {
            return Err(Failed(format!(
                "{}:{}: the pipeline signs in with a token of GitHub's and has no key of its own",
                path.display(),
                line + 1
            )));
        }
    }
    Ok(())
}

fn is_long_lived_key(line: &str) -> bool {
    let small = line.to_lowercase().replace(['[', '\'', '"', ' '], "").replace("secretsaws", "secrets.aws");
    KEYS.iter().any(|key| small.contains(key))
        || line
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|word| word.starts_with(KEY.0) && word.len() == KEY.1)
}

/// The files in a folder whose names end so, in the order of their names.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(end))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Failed(format!("{}: nothing to check", folder.display())));
    }
    Ok(paths)
}

fn run(command: &mut Command) -> Result<(), Failed> {
    Process::run(command, PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::is_long_lived_key;

    #[test]
    fn keys_are_seen_however_they_are_written() {
        for line in [
            "          aws-access-key-id: ${{ secrets.KEY }}",
            "          AWS_SECRET_ACCESS_KEY: ${{ vars.KEY }}",
            "          key: ${{ secrets.AWS_KEY }}",
            "          key: ${{ secrets['AWS_KEY'] }}",
            "          key: AKIAIOSFODNN7EXAMPLE",
        ] {
            assert!(is_long_lived_key(line), "{line}");
        }
    }

    #[test]
    fn what_expires_is_no_such_key() {
        for line in [
            "          role-to-assume: ${{ vars.AWS_ROLE_ARN }}",
            "          GH_TOKEN: ${{ github.token }}",
            "# AKIA is what a key begins with",
        ] {
            assert!(!is_long_lived_key(line), "{line}");
        }
    }
}
