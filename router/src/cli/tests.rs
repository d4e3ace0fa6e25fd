//! The words of the manual parse, and wrong words are exit code 2.

use clap::{CommandFactory, Parser};

use super::*;

mod commands;

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// The exit code of words that do not parse; `None` when they do.
fn refusal(line: &str) -> Option<i32> {
    Cli::try_parse_from(words(line)).err().map(|error| error.exit_code())
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_manual_parses() {
    for line in [
        "weft dev",
        "weft dev examples/orders --http 127.0.0.1:0 --admin 127.0.0.1:0 --data d --as spiffe://a/b --access-log",
        "weft deploy hello hello.wasm -n shop --env K=V --env L=W --allow-host api.example:443",
        "weft deploy hello hello.wasm --min 0 --max 9 --idle 5s --memory 64Mi --timeout 30s --cpu 1s",
        "weft invoke hello",
        "weft invoke hello /a?b=c -X PUT -H k:v -H l:w -d @body.json -i -n shop",
        "weft invoke hello -d -",
        "weft invoke hello -d -5",
        "weft publish orders --type t",
        "weft publish orders --type t --source /s --id 1 --subject s -d {} --content-type text/plain --extension a=b",
        "weft publish orders -f event.json",
        "weft publish orders -f -",
        "weft tail orders",
        "weft tail orders --from beginning --limit 3 --where x",
        "weft tail orders --from 2026-01-02T03:04:05Z",
        "weft apply -f app.yaml",
        "weft apply -f - --dry-run",
        "weft get functions",
        "weft get Function hello -o json",
        "weft get all",
        "weft describe trigger bill-orders",
        "weft delete TOPICS orders",
        "weft explain d-0123456789abcdefghjkmnpqrs",
        "weft explain request http://hello.localhost/a?b -X POST -H k:v --as spiffe://a/b --as jwt:i/s --claim role=x",
        "weft explain event orders --type t --source /s --id 1 --subject s --extension a=b --as spiffe://a/b",
        "weft explain event orders -f event.json",
        "weft explain delivery 1 --source /s --topic orders --tree -o json",
        "weft check examples/orders",
        "weft completions zsh",
        "weft --admin unix:/run/admin.sock -n shop -o json get topics",
        "weft get topics --admin unix:/run/admin.sock --namespace shop --output json",
    ] {
        assert_eq!(refusal(line), None, "{line}");
    }
}

#[test]
fn wrong_words_are_exit_code_2() {
    for line in [
        "weft",
        "weft frobnicate",
        "weft get",
        "weft get secrets",
        "weft get functions --colour",
        "weft deploy hello",
        "weft deploy hello hello.wasm --env novalue",
        "weft deploy hello hello.wasm --min many",
        "weft invoke",
        "weft invoke hello -H nocolon",
        "weft publish orders",
        "weft publish orders --type t -f event.json",
        "weft publish orders --type t --content-type text/plain",
        "weft publish orders --type t --extension id=1",
        "weft tail orders --from yesterday",
        "weft tail orders --limit 0",
        "weft apply",
        "weft check",
        "weft completions cmd",
        "weft get functions -o yaml",
    ] {
        assert_eq!(refusal(line), Some(2), "{line}");
    }
    for line in ["weft --help", "weft --version", "weft help invoke", "weft deploy -h"] {
        assert_eq!(refusal(line), Some(0), "{line}");
    }
}

#[test]
fn a_command_of_a_later_version_is_no_typing_mistake() {
    let check = |line: &str, expect: Option<&str>| {
        assert_eq!(later_command(&Cli::try_parse_from(words(line)).unwrap_err()), expect, "{line}");
    };
    check("weft tap", Some("tap"));
    check("weft -n shop tap orders", Some("tap"));
    check("weft help top", Some("top"));
    check("weft explian", None);
    check("weft get top", None);
    let help = Cli::command().render_long_help().to_string();
    for word in LATER {
        assert!(!help.lines().any(|line| line.trim_start().starts_with(&format!("{word} "))), "{word} is listed");
    }
}

#[test]
fn a_name_may_carry_its_namespace() {
    let check = |line: &str, name: &str, expect: Result<&str, &str>| {
        let global = Cli::try_parse_from(words(line)).unwrap().global;
        match (global.target(name), expect) {
            (Ok(target), Ok(expect)) => assert_eq!(target.to_string(), expect),
            (Err(error), Err(expect)) => {
                assert_eq!(failure::exit_code(&error), failure::WRONG);
                assert!(error.to_string().contains(expect), "{error:#}");
            }
            (found, expect) => panic!("{line} {name}: {found:?} instead of {expect:?}"),
        }
    };
    check("weft get all", "hello", Ok("default/hello"));
    check("weft get all -n shop", "hello", Ok("shop/hello"));
    check("weft -n shop get all", "hello", Ok("shop/hello"));
    check("weft get all", "shop/hello", Ok("shop/hello"));
    check("weft get all -n shop", "shop/hello", Ok("shop/hello"));
    check("weft get all -n shop", "other/hello", Err("give one of them"));
    check("weft get all -n Shop", "hello", Err("is not a name"));
    check("weft get all", "../../node", Err("is not a name"));
    check("weft get all", "hello.evil.example", Err("is not a name"));
}

#[test]
fn a_namespace_lives_in_itself() {
    let check = |line: &str, kind: Kind, name: &str, expect: &str| {
        let global = Cli::try_parse_from(words(line)).unwrap().global;
        assert_eq!(global.named(kind, name).unwrap().to_string(), expect, "{line}");
    };
    check("weft get all", Kind::Namespace, "shop", "shop/shop");
    check("weft get all -n default", Kind::Namespace, "shop", "shop/shop");
    check("weft get all", Kind::Namespace, "shop/shop", "shop/shop");
    check("weft get all", Kind::Issuer, "corp", "default/corp");
    check("weft get all -n shop", Kind::Issuer, "corp", "shop/corp");
}

#[test]
fn completions_know_every_command_and_no_later_one() {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "weft", &mut script);
    let script = String::from_utf8(script).unwrap();
    assert!(script.contains("weft__subcmd__publish") || script.contains("weft__publish"));
    assert!(!script.contains("weft__tap") && !script.contains("weft__subcmd__tap"));
}
