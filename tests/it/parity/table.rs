//! The table: who calls, what is called, and the policies that stand between. Its own small words for policies, which are
//! written as manifests for the node and read by the naive model for the expectation.
//!
//! Only what every path has is in it: principals, namespaces and origins, resources by name, verbs. What a path lacks
//! (a publish has no method, an event from a function no address) cannot be the same on all of them.

/// A list of texts.
pub(super) type Texts = &'static [&'static str];

/// Fields of a source, by their key in a manifest.
pub(super) type Source = &'static [(&'static str, Texts)];

/// One rule.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// `from`.
    pub(super) from: &'static [Source],
    /// `verbs` of every operation.
    pub(super) verbs: Texts,
    /// `functions` of one operation, `topics` of another: the same resource on every path.
    pub(super) names: Texts,
    /// `when`: key, `values` or `notValues`, and these.
    pub(super) when: &'static [(&'static str, &'static str, Texts)],
}

/// One policy.
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) action: &'static str,
    pub(super) rules: &'static [Rule],
}

/// A function that echoes, a topic of the same name, and the policies bound to both.
pub(super) struct Target {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) policies: &'static [Policy],
}

impl Target {
    /// `ns/name`.
    pub(super) fn full(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Namespaces of callers: each has a function `one` and a function `two`, and is somebody on every path.
pub(super) const CALLERS: Texts = &["alpha", "alps", "beta", "delta", "gamma"];

/// The functions of each.
pub(super) const FUNCTIONS: Texts = &["one", "two"];

/// A caller: `(namespace, function)`.
pub(super) type Caller = (&'static str, &'static str);

/// Every caller.
pub(super) fn callers() -> impl Iterator<Item = Caller> {
    CALLERS.iter().flat_map(|namespace| FUNCTIONS.iter().map(|function| (*namespace, *function)))
}

/// Its SPIFFE id.
pub(super) fn id((namespace, function): Caller) -> String {
    format!("spiffe://weft.local/ns/{namespace}/fn/{function}")
}

const ALPHA_ONE: &str = "spiffe://weft.local/ns/alpha/fn/one";
const ALPS_TWO: &str = "spiffe://weft.local/ns/alps/fn/two";
const GAMMA_ONE: &str = "spiffe://weft.local/ns/gamma/fn/one";
const IN_ALPHA: &str = "spiffe://weft.local/ns/alpha/*";
const IN_BETA: &str = "spiffe://weft.local/ns/beta/*";

const ANY: Rule = Rule { from: &[], verbs: &[], names: &[], when: &[] };
const ALL_VERBS: Texts = &["request", "publish", "deliver"];

const fn from(from: &'static [Source]) -> Rule {
    Rule { from, ..ANY }
}

const fn when(when: &'static [(&'static str, &'static str, Texts)]) -> Rule {
    Rule { when, ..ANY }
}

const fn policy(action: &'static str, name: &'static str, rules: &'static [Rule]) -> Policy {
    Policy { name, action, rules }
}

const fn allow(rules: &'static [Rule]) -> Policy {
    policy("ALLOW", "allow", rules)
}

const fn deny(rules: &'static [Rule]) -> Policy {
    policy("DENY", "deny", rules)
}

const fn audit(rules: &'static [Rule]) -> Policy {
    policy("AUDIT", "audit", rules)
}

const fn target(namespace: &'static str, name: &'static str, policies: &'static [Policy]) -> Target {
    Target { namespace, name, policies }
}

/// Namespaces of targets, with their own default if they have one.
pub(super) const NAMESPACES: [(&str, Option<&str>); 4] =
    [("closed", None), ("free", Some("allow")), ("shut", Some("deny")), ("owned", None)];

/// Policies without targets: of a namespace, or of the whole mesh.
pub(super) const WIDE: &[(&str, Policy)] = &[
    ("owned", policy("ALLOW", "members", &[from(&[&[("namespaces", &["al*", "gamma"])]])])),
    ("owned", policy("AUDIT", "seen", &[from(&[&[("principals", &["*/fn/two"])]])])),
    (
        "weft-system",
        policy(
            "DENY",
            "ban",
            &[Rule { names: &["banned*"], ..from(&[&[("principals", &["*/beta/fn/one", "*/fn/two"])]]) }],
        ),
    ),
    (
        "weft-system",
        policy("AUDIT", "watch", &[Rule { names: &["*-watched"], ..from(&[&[("origins", &[IN_ALPHA])]]) }]),
    ),
];

/// Every target.
pub(super) const TARGETS: &[Target] = &[
    target("closed", "bare", &[]),
    target("closed", "exact", &[allow(&[from(&[&[("principals", &[ALPHA_ONE])]])])]),
    target("closed", "several", &[allow(&[from(&[&[("principals", &[ALPHA_ONE, ALPS_TWO])]])])]),
    target("closed", "prefix", &[allow(&[from(&[&[("principals", &[IN_ALPHA])]])])]),
    target("closed", "suffix", &[allow(&[from(&[&[("principals", &["*/fn/two"])]])])]),
    target("closed", "present", &[allow(&[from(&[&[("principals", &["*"])]])])]),
    target("closed", "not-exact", &[allow(&[from(&[&[("notPrincipals", &[ALPHA_ONE])]])])]),
    target("closed", "not-prefix", &[allow(&[from(&[&[("notPrincipals", &[IN_BETA])]])])]),
    target("closed", "not-suffix", &[allow(&[from(&[&[("notPrincipals", &["*/one"])]])])]),
    target("closed", "all-but", &[allow(&[from(&[&[("principals", &[IN_ALPHA]), ("notPrincipals", &["*/two"])]])])]),
    target("closed", "namespaces", &[allow(&[from(&[&[("namespaces", &["alpha", "gamma"])]])])]),
    target("closed", "namespaces-prefix", &[allow(&[from(&[&[("namespaces", &["al*"])]])])]),
    target("closed", "namespaces-suffix", &[allow(&[from(&[&[("namespaces", &["*ta"])]])])]),
    target("closed", "not-namespaces", &[allow(&[from(&[&[("notNamespaces", &["beta", "al*"])]])])]),
    target(
        "closed",
        "namespace-and-name",
        &[allow(&[from(&[&[("namespaces", &["*a"]), ("principals", &["*/two"])]])])],
    ),
    target("closed", "origins", &[allow(&[from(&[&[("origins", &[ALPHA_ONE, GAMMA_ONE])]])])]),
    target("closed", "origins-prefix", &[allow(&[from(&[&[("origins", &[IN_BETA])]])])]),
    target("closed", "not-origins", &[allow(&[from(&[&[("notOrigins", &["*/fn/one"])]])])]),
    target("closed", "when-namespace", &[allow(&[when(&[("source.namespace", "values", &["gamma", "del*"])])])]),
    target("closed", "when-not-namespace", &[allow(&[when(&[("source.namespace", "notValues", &["gamma", "*ta"])])])]),
    target("closed", "when-principal", &[allow(&[when(&[("source.principal", "values", &[IN_ALPHA, ALPS_TWO])])])]),
    target("closed", "when-origin", &[allow(&[when(&[("origin.principal", "notValues", &["*/two"])])])]),
    target(
        "closed",
        "when-both",
        &[allow(&[when(&[("source.namespace", "values", &["al*"]), ("origin.principal", "values", &["*/one"])])])],
    ),
    target(
        "closed",
        "two-sources",
        &[allow(&[from(&[&[("principals", &[ALPHA_ONE])], &[("namespaces", &["beta"])]])])],
    ),
    target("closed", "nobody", &[allow(&[])]),
    target("closed", "everybody", &[allow(&[ANY])]),
    target(
        "closed",
        "third-rule",
        &[allow(&[
            from(&[&[("principals", &[GAMMA_ONE])]]),
            from(&[&[("namespaces", &["nowhere"])]]),
            from(&[&[("origins", &["*/two"])]]),
        ])],
    ),
    target(
        "closed",
        "second-policy",
        &[
            policy("ALLOW", "a-first", &[from(&[&[("namespaces", &["alpha"])]])]),
            policy("ALLOW", "b-second", &[from(&[&[("principals", &["*/one"])]])]),
        ],
    ),
    target("closed", "deny-alone", &[deny(&[from(&[&[("principals", &[ALPS_TWO])]])])]),
    target("closed", "deny-first", &[deny(&[from(&[&[("principals", &[IN_ALPHA])]])]), allow(&[ANY])]),
    target(
        "closed",
        "deny-second",
        &[
            deny(&[when(&[("source.namespace", "values", &["none"])]), from(&[&[("origins", &["*/two"])]])]),
            allow(&[ANY]),
        ],
    ),
    target(
        "closed",
        "deny-and-narrow",
        &[deny(&[from(&[&[("namespaces", &["beta"])]])]), allow(&[from(&[&[("principals", &["*/one"])]])])],
    ),
    target("closed", "audit-alone", &[audit(&[ANY])]),
    target("closed", "audited", &[audit(&[from(&[&[("namespaces", &["al*"])]]), ANY]), allow(&[ANY])]),
    target(
        "closed",
        "verbs",
        &[allow(&[Rule { verbs: ALL_VERBS, ..from(&[&[("principals", &[IN_ALPHA, GAMMA_ONE])]]) }])],
    ),
    target("closed", "other-verbs", &[allow(&[Rule { verbs: &["read"], ..ANY }])]),
    target("closed", "deny-other-verbs", &[deny(&[Rule { verbs: &["egress"], ..ANY }]), allow(&[ANY])]),
    target(
        "closed",
        "named",
        &[allow(&[Rule { names: &["nam*"], ..from(&[&[("namespaces", &["delta", "gamma"])]]) }])],
    ),
    target("closed", "banned-here", &[allow(&[ANY])]),
    target("closed", "openly-watched", &[allow(&[from(&[&[("namespaces", &["a*", "b*"])]])])]),
    target("free", "bare", &[]),
    target("free", "denied", &[deny(&[from(&[&[("namespaces", &["alpha", "delta"])]])])]),
    // Without verbs it would keep the operator from reading it, too.
    target("free", "denied-all", &[deny(&[Rule { verbs: ALL_VERBS, ..from(&[&[("principals", &["*"])]]) }])]),
    target("free", "narrow", &[allow(&[from(&[&[("principals", &[ALPHA_ONE])]])])]),
    target("free", "other-verbs", &[allow(&[Rule { verbs: &["read"], ..from(&[&[("principals", &[ALPHA_ONE])]]) }])]),
    target("free", "banned-too", &[]),
    target("shut", "bare", &[]),
    target("shut", "open", &[allow(&[from(&[&[("notNamespaces", &["gamma"])]])])]),
    target("owned", "plain", &[]),
    target("owned", "more", &[policy("ALLOW", "more", &[from(&[&[("principals", &[IN_BETA])]])])]),
    target("owned", "less", &[deny(&[from(&[&[("origins", &["*/fn/two"])]])])]),
];
