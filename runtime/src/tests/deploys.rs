//! What is refused at deploy, through the whole of it; the texts of bad modules are a table in `component/tests.rs`.

use super::*;

#[tokio::test]
async fn what_fails_when_it_is_instantiated_is_refused_with_the_reason() {
    let stage = Stage::new();
    for (start, words) in [("unreachable", "unreachable"), ("(call $spin)", "limits.cpu")] {
        let mut spec = spec(guest_with_start(start, HELLO));
        spec.limits.cpu = Duration::from_millis(60);
        let error = stage.runtime.deploy(spec).await.err().unwrap();
        assert!(matches!(&error, DeployError::InitTrapped(text) if text.contains(words)), "{error}");
    }
    let mut small = spec(guest(HELLO));
    small.limits.memory = 1024;
    let error = stage.runtime.deploy(small).await.err().unwrap().to_string();
    assert!(error.contains("limits.memory"), "{error}");
    eventually("no store is left", || stage.runtime.stats().instances == 0).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { component_bytes_max: 100, ..config(dir.path()) };
    let runtime = Runtime::new(config, Arc::new(Unobserved)).unwrap();
    let error = runtime.deploy(spec(guest(HELLO))).await.err().unwrap();
    assert!(matches!(error, DeployError::TooLarge { limit: 100, .. }), "{error}");

    let mut greedy = spec(guest(HELLO));
    greedy.limits.memory = 17 << 20;
    let error = runtime.deploy(greedy).await.err().unwrap();
    assert!(matches!(error, DeployError::MemoryLimit { limit: 0x0100_0000, .. }), "{error}");
}

#[tokio::test]
async fn a_bad_module_leaves_the_old_revision_serving() {
    let stage = Stage::new();
    let old = stage.deploy(HELLO).await;
    let error = stage.runtime.deploy(spec(Bytes::from_static(b"not wasm"))).await.err().unwrap();
    assert!(matches!(error, DeployError::NotWasm { .. }), "{error}");
    assert_eq!(call(&old).await.unwrap().unwrap(), "hello");
}

/// wasmtime checks functions when the component is linked; names alone are checked before.
#[tokio::test]
async fn an_offered_interface_with_a_wrong_function_is_named() {
    let stage = Stage::new();
    let wrong = r#"(component
        (import "wasi:random/random@0.2.0" (instance (export "get-lottery-numbers" (func (result u64)))))
        (instance $h)
        (export "wasi:http/incoming-handler@0.2.0" (instance $h)))"#;
    let error = stage.runtime.deploy(spec(wat::parse_str(wrong).unwrap().into())).await.err().unwrap();
    assert!(matches!(error, DeployError::InterfaceMismatch(_)), "{error}");
    assert!(error.to_string().contains("get-lottery-numbers"), "{error}");
}

#[tokio::test]
async fn features_that_are_off_are_refused() {
    let stage = Stage::new();
    let handler = r#"(instance $h) (export "wasi:http/incoming-handler@0.2.0" (instance $h))"#;
    for memory in ["(memory i64 1)", "(memory 1 1 shared)"] {
        let component = wat::parse_str(format!("(component (core module {memory}) {handler})")).unwrap();
        let error = stage.runtime.deploy(spec(component.into())).await.err().unwrap();
        assert!(matches!(error, DeployError::Compile(_)), "{error}");
    }
}

/// A core module as wasm32-wasip1 makes it: an embedded component type, and imports of WASI preview 1.
#[tokio::test]
async fn a_core_module_with_preview_1_becomes_a_component() {
    let mut wit = wit_parser::Resolve::default();
    let package = wit
        .push_str(
            "http.wit",
            "package wasi:http@0.2.0;
             interface types { resource incoming-request; resource response-outparam; }
             interface incoming-handler {
                 use types.{incoming-request, response-outparam};
                 handle: func(request: incoming-request, response-out: response-outparam);
             }
             world function { export incoming-handler; }",
        )
        .unwrap();
    let world = wit.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 8)
            (global $next (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $next)
                (global.set $next (i32.add (global.get $next) (local.get 3))))
            (func (export "wasi:http/incoming-handler@0.2.0#handle") (param i32 i32)
                (drop (call $random (i32.const 0) (i32.const 8)))))"#,
    )
    .unwrap();
    wit_component::embed_component_metadata(&mut module, &wit, world, wit_component::StringEncoding::UTF8).unwrap();

    let stage = Stage::new();
    let revision = stage.runtime.deploy(spec(module.into())).await.unwrap();
    let error = call(&revision).await.unwrap_err();
    assert_eq!(error, InvokeError::BadResponse("it returned without setting a response".to_owned()));
}
