//! Strangers that speak the protocol: the official CloudEvents SDKs of Python and JavaScript publish and are delivered to,
//! and the scenarios of cloudevents/conformance go over the wire.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use weft_tests::child::Process;
use weft_tests::cli::finish;
use weft_tests::{Project, Sink, eventually, manifest, raw};

/// What every SDK publishes, whichever mode it uses.
const SUBJECT: &str = "grüße 100% – ☃ 🌍";
const NOTE: &str = "a \"quoted\" b%41 \\ c";

/// An SDK: its interpreter, its scripts' ending, and where its library is found.
struct Sdk {
    interpreter: &'static str,
    ending: &'static str,
    library: &'static str,
    given_by: &'static str,
}

const SDKS: [Sdk; 2] = [
    Sdk { interpreter: "python3", ending: "py", library: "PYTHONPATH", given_by: "WEFT_PYTHONPATH" },
    Sdk { interpreter: "node", ending: "mjs", library: "NODE_PATH", given_by: "WEFT_NODE_PATH" },
];

impl Sdk {
    /// A script of the folder `interop`, ready to be run.
    fn script(&self, name: &str, words: &[&str]) -> Command {
        let Some(library) = std::env::var_os(self.given_by) else {
            panic!("{} does not say where the CloudEvents SDK is: run tests/run", self.given_by)
        };
        let folder = weft_tests::modules::root().join("tests/it/interop");
        let mut command = Command::new(self.interpreter);
        command.arg(folder.join(format!("{name}.{}", self.ending))).args(words);
        command.env(self.library, library).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// A receiver that runs, and where.
async fn receiver(sdk: &Sdk) -> (Process, String) {
    let mut process = Process::spawn(sdk.script("receive", &[]));
    let port = eventually("the receiver's port", async || {
        assert_eq!(process.ended(), None, "{}", process.stderr.text());
        process.stdout.text().lines().next().and_then(|line| line.parse::<u16>().ok())
    });
    let url = format!("http://127.0.0.1:{}/in", port.await);
    (process, url)
}

#[tokio::test]
async fn each_sdk_publishes_and_is_delivered_to() {
    let receivers = [receiver(&SDKS[0]).await, receiver(&SDKS[1]).await];
    let triggers = receivers
        .iter()
        .zip(&SDKS)
        .map(|((_, url), sdk)| manifest::trigger(sdk.interpreter, "orders", &format!("url: '{url}'")));
    let project = Project::new(&(manifest::topic("orders", "") + &triggers.collect::<String>()));
    let node = project.start().await;
    let topic = format!("http://{}/topics/default/orders", node.http);
    let mut published = Vec::new();
    for sdk in &SDKS {
        for mode in ["binary", "structured"] {
            let id = format!("{}-{mode}", sdk.interpreter);
            let run = finish(sdk.script("publish", &[&topic, mode, &id]).into(), b"").await;
            assert!(run.code == 0 && run.stdout.starts_with("202 "), "{id}: {run:?}");
            published.push(id);
        }
    }
    for ((process, _), sdk) in receivers.iter().zip(&SDKS) {
        assert_eq!(node.settled(sdk.interpreter, 4).await.in_state("delivered"), 4, "{}", process.stderr.text());
        let lines = process.stdout.text();
        let mut events: Vec<Value> = lines.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        events.sort_by_key(|event| event["attributes"]["id"].to_string());
        let ids: Vec<_> = events.iter().map(|event| event["attributes"]["id"].as_str().unwrap()).collect();
        let mut expect = published.clone();
        expect.sort_unstable();
        assert_eq!(ids, expect);
        for event in &events {
            let attributes = &event["attributes"];
            assert_eq!((&attributes["subject"], &attributes["note"]), (&SUBJECT.into(), &NOTE.into()), "{event}");
            assert_eq!(attributes["datacontenttype"], "application/json", "{event}");
            assert_eq!(event["data"], json!({ "text": "häppchen ☃", "number": 12 }), "{event}");
        }
    }
    for kept in node.events("orders").await {
        assert_eq!((&kept["event"]["subject"], &kept["event"]["note"]), (&SUBJECT.into(), &NOTE.into()), "{kept}");
    }
}

/// The folder of vectors that others wrote: `WEFT_VECTORS`, from the project's root. Without it there is nothing to test,
/// which in CI is a failure.
fn vector(file: &str) -> Option<String> {
    let folder = std::env::var_os("WEFT_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let path = weft_tests::modules::root().join(PathBuf::from(folder)).join("cloudevents").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot read {}: {error}; set WEFT_VECTORS", path.display());
            eprintln!("skipped: cannot read {}: {error}; set WEFT_VECTORS", path.display());
            None
        }
    }
}

/// A scenario: a request, the attributes it carries, and its data.
struct Scenario {
    request: String,
    attributes: Vec<(String, String)>,
    data: Value,
}

/// The scenarios of the feature: each outline once for each of its examples.
fn scenarios(feature: &str) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for outline in feature.split("Scenario Outline:").skip(1) {
        let quoted: Vec<_> = outline.split("\"\"\"").collect();
        let row = |line: &str| -> Vec<String> {
            line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let rows =
            |part: &str| part.lines().filter(|line| line.trim().starts_with('|')).map(row).skip(1).collect::<Vec<_>>();
        for example in rows(quoted[4]) {
            let filled = |text: &str| text.replace("<contentType>", &example[0]);
            let attributes = rows(quoted[2]).into_iter().map(|row| (row[0].clone(), filled(&row[1]))).collect();
            let data = serde_json::from_str(quoted[3].trim()).expect("the data");
            scenarios.push(Scenario { request: filled(quoted[1]), attributes, data });
        }
    }
    scenarios
}

#[tokio::test]
async fn the_conformance_scenarios_hold_over_the_wire() {
    let Some(feature) = vector("http-protocol-binding.feature") else { return };
    let sink = Sink::start().await;
    // A topic each: all scenarios use one id.
    let scenarios = scenarios(&feature);
    assert_eq!(scenarios.len(), 4, "the feature has four scenarios");
    let resources = (0..scenarios.len()).map(|number| {
        let name = format!("scenario-{number}");
        manifest::topic(&name, "")
            + &manifest::trigger(&name, &name, &format!("url: '{}'", sink.url(&format!("/{number}"))))
    });
    let project = Project::new(&resources.collect::<String>());
    let node = project.start().await;
    for (number, scenario) in scenarios.iter().enumerate() {
        let came = raw::exchange(node.http, &wire(&scenario.request, number)).await;
        assert_eq!(came.status(), Some(202), "{}: {}", scenario.request, came.text());
        node.settled(&format!("scenario-{number}"), 1).await;
        let kept = &node.events(&format!("scenario-{number}")).await[0]["event"];
        let target = format!("/{number}");
        let delivery = sink.deliveries().into_iter().find(|delivery| delivery.target == target).unwrap();
        for (name, value) in &scenario.attributes {
            assert_eq!(kept[name], *value, "{}", scenario.request);
            let header = if name == "datacontenttype" { "content-type".to_owned() } else { format!("ce-{name}") };
            assert_eq!(delivery.header(&header), Some(value.as_str()), "{}", scenario.request);
        }
        assert_eq!((delivery.json(), &kept["data"]), (scenario.data.clone(), &scenario.data));
    }
}

/// The feature's request as bytes: without its indentation, aimed at a topic of ours, and with the length of its body.
fn wire(request: &str, number: usize) -> Vec<u8> {
    let indent = request.lines().nth(1).map_or(0, |line| line.len() - line.trim_start().len());
    let lines: Vec<_> = request.lines().skip(1).map(|line| line.get(indent..).unwrap_or_default()).collect();
    let split = lines.iter().position(|line| line.is_empty()).expect("an empty line after the head");
    let body = lines[split + 1..].join("\n").trim_end().to_owned();
    let fields = lines[1..split].iter().filter(|line| !line.starts_with("Content-Length") && !line.starts_with("Host"));
    let fields: String = fields.map(|line| format!("{line}\r\n")).collect();
    let head = format!("POST /default/scenario-{number} HTTP/1.1\r\nHost: topics.localhost\r\nConnection: close\r\n");
    format!("{head}{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What the scenarios' reader makes of a feature, so that a change of the file cannot pass by testing nothing.
#[test]
fn a_feature_is_read_whole() {
    let feature = "Scenario Outline: x (<contentType>)\n\"\"\"\n  POST / HTTP/1.1\n  A: <contentType>\n\n  {}\n\"\"\"\nThen:\n\
                   | key | value |\n| id | 1 |\nAnd\n\"\"\"\n{\"a\": 1}\n\"\"\"\nExamples:\n| contentType |\n| a/b |\n| c/d |";
    let read = scenarios(feature);
    assert_eq!(read.len(), 2);
    assert_eq!(
        (read[1].attributes.as_slice(), &read[1].data),
        ([("id".to_owned(), "1".to_owned())].as_slice(), &json!({ "a": 1 }))
    );
    let wire = String::from_utf8(wire(&read[1].request, 7)).unwrap();
    assert!(
        wire.starts_with("POST /default/scenario-7 ") && wire.ends_with("A: c/d\r\nContent-Length: 2\r\n\r\n{}"),
        "{wire}"
    );
}
