//! The command line parses what its help shows, and nothing else.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("leasehold").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_example_of_the_help_parses() {
    fn check(command: &clap::Command) {
        if let Some(help) = command.get_after_help().map(ToString::to_string)
            && let Some(example) = help.strip_prefix("Example:\n")
        {
            // What else the help says follows after an empty line.
            let example = example.split("\n\n").next().unwrap();
            let line = example.replace("\\\n", " ").replace("'Acme Inc.'", "Acme");
            let words = line.split(['|', '>']).find(|part| part.trim().starts_with("leasehold")).unwrap();
            let words = words.trim().strip_prefix("leasehold").unwrap();
            assert!(parse(words).is_ok(), "{line}: {:?}", parse(words).err().map(|e| e.to_string()));
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn every_command_that_does_something_has_an_example() {
    fn check(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if help.starts_with("Example:\n") {
            return;
        }
        assert!(command.has_subcommands(), "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    Cli::command().get_subcommands().for_each(check);
}

#[test]
fn what_is_malformed_is_refused_with_exit_code_2() {
    for bad in [
        "tenant get Not-A-Label",
        "tenant create acme --revocation-bound soon",
        "tenant create acme --strict --revocation-bound 20s",
        "binding get acme",
        "binding create acme/main",
        "key generate acme --bytes 31",
        "key generate acme --context novalue",
        "key unwrap acme AAAA --reveal --out f",
        "leases watch",
        "tenant get acme --addr http://example.com:7420",
        "no-such-command",
    ] {
        assert_eq!(parse(bad).err().map(|e| e.exit_code()), Some(2), "{bad}");
    }
}

#[test]
fn json_may_stand_anywhere() {
    assert!(parse("--json tenant list").unwrap().json);
    assert!(parse("tenant list --json").unwrap().json);
}
