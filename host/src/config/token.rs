//! The tokens of operators. Each has a name, and some may only read.

use std::{
    env::VarError,
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    slice,
};

use clap::Args;

/// Minimum length of a token, in characters: too long to guess.
const MIN_TOKEN_LENGTH: usize = 16;
/// Maximum length of a name, in characters: it is in each log line about its operator.
const MAX_NAME_LENGTH: usize = 64;
/// Maximum size of a file with tokens: enough for some hundred operators.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The variable that holds the tokens if no file does.
const TOKEN_VARIABLE: &str = "ORDERS_ADMIN_TOKEN";
/// The name of a token that has none.
const DEFAULT_NAME: &str = "operator";
/// A word of so many hexadecimal digits is no name, but another token.
const MIN_HEXADECIMAL: usize = 16;
/// The word after a token that only permits reading.
const READ: &str = "read";

/// Where tokens are read from, for the service and for its clients.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct TokenConfig {
    /// File with the admin tokens, one on each line, as `NAME TOKEN`, or `NAME TOKEN read` for a token that only permits
    /// reading; a token without a name belongs to `operator`. A command presents the first one. Without a file, the variable
    /// ORDERS_ADMIN_TOKEN holds the same text
    #[arg(long, env = "ORDERS_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    All,
    /// See modules, their numbers, and events.
    Read,
}

/// An operator's secret. It is never logged or printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The operator's name, in the log and in events.
    pub name: String,
    /// What the operator may do.
    pub access: Access,
    secret: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?})", self.name, self.access)
    }
}

impl Token {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.secret
    }
}

/// The tokens of all operators, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    first: Token,
    others: Vec<Token>,
}

impl Tokens {
    /// The token that a command presents.
    pub fn first(&self) -> &Token {
        &self.first
    }

    /// All tokens.
    pub fn iter(&self) -> std::iter::Chain<slice::Iter<'_, Token>, slice::Iter<'_, Token>> {
        slice::from_ref(&self.first).iter().chain(&self.others)
    }

    /// Reads lines `NAME TOKEN [read]`. The error does not quote them.
    fn parse(text: &str) -> Result<Self, String> {
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = token(line).map_err(|why| format!("line {number}: {why}"))?;
            if tokens.iter().any(|other| other.secret == token.secret) {
                return Err(format!("line {number}: this token is on an earlier line, too"));
            }
            tokens.push(token);
        }
        let mut tokens = tokens.into_iter();
        let first = tokens.next().ok_or_else(|| format!("no token is in it; {REMEDY}"))?;
        Ok(Self { first, others: tokens.collect() })
    }
}

impl<'a> IntoIterator for &'a Tokens {
    type Item = &'a Token;
    type IntoIter = std::iter::Chain<slice::Iter<'a, Token>, slice::Iter<'a, Token>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

const REMEDY: &str = "create one with `openssl rand -hex 32`";

/// How a token that only permits reading is written.
const READ_FORM: &str = "write `NAME TOKEN read`";

fn token(line: &str) -> Result<Token, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, secret, access) = match words[..] {
        [secret] => (DEFAULT_NAME, secret, Access::All),
        [READ, _] | [READ, _, _] => {
            return Err(format!("`{READ}` is no name: it follows the token; {READ_FORM}"));
        }
        [_, READ] => return Err(format!("a token that only permits reading needs a name: {READ_FORM}")),
        [name, secret] => (name, secret, Access::All),
        [name, secret, READ] => (name, secret, Access::Read),
        _ => return Err(format!("expected `NAME TOKEN` or `NAME TOKEN {READ}`, a token without spaces")),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    if name.len() > MAX_NAME_LENGTH || !name.bytes().all(is_name) {
        return Err(format!("a name has up to {MAX_NAME_LENGTH} letters, digits, and characters of `._-@`"));
    }
    if name.len() >= MIN_HEXADECIMAL && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("the name looks like a token, and names are logged: write `NAME TOKEN`, and one token on each line"
            .to_owned());
    }
    if secret.len() < MIN_TOKEN_LENGTH || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("a token has at least {MIN_TOKEN_LENGTH} printable characters; {REMEDY}"));
    }
    Ok(Token { name: name.to_owned(), access, secret: secret.to_owned() })
}

impl TokenConfig {
    /// The tokens, if any are configured.
    ///
    /// # Errors
    ///
    /// One line, without the tokens, if they cannot be read or one of them is unusable.
    pub fn tokens(&self) -> Result<Option<Tokens>, String> {
        let (origin, text) = match &self.admin_token_file {
            Some(file) => {
                let origin = format!("--admin-token-file {}", file.display());
                let text = read(file).map_err(|error| format!("cannot read {origin}: {error}"))?;
                (origin, text)
            }
            None => match token_variable() {
                Ok(text) => (TOKEN_VARIABLE.to_owned(), text),
                Err(VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(format!("{TOKEN_VARIABLE}: {error}")),
            },
        };
        Tokens::parse(&text).map(Some).map_err(|why| format!("{origin}: {why}"))
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {} KiB", MAX_FILE_BYTES >> 10)));
    }
    Ok(text)
}

#[allow(clippy::disallowed_methods, reason = "as an option, the token would appear in the list of processes")]
fn token_variable() -> Result<String, VarError> {
    std::env::var(TOKEN_VARIABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_a_token_and_what_it_may_do() {
        let text =
            "# who\n\nada 0123456789abcdef\r\n  grace\t0123456789abcdeX read \nfedcba9876543210\n#ada x\n";
        let tokens = Tokens::parse(text).unwrap();
        let all: Vec<_> =
            tokens.iter().map(|token| (token.name.as_str(), token.reveal(), token.access)).collect();
        assert_eq!(
            all,
            [
                ("ada", "0123456789abcdef", Access::All),
                ("grace", "0123456789abcdeX", Access::Read),
                ("operator", "fedcba9876543210", Access::All),
            ]
        );
        assert_eq!(tokens.first().name, "ada");
        assert!(!format!("{tokens:?}").contains("0123"));
    }

    #[test]
    fn a_byte_order_mark_is_ignored_and_a_short_name_may_be_hexadecimal() {
        for (text, name) in [
            ("\u{feff}0123456789abcdef", "operator"),
            ("\u{feff}ada 0123456789abcdef", "ada"),
            ("ada 0123456789abcdef", "ada"),
            ("0123456789abcde fedcba9876543210", "0123456789abcde"),
        ] {
            assert_eq!(Tokens::parse(text).unwrap().first().name, name, "{text:?}");
        }
    }

    #[test]
    fn an_unusable_line_is_named_by_its_number() {
        for (text, says) in [
            ("", "no token"),
            ("# only a comment\n", "no token"),
            ("\nada 0123456789abcde", "line 2: a token has at least 16"),
            (
                "0123456789abcdef read",
                "a token that only permits reading needs a name: write `NAME TOKEN read`",
            ),
            ("read 0123456789abcdef", "`read` is no name: it follows the token; write `NAME TOKEN read`"),
            ("read 0123456789abcdef read", "`read` is no name"),
            ("0123456789ABCDEF fedcba9876543210", "the name looks like a token"),
            ("0123456789abcdef fedcba9876543210 read", "the name looks like a token"),
            ("ada 0123456789abcdef write", "line 1: expected `NAME TOKEN`"),
            ("ada 0123456789abcdef read read", "expected `NAME TOKEN`"),
            ("uid:0 0123456789abcdef", "a name has"),
            ("ada 0123456789abcdef\nbob 0123456789abcdef", "line 2: this token is on an earlier line"),
        ] {
            let error = Tokens::parse(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("0123"), "{text:?}: {error}");
        }
    }
}
