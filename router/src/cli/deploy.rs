//! `weft deploy`: a module becomes a function, without a manifest.
//!
//! The words become a `Function` document, which is applied like any other: what `deploy` can do, a manifest can do,
//! and the node has one way to check both. Deploying again replaces the whole function, as applying a manifest does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use weft_functions::manifest::{API_VERSION, Kind, SourceFile, parse};
use weft_functions::value::Namespaced;

use super::client::{ApplyRequest, ClientError, Document};
use super::failure::wrong;
use super::modules::{self, NamedModule};
use super::{Global, mistakes, resource, terminal};

/// How the document made of the command's words is named in mistakes.
const DOCUMENT: &str = "<deploy>";

/// `weft deploy NAME MODULE`
#[derive(Debug, clap::Args)]
pub(super) struct DeployArgs {
    /// The function's name; it answers at http://NAME.NAMESPACE.DOMAIN/
    name: String,
    /// The wasm module: a file
    module: String,
    /// An environment variable of the function (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// A host that the function may call, such as api.example:443 (may be repeated)
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Instances to keep without traffic; 0 scales to zero
    #[arg(long, value_name = "COUNT")]
    min: Option<u32>,
    /// Concurrent calls on a node
    #[arg(long, value_name = "COUNT")]
    max: Option<u32>,
    /// After this long without a call the function is unloaded, such as 60s
    #[arg(long, value_name = "DURATION")]
    idle: Option<String>,
    /// Memory of an instance, such as 64Mi
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// From the request to the first byte of the answer, such as 30s
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Processor time of a call, such as 1s
    #[arg(long, value_name = "DURATION")]
    cpu: Option<String>,
}

pub(super) async fn run(args: &DeployArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let function = global.target(&args.name)?;
    let path = module_path(&args.module)?;
    let source = SourceFile::new(DOCUMENT, serde_json::to_string_pretty(&document(args, &function))?);
    // A mistake here is a mistake in a flag: the command was wrong, and nothing was uploaded for it.
    if let Err(problems) = parse(std::slice::from_ref(&source)) {
        let said: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
        return Err(wrong(said.join("; ")));
    }
    modules::check(&path).map_err(wrong)?;
    let admin = global.client()?;
    let (manifest, module) = (DOCUMENT.to_owned(), args.module.clone());
    let named = [NamedModule { manifest, function: function.clone(), module, path }];
    let modules = modules::upload(&admin, &named).await?;
    let document = Document { file: DOCUMENT.to_owned(), text: source.text.to_string() };
    let request = ApplyRequest { documents: vec![document], modules, dry_run: false };
    let applied = terminal::with_spinner(&format!("compiling {}", function.name), admin.apply(&request)).await;
    match applied {
        Ok(_) => print(&admin.resource(Kind::Function, &function).await?, &function, global),
        Err(ClientError::Mistakes(errors)) => mistakes::of_the_node(&errors, global),
        Err(error) => Err(error.into()),
    }
}

fn module_path(module: &str) -> anyhow::Result<PathBuf> {
    if module.starts_with("oci://") {
        return Err(wrong(format!("{module}: modules from a registry are not in this version yet; name a .wasm file")));
    }
    Ok(Path::new(module).to_path_buf())
}

/// The manifest that says the same as the command; what was not typed is left to the defaults.
fn document(args: &DeployArgs, function: &Namespaced) -> Value {
    let some = |pairs: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    };
    let group = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
    let env = args.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>();
    let scale = some(vec![
        ("min", args.min.map(Value::from)),
        ("max", args.max.map(Value::from)),
        ("idle", args.idle.clone().map(Value::from)),
    ]);
    let limits = some(vec![
        ("memory", args.memory.clone().map(Value::from)),
        ("cpu", args.cpu.clone().map(Value::from)),
        ("timeout", args.timeout.clone().map(Value::from)),
    ]);
    let spec = some(vec![
        ("module", Some(json!(args.module))),
        ("env", group(env)),
        ("allowHosts", (!args.allow_host.is_empty()).then(|| json!(args.allow_host))),
        ("scale", group(scale)),
        ("limits", group(limits)),
    ]);
    json!({
        "apiVersion": API_VERSION,
        "kind": Kind::Function.as_str(),
        "metadata": { "name": function.name, "namespace": function.namespace },
        "spec": spec,
    })
}

fn print(deployed: &Value, function: &Namespaced, global: &Global) -> anyhow::Result<ExitCode> {
    if global.json() {
        terminal::say_json(deployed)?;
    } else {
        terminal::say(&sentence(deployed, function))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `hello-00001 serving at http://hello.localhost:8080/`
fn sentence(deployed: &Value, function: &Namespaced) -> String {
    let revision = resource::text(deployed, "/status/revision").unwrap_or_else(|| function.to_string());
    match resource::text(deployed, "/status/url") {
        Some(url) => terminal::harmless(&format!("{revision} serving at {url}")),
        None => terminal::harmless(&format!("{revision} deployed")),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(words: &[&str]) -> DeployArgs {
        let words = ["weft", "deploy", "hello", "./hello.wasm"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Deploy(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_words_become_a_function() {
        let check = |words: &[&str], spec: Value| {
            let document = document(&args(words), &"shop/hello".parse().unwrap());
            assert_eq!(document["metadata"], json!({"name": "hello", "namespace": "shop"}));
            assert_eq!(document["spec"], spec);
            let source = SourceFile::new(DOCUMENT, document.to_string());
            assert_eq!(parse(&[source]).unwrap_or_else(|problems| panic!("{problems:?}")).len(), 1);
        };
        check(&[], json!({"module": "./hello.wasm"}));
        check(
            &["--min", "0", "--max", "7", "--idle", "5s"],
            json!({"module": "./hello.wasm", "scale": {"min": 0, "max": 7, "idle": "5s"}}),
        );
        check(
            &["--env", "A=1", "--env", "B=x=y", "--env", "C="],
            json!({"module": "./hello.wasm", "env": {"A": "1", "B": "x=y", "C": ""}}),
        );
        check(
            &["--allow-host", "api.example:443"],
            json!({"module": "./hello.wasm", "allowHosts": ["api.example:443"]}),
        );
        check(
            &["--memory", "128Mi", "--timeout", "PT5S", "--cpu", "500ms"],
            json!({"module": "./hello.wasm", "limits": {"memory": "128Mi", "timeout": "PT5S", "cpu": "500ms"}}),
        );
    }

    #[test]
    fn a_deployed_function_says_where_it_serves() {
        let check = |deployed: Value, expect: &str| assert_eq!(sentence(&deployed, &"hello".parse().unwrap()), expect);
        check(
            json!({"status": {"revision": "hello-00001", "url": "http://hello.localhost:8080/"}}),
            "hello-00001 serving at http://hello.localhost:8080/",
        );
        check(json!({"status": {}}), "default/hello deployed");
    }
}
