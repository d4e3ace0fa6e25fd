//! The kinds of bad modules, each with the words its author reads.

use super::*;

#[track_caller]
fn check(module: &[u8], words: &[&str]) {
    let error = prepare(module).expect_err("refused").to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn bytes_that_are_no_wasm() {
    check(b"", &["not wasm", "empty"]);
    check(b"#!/bin/sh\n", &["not wasm", "23 21 2f", "give the .wasm file"]);
    check(b"\0asm", &["not wasm"]);
}

#[test]
fn a_core_module_without_a_component_type() {
    check(&wat("(module)"), &["core wasm module", "component type", "wasm32-wasip2"]);
}

#[test]
fn a_component_type_that_cannot_be_read() {
    check(&wat(r#"(module (@custom "component-type:x" "nonsense"))"#), &["cannot be turned into a component"]);
}

#[test]
fn a_missing_handler() {
    check(&wat("(component)"), &["does not export wasi:http/incoming-handler@0.2", "exports nothing"]);
    let other = r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    check(&wat(other), &["does not export wasi:http/incoming-handler", "wasi:cli/run@0.2.0", "weft-sdk"]);
}

#[test]
fn an_import_that_is_not_offered_is_named_in_full() {
    let import = |name: &str| wat(&format!(r#"(component (import "{name}" (instance)))"#));
    for name in ["wasi:nn/graph@0.2.0-rc-2024-10-28", "wasi:http/types@0.3.0", "acme:db/sql@1.2.3"] {
        check(&import(name), &[name, "not offered", "wasi:http/types@0.2"]);
    }
    check(&wat(r#"(component (import "f" (func)))"#), &["imports f, which is not offered"]);
}

#[test]
fn only_the_outermost_names_count() {
    let nested = r#"(component
        (component (import "acme:db/sql@1.0.0" (instance)))
        (instance $h)
        (export "wasi:http/incoming-handler@0.2.3" (instance $h)))"#;
    prepare(&wat(nested)).unwrap();
}

#[test]
fn bytes_that_end_too_early() {
    let whole = wat(r#"(component (instance $h) (export "wasi:http/incoming-handler@0.2.3" (instance $h)))"#);
    check(&whole[..whole.len() - 3], &["does not compile"]);
}
