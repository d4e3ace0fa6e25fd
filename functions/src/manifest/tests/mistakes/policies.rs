//! Mistakes in policies. `«` marks where in the text each is said to be.

use super::*;

/// The problems of a document whose fourth line is `spec: SPEC`; each of `expect` is `code path: message`, at the marks in
/// order.
fn marked(spec: &str, expect: &[&str]) {
    let line = format!("spec: {spec}");
    let mut columns = Vec::new();
    let mut plain = String::new();
    for (index, piece) in line.split('«').enumerate() {
        if index > 0 {
            columns.push(plain.chars().count() + 1);
        }
        plain.push_str(piece);
    }
    assert_eq!(columns.len(), expect.len(), "{spec}");
    let expect: Vec<String> = columns.iter().zip(expect).map(|(column, text)| format!("4:{column} {text}")).collect();
    let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    check(&policy(plain.trim_start_matches("spec: ")), &expect);
}

/// The same for the only rule of a policy; what is expected begins with the code and has paths from `rules[0]` on.
fn rule(rule: &str, expect: &[&str]) {
    let full: Vec<String> = expect.iter().map(|text| text.replace("rules[0]", "spec.rules[0]")).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    marked(&format!("{{ rules: [ {rule} ] }}"), &full);
}

/// A mistake in the first value of a field of the only source.
fn source(key: &str, value: &str, why: &str) {
    let path = format!("rules[0].from[0].source.{key}[0]");
    rule(
        &format!("{{ from: [ {{ source: {{ {key}: [ «{value} ] }} }} ] }}"),
        &[&format!("bad_value {path}: `{path}`: {why}")],
    );
}

/// A mistake in the first value of a field of the only operation.
fn operation(key: &str, value: &str, why: &str) {
    let path = format!("rules[0].to[0].operation.{key}[0]");
    let text = format!("{{ to: [ {{ operation: {{ {key}: [ «{value} ] }} }} ] }}");
    rule(&text, &[&format!("bad_value {path}: `{path}`: {why}")]);
}

/// The only operation can never match; `more` is the rest of the rule.
fn dead_operation(fields: &str, more: &str, why: &str) {
    let text = format!("{{ to: [ {{ operation: «{{ {fields} }} }} ]{more} }}");
    rule(&text, &[&format!("bad_value rules[0].to[0].operation: this can never match: {why}")]);
}

/// As [`dead_operation`], in a policy with these targets.
fn dead_for(targets: &str, fields: &str, why: &str) {
    let text = format!("{{ targets: [ {targets} ], rules: [ {{ to: [ {{ operation: «{{ {fields} }} }} ] }} ] }}");
    marked(&text, &[&format!("bad_value spec.rules[0].to[0].operation: this can never match: {why}")]);
}

#[test]
fn the_document() {
    marked(
        "{ action: «CUSTOM, targets: [ «{ topic: a, function: b }, «{}, { topic: «A } ], «selector: {}, «rule: 1 }",
        &[
            "bad_value spec.action: `spec.action` must be ALLOW, DENY or AUDIT, found `CUSTOM`",
            "bad_value spec.targets[0]: `spec.targets[0]` must have exactly one of function, topic, trigger",
            "bad_value spec.targets[1]: `spec.targets[1]` must have exactly one of function, topic, trigger",
            "bad_name spec.targets[2].topic: `spec.targets[2].topic`: `A` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -",
            "unsupported spec.selector: `selector` is not supported in this version; expected one of action, targets, rules",
            "unknown_key spec.rule: unknown key `rule` in `spec`: did you mean `rules`?",
        ],
    );
    // A template that had nothing to put there.
    marked(
        "{ action: «null, targets: «null, rules: «null }",
        &[
            "wrong_type spec.action: `spec.action` must be text, found nothing",
            "wrong_type spec.targets: `spec.targets` must be a list, found nothing",
            "wrong_type spec.rules: `spec.rules` must be a list, found nothing",
        ],
    );
}

#[test]
fn empty_parts() {
    rule(
        "{ from: «[], to: [ «{} ], when: «[] }",
        &[
            "bad_value rules[0].from: `rules[0].from` must not be empty: leave it out or name at least one",
            "missing_key rules[0].to[0].operation: `operation` is missing in `rules[0].to[0]`",
            "bad_value rules[0].when: `rules[0].when` must not be empty: leave it out or name at least one",
        ],
    );
    rule(
        "{ from: «null, to: «null, when: «null }",
        &[
            "wrong_type rules[0].from: `rules[0].from` must be a list, found nothing",
            "wrong_type rules[0].to: `rules[0].to` must be a list, found nothing",
            "wrong_type rules[0].when: `rules[0].when` must be a list, found nothing",
        ],
    );
    rule(
        "{ from: [ { source: «{} }, { source: { principals: «[], notOrigins: «null } } ], to: [ { operation: «{} }, { operation: { verbs: «[] } } ] }",
        &[
            "missing_key rules[0].from[0].source: this matches everything: name at least one of principals, notPrincipals, requestPrincipals, notRequestPrincipals, namespaces, notNamespaces, origins, notOrigins, ipBlocks, notIpBlocks",
            "bad_value rules[0].from[1].source.principals: `rules[0].from[1].source.principals` must not be empty: leave it out or name at least one",
            "wrong_type rules[0].from[1].source.notOrigins: `rules[0].from[1].source.notOrigins` must be a list, found nothing",
            "missing_key rules[0].to[0].operation: this matches everything: name at least one of verbs, hosts, notHosts, methods, notMethods, paths, notPaths, topics, notTopics, functions, notFunctions, types, notTypes, sources, notSources",
            "bad_value rules[0].to[1].operation.verbs: `rules[0].to[1].operation.verbs` must not be empty: leave it out or name at least one",
        ],
    );
    rule(
        "{ when: [ «{}, «{ key: source.principal }, { key: source.principal, values: «[] } ] }",
        &[
            "missing_key rules[0].when[0].key: `key` is missing in `rules[0].when[0]`",
            "missing_key rules[0].when[1]: `values` or `notValues` is missing: a condition without them says nothing",
            "bad_value rules[0].when[2].values: `rules[0].when[2].values` must not be empty: leave it out or name at least one",
        ],
    );
}

#[test]
fn unknown_keys() {
    rule(
        "{ «form: [], from: [ { source: { «principal: [ a ], «serviceAccounts: [ a ] } } ], to: [ { operation: { «method: [ GET ], «ports: [ 80 ], verbs: [ «get ] } } ], when: [ «{ key: source.principal, «value: [ a ] } ] }",
        &[
            "unknown_key rules[0].form: unknown key `form` in `rules[0]`: did you mean `from`?",
            "unknown_key rules[0].from[0].source.principal: unknown key `principal` in `rules[0].from[0].source`: did you mean `principals`?",
            "unsupported rules[0].from[0].source.serviceAccounts: `serviceAccounts` is not supported in this version; expected one of principals, notPrincipals, requestPrincipals, notRequestPrincipals, namespaces, notNamespaces, origins, notOrigins, ipBlocks, notIpBlocks",
            "unknown_key rules[0].to[0].operation.method: unknown key `method` in `rules[0].to[0].operation`: did you mean `methods`?",
            "unsupported rules[0].to[0].operation.ports: `ports` is not supported in this version; expected one of verbs, hosts, notHosts, methods, notMethods, paths, notPaths, topics, notTopics, functions, notFunctions, types, notTypes, sources, notSources",
            "bad_value rules[0].to[0].operation.verbs[0]: `rules[0].to[0].operation.verbs[0]` must be request, publish, consume, deliver, egress, read, apply or operate, found `get`",
            "missing_key rules[0].when[0]: `values` or `notValues` is missing: a condition without them says nothing",
            "unknown_key rules[0].when[0].value: unknown key `value` in `rules[0].when[0]`: did you mean `values`?",
        ],
    );
}

/// Values that look like nothing that is ever compared with them. The forms themselves are a table of their own.
#[test]
fn values() {
    for key in ["principals", "notPrincipals", "origins", "notOrigins"] {
        source(key, "td/ns/a/sa/b", "`td/ns/a/sa/b` can never match: write spiffe://td/ns/a/sa/b");
    }
    for key in ["requestPrincipals", "notRequestPrincipals"] {
        source(key, "alice", "`alice` can never match: expected ISSUER/SUBJECT");
    }
    for key in ["namespaces", "notNamespaces"] {
        source(key, "a/b", "`a/b` can never match: a namespace has letters, digits, `.`, `-` and `_` only");
    }
    for key in ["ipBlocks", "notIpBlocks"] {
        let why = "`10.0.0.1/8` is not an address or a range such as 10.0.0.7, 10.0.0.0/8 or fd00::/8";
        source(key, "10.0.0.1/8", why);
    }
    for key in ["hosts", "notHosts"] {
        operation(key, "'a.example:443'", "`a.example:443` can never match: leave out the port, which is not matched");
    }
    for key in ["methods", "notMethods"] {
        operation(key, "get", "`get` can never match: methods are upper case, write GET");
    }
    for key in ["paths", "notPaths"] {
        operation(key, "a", "`a` is not a path match: it never matches, paths begin with /");
        operation(
            key,
            "/%7ea",
            "`/%7ea` is not a path match: it never matches, write `~` for `%7e`, as requests' paths are spelled",
        );
        operation(key, "'/{**}/a'", "`/{**}/a` is not a path match: {**} must come last");
    }
    for key in ["topics", "notTopics", "functions", "notFunctions"] {
        let why = "`A` is not a name: expected 1 to 63 of a-z, 0-9 and -, starting with a letter and not ending with -";
        operation(key, "A", why);
    }
    for key in ["types", "notTypes"] {
        operation(key, "a*b", "`a*b` is not a match: expected text, abc*, *abc or *");
    }
    for key in ["sources", "notSources"] {
        operation(key, "a b", "`a b` can never match: a source is a URI, percent-encoded");
    }
    for key in ["values", "notValues"] {
        let path = format!("rules[0].when[0].{key}[0]");
        let condition = |name: &str, value: &str, why: &str| {
            let text = format!("{{ when: [ {{ key: '{name}', {key}: [ «{value} ] }} ] }}");
            rule(&text, &[&format!("bad_value {path}: `{path}`: {why}")]);
        };
        for name in ["source.principal", "origin.principal"] {
            condition(name, "a", "`a` can never match: write spiffe://a");
        }
        condition(
            "source.namespace",
            "a/b",
            "`a/b` can never match: a namespace has letters, digits, `.`, `-` and `_` only",
        );
        condition("request.auth.principal", "alice", "`alice` can never match: expected ISSUER/SUBJECT");
        condition("event.attributes[source]", "a b", "`a b` can never match: a source is a URI, percent-encoded");
        condition("request.headers[x-a]", "''", "`` is not a match: expected text, abc*, *abc or *");
    }
    rule(
        "{ when: [ { key: «request.header, values: [ a ] }, { key: «'request.headers[a b]', values: [ a ] } ] }",
        &[
            "bad_value rules[0].when[0].key: `rules[0].when[0].key`: `request.header` is not a condition: did you mean `request.headers[NAME]`?",
            "bad_value rules[0].when[1].key: `rules[0].when[1].key`: `request.headers[a b]` is not a condition: that is not the name of a header",
        ],
    );
}

/// What one list asks for and the other excludes.
#[test]
fn excluded_values() {
    rule(
        "{ from: [ { source: { principals: [ 'spiffe://td/a', «'spiffe://td/b' ], notPrincipals: [ '*/b' ] } } ] }",
        &[
            "bad_value rules[0].from[0].source.principals[1]: `spiffe://td/b` is excluded by `*/b` in `notPrincipals`, so it can never match",
        ],
    );
    rule(
        "{ from: [ { source: { principals: [ «'*' ], notPrincipals: [ '*' ], ipBlocks: [ «10.1.0.0/16 ], notIpBlocks: [ 10.0.0.0/8 ] } } ] }",
        &[
            "bad_value rules[0].from[0].source.principals[0]: `*` is excluded by `*` in `notPrincipals`, so it can never match",
            "bad_value rules[0].from[0].source.ipBlocks[0]: `10.1.0.0/16` is excluded by `10.0.0.0/8` in `notIpBlocks`, so it can never match",
        ],
    );
    rule(
        "{ to: [ { operation: { hosts: [ «A.example ], notHosts: [ a.EXAMPLE ], paths: [ «'/a/{*}' ], notPaths: [ '/a/*' ] } } ] }",
        &[
            "bad_value rules[0].to[0].operation.hosts[0]: `a.example` is excluded by `a.example` in `notHosts`, so it can never match",
            "bad_value rules[0].to[0].operation.paths[0]: `/a/{*}` is excluded by `/a/*` in `notPaths`, so it can never match",
        ],
    );
    rule(
        "{ when: [ { key: 'request.headers[x-a]', values: [ «a ], notValues: [ a ] } ] }",
        &["bad_value rules[0].when[0].values[0]: `a` is excluded by `a` in `notValues`, so it can never match"],
    );
    // Without a certificate, without a token: these have no principal, and are meant.
    rule("{ from: [ { source: { notPrincipals: [ '*' ] } }, { source: { notRequestPrincipals: [ '*' ] } } ] }", &[]);
    for (key, all) in [
        ("notHosts", "*"),
        ("notMethods", "*"),
        ("notPaths", "/*"),
        ("notPaths", "/{**}"),
        ("notTopics", "*"),
        ("notFunctions", "*"),
        ("notTypes", "*"),
        ("notSources", "*"),
    ] {
        dead_operation(&format!("{key}: [ '{all}' ]"), "", &format!("`{key}` excludes everything"));
    }
}

/// Verbs, fields and targets that do not go together.
#[test]
fn fields_that_no_verb_has() {
    dead_operation("verbs: [ publish ], hosts: [ a ]", "", "publish has no hosts, which goes with request and egress");
    dead_operation(
        "verbs: [ publish, consume ], notPaths: [ /a ]",
        "",
        "publish and consume have no paths, which goes with request, deliver and egress",
    );
    dead_operation("hosts: [ a ], types: [ b ]", "", "no verb here has all of hosts and types");
    dead_operation(
        "verbs: [ request ]",
        ", when: [ { key: 'event.attributes[type]', values: [ a ] } ]",
        "request has no event.attributes, which goes with publish and deliver",
    );
    dead_operation(
        "verbs: [ consume ]",
        ", from: [ { source: { ipBlocks: [ 10.0.0.1 ] } } ]",
        "consume has no ipBlocks, which goes with request, publish, read, apply and operate",
    );
    dead_operation(
        "verbs: [ egress ]",
        ", when: [ { key: 'request.auth.claims[a]', notValues: [ b ] } ]",
        "egress has no request.auth, which goes with request, publish, deliver, read, apply and operate",
    );
    dead_operation(
        "verbs: [ read ], methods: [ GET ]",
        "",
        "read has no methods, which goes with request, deliver and egress",
    );
    dead_operation("verbs: [ deliver ], methods: [ GET, PUT ]", "", "the method of a delivery is POST");
    dead_operation("topics: [ a ], functions: [ a ]", "", "no verb here has all of topics and functions");
    dead_operation(
        "verbs: [ read ], topics: [ a ], functions: [ a ]",
        "",
        "`topics` and `functions` are both given, and a call has one target",
    );
    // One of several.
    rule(
        "{ from: [ { source: { principals: [ '*' ] } }, { source: «{ ipBlocks: [ 10.0.0.1 ] } } ], to: [ { operation: { verbs: [ deliver ] } } ] }",
        &[
            "bad_value rules[0].from[1].source: this can never match: deliver has no ipBlocks, which goes with request, publish, read, apply and operate",
        ],
    );
    rule(
        "{ to: [ { operation: { verbs: [ request ] } }, { operation: «{ verbs: [ publish ], hosts: [ a ] } } ] }",
        &[
            "bad_value rules[0].to[1].operation: this can never match: publish has no hosts, which goes with request and egress",
        ],
    );
    // Without `to`.
    rule(
        "«{ when: [ { key: 'request.headers[a]', values: [ b ] }, { key: 'event.attributes[a]', values: [ b ] } ] }",
        &["bad_value rules[0]: this can never match: no verb here has all of request.headers and event.attributes"],
    );
    // A verb that lacks a field does no harm beside one that has it.
    rule("{ to: [ { operation: { verbs: [ publish, request ], hosts: [ a ] } } ] }", &[]);
    rule("{ from: [ { source: { ipBlocks: [ 10.0.0.1 ] } } ], to: [ { operation: { paths: [ /a ] } } ] }", &[]);
    rule("{}", &[]);
}

#[test]
fn targets_that_no_verb_reaches() {
    let cannot = |verbs: &str| format!("{verbs} cannot be done to any target of the policy");
    dead_for("{ topic: a }", "verbs: [ request, deliver ]", &cannot("request or deliver"));
    dead_for("{ function: a }", "verbs: [ publish ]", &cannot("publish"));
    dead_for("{ trigger: a }", "verbs: [ request, publish ]", &cannot("request or publish"));
    dead_for("{ topic: a }", "hosts: [ a ]", &cannot("request or egress"));
    let none = "`topics` or `functions` name none of the policy's targets";
    dead_for("{ topic: a }, { topic: b }", "verbs: [ publish ], topics: [ c, d* ]", none);
    dead_for("{ topic: a }", "notTopics: [ a ]", none);
    dead_for("{ function: a }", "functions: [ b ]", none);
    dead_for("{ function: a }", "verbs: [ read ], topics: [ a ]", none);
    dead_for("{ trigger: a }", "verbs: [ read ], topics: [ a ]", none);
    let meant = |targets: &str, fields: &str| {
        marked(&format!("{{ targets: [ {targets} ], rules: [ {{ to: [ {{ operation: {{ {fields} }} }} ] }} ] }}"), &[]);
    };
    meant("{ topic: a }, { topic: b }", "verbs: [ publish ], topics: [ c, b* ]");
    meant("{ trigger: a }", "verbs: [ consume ], topics: [ b ]");
    meant("{ trigger: a }", "verbs: [ deliver ], functions: [ b ]");
    meant("{ trigger: a }", "verbs: [ egress ], hosts: [ b ]");
    meant("{ trigger: a }", "verbs: [ read ]");
}

#[test]
fn fields_that_contradict_each_other() {
    let dead_source = |fields: &str, more: &str, why: &str| {
        let text = format!("{{ from: [ {{ source: «{{ {fields} }} }} ]{more} }}");
        rule(&text, &[&format!("bad_value rules[0].from[0].source: this can never match: {why}")]);
    };
    let when = |key: &str, value: &str| format!(", when: [ {{ key: '{key}', values: [ '{value}' ] }} ]");
    let apart = |field: &str, key: &str| format!("`{field}` and `{key}` have no value in common");
    for (field, key, one, other) in [
        ("principals", "source.principal", "spiffe://td/a", "spiffe://td/b*"),
        ("origins", "origin.principal", "spiffe://td/a", "*/b"),
        ("namespaces", "source.namespace", "a*", "b"),
        ("requestPrincipals", "request.auth.principal", "i/a", "i/b"),
    ] {
        dead_source(&format!("{field}: [ '{one}' ]"), &when(key, other), &apart(field, key));
        let text = format!("{{ from: [ {{ source: {{ {field}: [ '{one}' ] }} }} ]{} }}", when(key, "*"));
        rule(&text, &[]);
    }
    for (field, key) in [("types", "event.attributes[type]"), ("sources", "event.attributes[source]")] {
        dead_operation(&format!("{field}: [ a* ]"), &when(key, "b"), &apart(field, key));
    }
    dead_source(
        "principals: [ 'spiffe://td/ns/a/sa/x', 'spiffe://td/node/n' ], namespaces: [ b, c* ]",
        "",
        "no one of `principals` is in one of `namespaces`",
    );
    dead_source(
        "principals: [ 'spiffe://td/ns/a/sa/x' ]",
        &when("source.namespace", "b"),
        "no such principal is in such a namespace",
    );
    dead_source(
        "namespaces: [ b ]",
        &when("source.principal", "spiffe://td/ns/a/sa/x"),
        "no such principal is in such a namespace",
    );
    rule("{ from: [ { source: { principals: [ 'spiffe://td/ns/a/sa/x' ], namespaces: [ a ] } } ] }", &[]);
    rule(
        "{ when: [ { key: origin.principal, values: [ 'spiffe://td/a' ] }, «{ key: origin.principal, values: [ 'spiffe://td/b' ] } ] }",
        &[
            "bad_value rules[0].when[1]: this can never match: `origin.principal` and `origin.principal` have no value in common",
        ],
    );
    // A list may have both.
    rule(
        "{ when: [ { key: 'request.auth.claims[a]', values: [ b ] }, { key: 'request.auth.claims[a]', values: [ c ] } ] }",
        &[],
    );
}
