//! Advice, taken at its word: a real shell runs it, and notes which commands it would have run.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// What stands in for the clouds' command lines, and for `jq`: notes how it was called, with what is in files in place of
/// their names. Where what it prints matters to what follows, it prints the question.
const STAND_IN: &str = r#"#!/bin/bash
{
  printf '%s\0' "${0##*/}"
  for argument in "$@"; do
    option=""
    case "$argument" in --*=*) option="${argument%%=*}=" ;; esac
    file="${argument#"$option"}"
    file="${file#file://}"
    if [ -f "$file" ]; then printf '%s%s\0' "$option" "$(< "$file")"; else printf '%s\0' "$argument"; fi
  done
  printf '\036\0'
} >> "$CALLS"
case " $* " in *--query*|*--format*) asked="${0##*/} $*"; printf '{%s}' "${asked// /+}" ;; esac
"#;

/// The subscription of a vault, which only its owner knows.
pub(super) const SUBSCRIPTION: &str = "the-subscription-of-the-vault";

/// A command and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Call(Vec<String>);

impl Call {
    /// Whether it begins with these words.
    pub(super) fn is(&self, words: &str) -> bool {
        let words: Vec<_> = words.split(' ').collect();
        self.0.len() >= words.len() && self.0.iter().zip(&words).all(|(ours, word)| ours == word)
    }

    /// Whether one of its words is this.
    pub(super) fn says(&self, word: &str) -> bool {
        self.0.iter().any(|ours| ours == word)
    }

    /// The word at this place.
    pub(super) fn word(&self, at: usize) -> &str {
        &self.0[at]
    }

    /// Of `--name value` or `--name=value`, the value.
    pub(super) fn option(&self, name: &str) -> &str {
        let found = self.find(name);
        found.unwrap_or_else(|| panic!("{self:?} has no {name}"))
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let after = self.0.iter().position(|word| word == name).and_then(|at| self.0.get(at + 1));
        let with = || self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        after.map(String::as_str).or_else(with)
    }

    /// Whether it only looks.
    pub(super) fn is_read(&self) -> bool {
        let reads = ["get-", "list", "describe", "show"];
        self.0.iter().take(5).any(|word| reads.iter().any(|read| word.starts_with(read)))
    }
}

/// The calls of `commands`, which must all be known to `programs`, in their order.
pub(super) fn run(commands: &str, programs: &[&str]) -> Vec<Call> {
    let directory = tempfile::tempdir().unwrap();
    for program in programs {
        let path = directory.path().join(program);
        std::fs::write(&path, STAND_IN).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let calls = directory.path().join("calls");
    std::fs::write(&calls, "").unwrap();
    // As people copy it from a report, whose margin comes along.
    let pasted: String = commands.lines().map(|line| format!("           {line}\n")).collect();
    let mut bash = Command::new("/bin/bash");
    bash.args(["-eu", "-o", "pipefail", "-c", &pasted]).current_dir(directory.path());
    // No program but these can be run.
    bash.env_clear().env("PATH", directory.path()).env("CALLS", &calls);
    // What people are asked to fill in.
    let ended = bash.env("SUBSCRIPTION", SUBSCRIPTION).output().unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && errors.is_empty(), "{commands}\n{errors}");
    let noted = std::fs::read_to_string(&calls).unwrap();
    let call = |noted: &str| Call(noted.split_terminator('\0').map(str::to_owned).collect());
    noted.split_terminator("\u{1e}\0").map(call).collect()
}

#[test]
fn what_a_shell_would_run_is_noted_with_what_it_wrote_to_files() {
    let commands = "# Somebody:\nprintf '%s\\n' '{\n  \"a\": 1\n}' > a.json\naws iam put --file file://a.json --id $(az show --query id)/b\n\
                    gcloud make --file=a.json --name=a";
    let calls = run(commands, &["aws", "az", "gcloud"]);
    assert!(calls[0].is("az show") && calls[0].is_read());
    assert!(calls[1].is("aws iam put") && !calls[1].is_read());
    assert!(calls[1].option("--file").contains("\"a\": 1"));
    assert_eq!(calls[1].option("--id"), "{az+show+--query+id}/b");
    assert!(calls[2].option("--file").contains("\"a\": 1"));
    assert_eq!(calls[2].option("--name"), "a");
}
