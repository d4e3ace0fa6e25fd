//! An explanation of one call as text: who, where to, every step of policy, and what would run.

use serde_json::Value;

use super::page::{Page, duration, list};
use crate::cli::resource::{count, text as of};
use crate::cli::table;

/// What a delivery asks of policy, and what that is in words.
pub(super) const QUESTIONS: [(&str, &str); 3] =
    [("consume", "may read the topic"), ("egress", "may leave the mesh"), ("deliver", "may reach the target")];

/// The whole page.
pub(super) fn text(explained: &Value, width: usize, colour: bool) -> String {
    let mut page = Page::new(width, colour);
    let field = |pointer: &str| of(explained, pointer).unwrap_or_default();
    let target = of(explained, "/asked/target").unwrap_or_else(|| "something unknown".to_owned());
    let about = format!("{} of {target}", verb(&field("/verb")));
    page.head(&field("/verdict"), &field("/code"), &about);
    page.row("why", &field("/why"));
    page.row("decision", &decision(explained));
    page.row("asked", &asked(explained));
    identity(&mut page, explained);
    route(&mut page, explained);
    page.row("revision", &field("/revision/name"));
    if let Some(action) = of(explained, "/instance/action") {
        page.row("instance", &format!("{action}: {}", field("/instance/why")));
    }
    page.row("limits", &limits(explained));
    page.row("event", &event(explained));
    page.row("snapshot", &snapshot(explained));
    policy(&mut page, explained, "/policy", "Policy");
    subscriptions(&mut page, explained);
    page.finish()
}

/// The verb as a noun.
fn verb(verb: &str) -> String {
    match verb {
        "publish" => "publishing".to_owned(),
        "consume" => "reading".to_owned(),
        "deliver" => "delivery".to_owned(),
        other => other.to_owned(),
    }
}

/// `d-…, 2026-01-02T03:04:05Z, 200 after 1.2 ms, complete`
fn decision(explained: &Value) -> String {
    let Some(id) = of(explained, "/decision") else { return String::new() };
    let mut parts = vec![id];
    parts.extend(of(explained, "/call/at"));
    parts.extend(of(explained, "/call/status").map(|status| format!("answered {status}")));
    if let Some(us) = count(explained, "/call/duration_us") {
        parts.push(format!("{}.{:03} ms", us / 1_000, us % 1_000));
    }
    let going_on = explained.pointer("/call").is_some().then(|| "not ended yet".to_owned());
    parts.extend(of(explained, "/call/end").or(going_on));
    parts.join(", ")
}

fn asked(explained: &Value) -> String {
    let (host, path) = (of(explained, "/asked/host"), of(explained, "/asked/path"));
    let parts = [of(explained, "/asked/method"), host.or(path.clone()).map(|_| String::new())];
    let Some(method) = parts.into_iter().next().flatten() else { return String::new() };
    let host = of(explained, "/asked/host").unwrap_or_default();
    format!("{method} {host}{}", path.unwrap_or_default())
}

fn identity(page: &mut Page, explained: &Value) {
    let field = |name: &str| of(explained, &format!("/identity/{name}"));
    let how = field("how").filter(|how| how != "none").map(|how| format!(", proven by {how}")).unwrap_or_default();
    match (field("peer"), field("user")) {
        (Some(peer), user) => {
            page.row("identity", &format!("{peer}{how}"));
            page.row("user", &user.unwrap_or_default());
        }
        (None, Some(user)) => page.row("identity", &format!("{user}{how}")),
        (None, None) => page.row("identity", "nobody: neither a certificate nor a token"),
    }
    let origin = field("origin").filter(|origin| field("peer").as_ref() != Some(origin));
    page.row("origin", &origin.filter(|origin| field("user").as_ref() != Some(origin)).unwrap_or_default());
    page.row("via", &of(explained, "/via").unwrap_or_default());
}

fn route(page: &mut Page, explained: &Value) {
    let Some(name) = of(explained, "/route/name") else { return page.row("route", "none") };
    let source = of(explained, "/route/source").map(|source| format!(" ({source})")).unwrap_or_default();
    let matched = of(explained, "/route/matched").map(|by| format!(", by {}", by.replace(',', " and ")));
    page.row("route", &format!("{name}{source}{}", matched.unwrap_or_default()));
    for loser in list(explained, "/route/losers") {
        let (name, why) = (of(loser, "/name").unwrap_or_default(), of(loser, "/why").unwrap_or_default());
        page.row("not", &format!("{name}: {why}"));
    }
}

fn limits(explained: &Value) -> String {
    let limit = |name: &str| count(explained, &format!("/limits/{name}"));
    let time = |name: &str, key: &str| limit(key).map(|ms| format!("{name} {}", duration(ms)));
    let memory = limit("memory").map(|bytes| format!("memory {}", table::bytes(bytes)));
    let all = [
        time("timeout", "timeout_ms"),
        time("cpu", "cpu_ms"),
        memory,
        time("idle", "idle_ms"),
        time("stream", "stream_ms"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn event(explained: &Value) -> String {
    let (ty, source) = (of(explained, "/event/type"), of(explained, "/event/source"));
    let from = source.map(|source| format!("from {source}"));
    ty.into_iter().chain(from).collect::<Vec<_>>().join(" ")
}

fn snapshot(explained: &Value) -> String {
    let Some(version) = of(explained, "/snapshot/version") else { return String::new() };
    match count(explained, "/snapshot/age_ms") {
        Some(ms) => format!("{version}, in force since {} ago", duration(ms)),
        None => format!("{version}, of which the rules are not kept any more"),
    }
}

/// Every step with its place, and the reason on a line of its own.
fn policy(page: &mut Page, explained: &Value, pointer: &str, title: &str) {
    let at = |name: &str| format!("{pointer}/{name}");
    let steps = list(explained, &at("steps"));
    let (deciding, note) = (of(explained, &at("deciding")), of(explained, &at("note")));
    if steps.is_empty() && deciding.is_none() && note.is_none() {
        return;
    }
    page.title(&deciding.map_or_else(|| title.to_owned(), |deciding| format!("{title}: {deciding} decides")));
    for step in steps {
        let field = |name: &str| of(step, name).unwrap_or_default();
        let matches = match step.get("match").and_then(Value::as_bool) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let name = match (of(step, "/policy"), of(step, "/rule")) {
            (Some(policy), Some(rule)) => format!("{policy} rule {rule}"),
            (Some(policy), None) => policy,
            (None, _) => "-".to_owned(),
        };
        let source = of(step, "/source").map(|source| format!(" ({source})")).unwrap_or_default();
        let matches = format!("{}{:gap$}", page.verdict(matches), "", gap = 5 - matches.len());
        let harmless = crate::cli::terminal::harmless(&format!("{name}{source}"));
        page.line(&format!("  {:<9}{matches}{harmless}", field("/phase")));
        page.paragraph(16, &field("/why"));
    }
    if let Some(omitted) = count(explained, &at("omitted")) {
        page.paragraph(2, &format!("and {omitted} further rules that do not match"));
    }
    for audited in list(explained, &at("audited")) {
        page.row("audited", audited.as_str().unwrap_or_default());
    }
    page.paragraph(2, &note.unwrap_or_default());
}

/// What each trigger would do with the event.
fn subscriptions(page: &mut Page, explained: &Value) {
    let all = list(explained, "/event/subscriptions");
    if all.is_empty() {
        return;
    }
    page.title("Triggers");
    for one in all {
        let field = |name: &str| of(one, name).unwrap_or_default();
        let next = page.verdict(&field("/next"));
        page.line(&format!(
            "  {next}  {}",
            crate::cli::terminal::harmless(&format!(
                "{} to {} ({})",
                field("/name"),
                field("/target"),
                field("/source")
            ))
        ));
        if let Some(term) = of(one, "/first_failing") {
            page.paragraph(6, &format!("the filter fails at: {term}"));
        }
        for (question, may) in QUESTIONS {
            let verdict = of(one, &format!("/{question}/verdict"));
            let Some(verdict) = verdict else { continue };
            let code = of(one, &format!("/{question}/code")).filter(|code| code != "OK");
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            let deciding = of(one, &format!("/{question}/policy/deciding"));
            let deciding = deciding.map(|deciding| format!(", by {deciding}")).unwrap_or_default();
            page.paragraph(6, &format!("{may}? {verdict}{code}{deciding}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_fits_on_a_page() {
        let explained = json!({
            "decision": null, "kind": "request", "verb": "request", "via": null, "verdict": "deny",
            "code": "AUTHZ_DENY_RULE", "why": "policy default/no-weak rule 0 denies it",
            "asked": { "target": "function default/hello", "method": "GET", "host": "hello.localhost", "path": "/a" },
            "identity": { "peer": "spiffe://weft.local/ns/default/sa/weak", "user": null,
                "origin": "spiffe://weft.local/ns/default/sa/weak", "via": [], "how": "mtls" },
            "route": { "name": "function default/hello", "source": "app.yaml:1", "matched": ["host"],
                "losers": [{ "name": "function shop/hello", "why": "namespace shop != default" }] },
            "policy": { "deciding": "policy default/no-weak rule 0", "steps": [{ "phase": "deny", "policy": "default/no-weak",
                "rule": 0, "match": true, "why": "it matches", "source": "app.yaml:9" }] },
            "revision": { "name": "hello-00001", "weight": 100 },
            "instance": { "action": "start", "why": "it is at zero" },
            "limits": { "timeout_ms": 30000, "cpu_ms": 1000, "memory": 67108864, "idle_ms": 15000, "stream_ms": 300000 },
            "snapshot": { "version": 3, "age_ms": 65000, "kept": true },
        });
        let expect = "\
deny (AUTHZ_DENY_RULE): request of function default/hello

  why        policy default/no-weak rule 0 denies it
  asked      GET hello.localhost/a
  identity   spiffe://weft.local/ns/default/sa/weak, proven by mtls
  route      function default/hello (app.yaml:1), by host
  not        function shop/hello: namespace shop != default
  revision   hello-00001
  instance   start: it is at zero
  limits     timeout 30 s, cpu 1.0 s, memory 64.0 MiB, idle 15 s, stream 5 m
  snapshot   3, in force since 1 m ago

Policy: policy default/no-weak rule 0 decides
  deny     yes  default/no-weak rule 0 (app.yaml:9)
                it matches";
        assert_eq!(text(&explained, 80, false), expect);
        assert!(text(&explained, 80, true).contains("\u{1b}["), "colour where it is wanted");
    }

    #[test]
    fn an_event_shows_what_each_trigger_would_do() {
        let ask = |verdict: &str, code: &str| json!({ "verdict": verdict, "code": code, "policy": { "deciding": "default" } });
        let explained = json!({
            "verb": "publish", "verdict": "allow", "code": "OK", "asked": { "target": "topic default/orders" },
            "identity": { "how": "none" }, "route": { "name": "topic default/orders", "matched": ["host", "path"] },
            "policy": { "steps": [] },
            "event": { "topic": "default/orders", "type": "t", "source": "/s", "subscriptions": [
                { "name": "default/bill", "source": "app.yaml:5", "target": "function default/billing", "filter": "fail",
                  "first_failing": "exact type=x", "next": "filter" },
                { "name": "default/ship", "source": "app.yaml:9", "target": "function default/shipping", "filter": "pass",
                  "next": "deny", "consume": ask("allow", "OK"), "deliver": ask("deny", "AUTHZ_NO_ALLOW") },
            ]},
            "snapshot": { "version": 1, "age_ms": 1 },
        });
        let page = text(&explained, 80, false);
        for expect in [
            "allow: publishing of topic default/orders\n",
            "  identity   nobody: neither a certificate nor a token\n",
            "  route      topic default/orders, by host and path\n",
            "  event      t from /s\n",
            "\nTriggers\n  filter  default/bill to function default/billing (app.yaml:5)\n",
            "      the filter fails at: exact type=x\n",
            "  deny  default/ship to function default/shipping (app.yaml:9)\n      may read the topic? allow, by default\n",
            "      may reach the target? deny AUTHZ_NO_ALLOW, by default",
        ] {
            assert!(page.contains(expect), "{expect:?} is not in\n{page}");
        }
    }

    #[test]
    fn what_comes_from_outside_cannot_steer_the_terminal() {
        let explained = json!({ "verb": "request", "verdict": "deny", "code": "X\u{1b}[2J", "why": "a\nb\u{1b}[31m",
            "policy": { "steps": [{ "phase": "deny", "policy": "a\u{1b}", "why": "\u{1b}", "match": null }] } });
        let page = text(&explained, 80, false);
        assert!(!page.contains('\u{1b}') && page.contains("a\\nb\\u{1b}[31m"), "{page}");
    }
}
