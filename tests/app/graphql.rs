//! GraphQL over the life of addresses: every query and every mutation, who may, what is refused
//! and how it is said, and how much one may ask.

use futures_util::future::join_all;
use patchbay::auth::Role;
use patchbay::lifecycle::{Family, State};
use serde_json::{Value, json};

use crate::lifecycle::{
    FAMILIES, agrees, allocate, empty, expected, office, put, state_of, step_refused,
};
use crate::support::app::{Answer, Script, both_databases, unescaped};

/// What is asked of an assignment, everything there is.
const ALL: &str = "success changed id state kind address live subscriberId subscriberKind subscriberName tenantId role poolId
    allocatedAt activatedAt suspendedAt revokedAt reason metadata netboxIpId coaResult disconnectResult operations
    outside { system call state attempts error answer }";

async fn send(script: &Script<'_>, query: &str, variables: Value) -> Answer {
    script.send("POST", "/api/graphql", &json!({ "query": query, "variables": variables })).await
}

async fn ask(script: &Script<'_>, query: &str, variables: Value) -> Value {
    let answer = send(script, query, variables).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// What a request that is not refused says of its only field.
#[track_caller]
fn only(answer: &Value) -> Value {
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"].as_object().unwrap().values().next().unwrap().clone()
}

/// The code and the field of the only refusal.
#[track_caller]
fn refusal(answer: &Value) -> (String, Option<String>) {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("not refused: {answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    let more = &errors[0]["extensions"];
    let code = more["code"].as_str().unwrap_or_else(|| panic!("no code: {answer}"));
    (code.to_owned(), more["field"].as_str().map(str::to_owned))
}

/// The ending of a mutation's name, and what says which of IPv6 is meant.
fn six(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Ipv4 => ("IPv4", ""),
        Family::Ipv6 => ("IPv6", ", kind: ADDRESS"),
        Family::Prefix => ("IPv6", ", kind: PREFIX"),
    }
}

async fn act(script: &Script<'_>, family: Family, word: &str, who: &str, more: &str) -> Value {
    let (version, kind) = six(family);
    let text = format!(
        "mutation ($who: UUID!) {{ {word}{version}(subscriberId: $who{kind}{more}) {{ {ALL} }} }}"
    );
    ask(script, &text, json!({ "who": who })).await
}

async fn look(script: &Script<'_>, family: Family, who: &str) -> Value {
    let (version, kind) = six(family);
    let text = format!(
        "query ($who: UUID!) {{ {}LifecycleState(subscriberId: $who{kind}) {{ {ALL} }} }}",
        version.to_lowercase()
    );
    only(&ask(script, &text, json!({ "who": who })).await)
}

both_databases! {
    async fn a_whole_life_by_every_mutation_and_query(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        for (family, first) in [(Family::Ipv4, "10.20.5.10"), (Family::Ipv6, "2001:db8:5::10"), (Family::Prefix, "2001:db8:ff00::/56")] {
            assert!(look(&script, family, "C-4711").await.is_null(), "nobody is null, as the schema says");
            let more = r#", options: { subscriberName: "Ann & Sons", metadata: { ticket: 7 } }"#;
            let born = only(&act(&script, family, "allocate", "C-4711", more).await);
            assert_eq!((born["state"].as_str(), born["address"].as_str()), (Some("ALLOCATED"), Some(first)));
            assert_eq!((born["kind"].as_str(), born["success"].as_bool(), born["live"].as_bool()),
                (Some(if family == Family::Prefix { "PREFIX" } else { "ADDRESS" }), Some(true), Some(true)));
            assert_eq!((born["subscriberId"].as_str(), born["subscriberKind"].as_str(), born["subscriberName"].as_str(), born["role"].as_str()),
                (Some("C-4711"), Some("external"), Some("Ann & Sons"), Some("primary")));
            assert_eq!((&born["metadata"], &born["outside"]), (&json!({ "ticket": 7 }), &json!([])));
            assert_eq!(born["allocatedAt"], "2023-11-14T22:13:20Z");
            assert_eq!(born["operations"], json!(["activate", "revoke", "fail"]));
            app.pass(60);
            let active = only(&act(&script, family, "activate", "C-4711", ", sendCoA: true, options: { username: \"ann@isp\" }").await);
            assert_eq!((active["state"].as_str(), active["activatedAt"].as_str()), (Some("ACTIVE"), Some("2023-11-14T22:14:20Z")));
            assert_eq!(active["metadata"], json!({ "ticket": 7, "username": "ann@isp" }));
            let suspended = only(&act(&script, family, "suspend", "C-4711", ", reason: \"unpaid since May\"").await);
            assert_eq!((suspended["state"].as_str(), suspended["reason"].as_str()), (Some("SUSPENDED"), Some("unpaid since May")));
            assert_eq!(look(&script, family, "C-4711").await["suspendedAt"], "2023-11-14T22:14:20Z");
            assert_eq!(only(&act(&script, family, "reactivate", "C-4711", "").await)["state"], "ACTIVE");
            let failed = only(&act(&script, family, "fail", "C-4711", ", reason: \"no answer\"").await);
            assert_eq!((failed["state"].as_str(), failed["address"].as_str()), (Some("FAILED"), Some(first)));
            assert_eq!(only(&act(&script, family, "retry", "C-4711", "").await)["state"], "ALLOCATED");
            agrees(&app).await;
            let over = only(&act(&script, family, "revoke", "C-4711", ", releaseToPool: false").await);
            assert_eq!((over["state"].as_str(), over["live"].as_bool(), over["changed"].as_bool()), (Some("REVOKED"), Some(false), Some(true)));
            assert_eq!(only(&act(&script, family, "revoke", "C-4711", "").await)["changed"], false);
            assert_eq!(look(&script, family, "C-4711").await["state"], "REVOKED");
            let second = only(&act(&script, family, "allocate", "C-4711", "").await);
            assert_ne!(second["address"], first, "it was kept");
            agrees(&app).await;
            app.pass(-60);
        }
        let by: Vec<String> = app.audit().await.into_iter().filter(|line| line.contains("assignment.suspended")).collect();
        assert!(by.len() == 3 && by.iter().all(|line| line.contains("(script)")), "{by:?}");
    }

    async fn the_names_of_the_arguments_are_those_scripts_know(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let pool = app.texts("SELECT id FROM pool WHERE kind = 'static' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice')").await[0].clone();
        let who = "0b1f6f3e-29f0-4f5e-9a41-0d6a7b8c9d0e";
        let text = "mutation M($who: UUID!, $pool: UUID) { allocateIPv4(subscriberId: $who, poolId: $pool) { ...R } }
            fragment R on IPv4LifecycleResult { state address poolId }";
        let variables = json!({ "who": who, "pool": pool });
        let body = json!({ "query": text, "variables": variables, "operationName": "M" });
        let answer = script.send("POST", "/api/graphql", &body).await.json();
        assert_eq!(only(&answer), json!({ "state": "ALLOCATED", "address": "10.20.5.10", "poolId": pool }));
        let tenant = patchbay::id::TenantId::DEFAULT.to_string();
        let text = "query ($t: String) { ipv4LifecycleMetrics(tenantId: $t) { tenantId leaks stateCounts { state count }
            utilization { total active allocated revoked utilizationRate allocationRate }
            poolStats { poolCount avgAddressesPerPool pools { name range total used utilizationPercent } } } }";
        for named in [json!({}), json!({ "t": tenant })] {
            let figures = only(&ask(&script, text, named).await);
            assert_eq!(figures["tenantId"], tenant.as_str());
            assert_eq!(figures["stateCounts"][1], json!({ "state": "ALLOCATED", "count": 1 }));
            assert_eq!(figures["stateCounts"].as_array().unwrap().len(), 7);
            assert_eq!((figures["utilization"]["total"].as_i64(), figures["utilization"]["utilizationRate"].as_f64()), (Some(1), Some(6.25)));
            assert_eq!(figures["poolStats"]["pools"][0], json!({ "name": "Voice", "range": "10.20.5.0/24", "total": 16.0, "used": 1.0, "utilizationPercent": 6.25 }));
        }
        allocate(&app, Family::Prefix, "p").await;
        allocate(&app, Family::Ipv6, "p").await;
        let six = only(&ask(&script, "{ ipv6LifecycleMetrics { utilization { allocated } poolStats { poolCount } } }", json!({})).await);
        assert_eq!(six, json!({ "utilization": { "allocated": 2 }, "poolStats": { "poolCount": 2 } }));
        let which = ask(&script, "{ ipv6LifecycleState(subscriberId: \"p\") { state } }", json!({})).await;
        assert_eq!(refusal(&which), ("AMBIGUOUS".into(), Some("subscriberId".into())));
        let size = ask(&script, "mutation { allocateIPv6(subscriberId: \"q\", prefixSize: 60) { address } }", json!({})).await;
        assert_eq!(only(&size)["address"], "2001:db8:ff00:100::/60");
    }

    async fn every_operation_in_every_state_by_graphql(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        for family in FAMILIES {
            for from in State::ALL {
                for word in ["allocate", "activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
                    let (subscriber, id) = put(&app, family, from).await;
                    let answer = act(&script, family, word, &subscriber, "").await;
                    let now = state_of(&app, id).await;
                    match expected(word, from) {
                        Some(to) => {
                            only(&answer);
                            assert_eq!(now.state, to, "{word} {from}");
                        }
                        None => {
                            assert_eq!(now.state, from, "{word} {from}");
                            assert!(answer["data"].as_object().unwrap().values().all(Value::is_null));
                            let (code, field) = refusal(&answer);
                            if word == "allocate" {
                                assert_eq!((code.as_str(), field.as_deref()), ("ALREADY_ALLOCATED", Some("subscriberId")), "{from}");
                            } else {
                                assert_eq!((code.as_str(), field.as_deref()), ("INVALID_TRANSITION", Some("state")), "{word} {from}");
                                let said = answer["errors"][0]["message"].as_str().unwrap();
                                assert!(step_refused(said, from, word), "{said}");
                            }
                        }
                    }
                    agrees(&app).await;
                    empty(&app, &subscriber).await;
                }
            }
        }
    }

    async fn refusals_have_a_code_and_name_the_argument_and_nothing_changes(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let pool = |name: &str, kind: &str| format!("SELECT id FROM pool WHERE kind = '{kind}' AND subnet_id IN (SELECT id FROM subnet WHERE name = '{name}')");
        let v4 = app.texts(&pool("Voice", "static")).await[0].clone();
        let v6 = app.texts(&pool("Voice six", "static")).await[0].clone();
        let taken = "options: { requestedAddress: \"10.20.5.12\" }";
        only(&act(&script, Family::Ipv4, "allocate", "other", &format!(", {taken}")).await);
        let none = "00000000-0000-0000-0000-000000000000";
        let allocations = [
            (Family::Ipv4, taken.to_owned(), "ADDRESS_UNAVAILABLE", "requestedAddress"),
            (Family::Ipv4, "options: { requestedAddress: \"192.0.2.1\" }".to_owned(), "ADDRESS_NOT_IN_POOL", "requestedAddress"),
            (Family::Ipv4, "options: { requestedAddress: \"10.20.5\" }".to_owned(), "BAD_INPUT", "requestedAddress"),
            (Family::Ipv4, format!("poolId: \"{v4}\", options: {{ requestedAddress: \"10.20.5.99\" }}"), "ADDRESS_NOT_IN_POOL", "requestedAddress"),
            (Family::Ipv4, format!("poolId: \"{v6}\""), "BAD_INPUT", "poolId"),
            (Family::Ipv4, format!("poolId: \"{none}\""), "BAD_INPUT", "poolId"),
            (Family::Ipv4, "poolId: \"x\"".to_owned(), "BAD_INPUT", "poolId"),
            (Family::Ipv4, format!("options: {{ subnetId: \"{none}\" }}"), "BAD_INPUT", "subnetId"),
            (Family::Ipv4, "options: { subscriberKind: \"user\" }".to_owned(), "BAD_INPUT", "subscriberId"),
            (Family::Ipv4, "options: { subscriberKind: \"bmc\" }".to_owned(), "BAD_INPUT", "subscriberKind"),
            (Family::Ipv4, "options: { role: \"Primary\" }".to_owned(), "BAD_INPUT", "role"),
            (Family::Ipv4, "options: { mac: \"00:11\" }".to_owned(), "BAD_INPUT", "mac"),
            (Family::Ipv4, "options: { hostname: \"a b\" }".to_owned(), "BAD_INPUT", "hostname"),
            (Family::Ipv4, "options: { nasIp: \"x\" }".to_owned(), "BAD_INPUT", "nasIp"),
            (Family::Ipv4, "options: { metadata: [1] }".to_owned(), "BAD_INPUT", "metadata"),
            (Family::Prefix, "prefixSize: 47".to_owned(), "BAD_INPUT", "prefixSize"),
            (Family::Prefix, "prefixSize: 48".to_owned(), "POOL_EXHAUSTED", "poolId"),
            (Family::Ipv6, "prefixSize: 56".to_owned(), "BAD_INPUT", "prefixSize"),
        ];
        let before = (app.contents().await, app.number("SELECT count(*) FROM assignment").await);
        for (family, more, code, field) in allocations {
            let answer = act(&script, family, "allocate", "fresh", &format!(", {more}")).await;
            assert_eq!(refusal(&answer), (code.to_owned(), Some(field.to_owned())), "{more}: {answer}");
            assert!(answer["errors"][0]["path"][0].as_str().unwrap().starts_with("allocate"), "{answer}");
        }
        for word in ["activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
            let answer = act(&script, Family::Ipv4, word, "nobody", "").await;
            assert_eq!(refusal(&answer), ("NOT_FOUND".into(), Some("subscriberId".into())), "{word}");
        }
        let long = format!(", reason: \"{}\"", "x".repeat(501));
        assert_eq!(refusal(&act(&script, Family::Ipv4, "suspend", "other", &long).await), ("BAD_INPUT".into(), Some("reason".into())));
        let two = act(&script, Family::Ipv4, "allocate", "a b", ", options: { role: \"X\" }").await;
        let fields = two["errors"][0]["extensions"]["fields"].as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["role", "subscriberId"], "each wrong argument is named");
        assert_eq!((app.contents().await, app.number("SELECT count(*) FROM assignment").await), before);
        // What comes after a refusal is done all the same, and what is refused hides nothing.
        let text = "mutation { a: activateIPv4(subscriberId: \"nobody\") { state } b: activateIPv4(subscriberId: \"other\") { state } }";
        let both = ask(&script, text, json!({})).await;
        assert_eq!(refusal(&both).0, "NOT_FOUND");
        assert_eq!(both["data"], json!({ "a": null, "b": { "state": "ACTIVE" } }));
    }

    async fn who_may_only_read_changes_nothing_and_who_is_nobody_learns_nothing(app: TestApp) {
        office(&app).await;
        let admin = app.script(Role::Admin).await;
        only(&act(&admin, Family::Ipv4, "allocate", "C-1", "").await);
        let introspection = json!({ "query": "{ __schema { queryType { name } } __typename }" });
        for role in [Role::Auditor, Role::Helpdesk] {
            let script = app.script(role).await;
            assert_eq!(look(&script, Family::Ipv4, "C-1").await["state"], "ALLOCATED");
            let before = app.contents().await;
            for word in ["allocate", "activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
                for family in FAMILIES {
                    let answer = act(&script, family, word, "C-1", "").await;
                    assert_eq!(refusal(&answer), ("FORBIDDEN".into(), None), "{role:?} {word}");
                }
            }
            assert_eq!(app.contents().await, before);
            let known = script.send("POST", "/api/graphql", &introspection).await.json();
            assert_eq!(known["data"]["__schema"]["queryType"]["name"], "Query");
        }
        let nobody = app.ask("POST", "/api/graphql").json(&introspection).send().await;
        assert_eq!(nobody.status, 401);
        nobody.hides("Query");
        let signed_in = app.signed_in("ann", Role::Admin).await;
        assert_eq!(signed_in.ask("POST", "/api/graphql").ours().json(&introspection).send().await.status, 401, "a session is no token");
        assert_eq!(app.get("/graphql/schema").await.status, 303);
        signed_in.get("/graphql/schema").await.shows("ipv4LifecycleState(");
    }

    async fn another_tenant_sees_and_changes_nothing(app: TestApp) {
        office(&app).await;
        let one = allocate(&app, Family::Ipv4, "C-1").await;
        let pool = one.pool.clone().unwrap();
        app.tenant("acme", "other").await;
        let token = app.token_of("other", Role::Admin, None).await;
        let other = Script { app: &app, token };
        assert!(look(&other, Family::Ipv4, "C-1").await.is_null());
        for word in ["activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
            assert_eq!(refusal(&act(&other, Family::Ipv4, word, "C-1", "").await).0, "NOT_FOUND", "{word}");
        }
        let from = act(&other, Family::Ipv4, "allocate", "C-1", &format!(", poolId: \"{pool}\"")).await;
        assert_eq!(refusal(&from), ("BAD_INPUT".into(), Some("poolId".into())), "{from}");
        let figures = format!("{{ ipv4LifecycleMetrics(tenantId: \"{}\") {{ leaks }} }}", patchbay::id::TenantId::DEFAULT);
        assert_eq!(refusal(&ask(&other, &figures, json!({})).await), ("NOT_FOUND".into(), Some("tenantId".into())));
        let own = only(&ask(&other, "{ ipv4LifecycleMetrics { utilization { total } poolStats { poolCount } } }", json!({})).await);
        assert_eq!(own, json!({ "utilization": { "total": 0 }, "poolStats": { "poolCount": 0 } }));
        assert_eq!(state_of(&app, one.id).await.state, State::Allocated);
    }

    async fn a_request_too_deep_too_costly_or_too_long_is_refused_before_it_runs(app: TestApp) {
        office(&app).await;
        allocate(&app, Family::Ipv4, "C-1").await;
        let script = app.script(Role::Admin).await;
        let said = async |text: &str| {
            let answer = ask(&script, text, json!({})).await;
            assert!(answer["data"].is_null(), "{answer}");
            answer["errors"][0]["message"].as_str().unwrap().to_owned()
        };
        let before = app.contents().await;
        let deep = (0..20).fold("name".to_owned(), |inner, _| format!("ofType {{ {inner} }}"));
        assert!(said(&format!("{{ __type(name: \"Query\") {{ {deep} }} }}")).await.contains("nested too deep"));
        // The same field under many names costs as often.
        let many = |count: usize, field: &str| (0..count).map(|n| format!("a{n}: {field} ")).collect::<String>();
        let cheap = "ipv4LifecycleState(subscriberId: \"C-1\") { state }";
        assert_eq!(ask(&script, &format!("{{ {} }}", many(50, cheap)), json!({})).await["data"].as_object().unwrap().len(), 50);
        assert!(said(&format!("{{ {} }}", many(100, cheap))).await.contains("too complex"));
        assert!(said(&format!("{{ {} }}", many(30, "ipv4LifecycleMetrics { leaks }"))).await.contains("too complex"));
        assert!(said(&format!("mutation {{ {} }}", many(30, "suspendIPv4(subscriberId: \"C-1\") { state }"))).await.contains("too complex"));
        // So it does without names, and by fragments.
        assert!(said(&format!("{{ {} }}", format!("{cheap} ").repeat(100))).await.contains("too complex"));
        let spread = "...F ".repeat(100);
        assert!(said(&format!("{{ {spread} }} fragment F on Query {{ {cheap} }}")).await.contains("too complex"));
        // A list costs as often as it may be long, and a variable says how long just as well.
        let list = "ipv4LifecycleMetrics { poolStats { pools(first: 400) { name range } } }";
        assert!(said(&format!("{{ {list} }}")).await.contains("too complex"));
        let text = "query ($n: Int) { ipv4LifecycleMetrics { poolStats { pools(first: $n) { name range } } } }";
        let long = ask(&script, text, json!({ "n": 400 })).await;
        assert!(long["errors"][0]["message"].as_str().unwrap().contains("too complex"), "{long}");
        only(&ask(&script, text, json!({ "n": 10 })).await);
        // What is written to exhaust the parser.
        for hostile in [
            format!("{{ {} }}", "a { ".repeat(5_000)),
            format!("{{ ipv4LifecycleState(subscriberId: {}) {{ state }} }}", "[".repeat(30_000)),
            format!("{{ ipv4LifecycleState(subscriberId: {} ) {{ state }} }}", "{a: ".repeat(8_000)),
            format!("query ($x: {}Int{}) {{ __typename }}", "[".repeat(8_000), "]".repeat(8_000)),
            format!("{{ __typename {} }}", "@skip(if: false) ".repeat(100)),
            "query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
            "{ ".to_owned(), String::new(), "\u{0}".to_owned(), "subscription { x }".to_owned(),
            format!("{{ ipv4LifecycleState(subscriberId: \"{}\") {{ state }} }}", "x".repeat(60_000)),
        ] {
            let answer = send(&script, &hostile, json!({})).await;
            assert_eq!(answer.status, 200, "{}", &hostile[..hostile.len().min(40)]);
            assert!(answer.json()["errors"].is_array(), "{}: {}", &hostile[..hostile.len().min(40)], &answer.text[..answer.text.len().min(300)]);
            for inside in ["panicked", "sqlx", "/src/"] {
                answer.hides(inside);
            }
        }
        let huge = send(&script, &format!("{{ __typename }} #{}", "x".repeat(64 << 10)), json!({})).await;
        assert_eq!(huge.status, 413);
        let nested = format!(r#"{{"query":"{{ __typename }}","variables":{}1{}}}"#, "{\"a\":".repeat(2_000), "}".repeat(2_000));
        let answer = script.ask("POST", "/api/graphql").header("content-type", "application/json").body(nested).send().await;
        assert_eq!(answer.status, 400, "{answer:?}");
        for (body, status) in [("[]", 422), ("{}", 422), ("{\"query\":7}", 422), ("{", 400), ("[{\"query\":\"{__typename}\"}]", 422)] {
            let answer = script.ask("POST", "/api/graphql").header("content-type", "application/json").body(body).send().await;
            assert_eq!(answer.status, status, "{body}");
        }
        assert_eq!(script.ask("POST", "/api/graphql").header("content-type", "text/plain").body("{}").send().await.status, 415);
        assert_eq!(script.get("/api/graphql?query={__typename}").await.status, 405);
        assert_eq!(app.contents().await, before);
    }

    async fn tools_can_learn_the_schema(app: TestApp) {
        let script = app.script(Role::Auditor).await;
        let known = ask(&script, INTROSPECTION, json!({})).await;
        let types = known["data"]["__schema"]["types"].as_array().unwrap_or_else(|| panic!("{known}")).clone();
        let fields = |name: &str| -> Vec<String> {
            let found = types.iter().find(|kind| kind["name"] == name).unwrap_or_else(|| panic!("no {name}"));
            found["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(fields("Query"), ["ipv4LifecycleState", "ipv4LifecycleMetrics", "ipv6LifecycleState", "ipv6LifecycleMetrics"]);
        let mut mutations = fields("Mutation");
        mutations.sort();
        let words = ["activate", "allocate", "fail", "reactivate", "retry", "revoke", "suspend"];
        let known: Vec<String> = words.iter().flat_map(|word| [format!("{word}IPv4"), format!("{word}IPv6")]).collect();
        assert_eq!(mutations, known);
        assert_eq!(fields("IPv4LifecycleResult"), fields("IPv6LifecycleResult"));
        assert_eq!(fields("IPv4LifecycleMetrics"), fields("IPv6LifecycleMetrics"));
        let states = types.iter().find(|kind| kind["name"] == "IPv4LifecycleState").unwrap();
        let states: Vec<&str> = states["enumValues"].as_array().unwrap().iter().map(|value| value["name"].as_str().unwrap()).collect();
        assert_eq!(states, ["PENDING", "ALLOCATED", "ACTIVE", "SUSPENDED", "REVOKING", "REVOKED", "FAILED"]);
    }

    async fn a_repeated_request_is_done_once_each_of_its_parts(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let text = "mutation { one: allocateIPv4(subscriberId: \"C-1\") { id state address changed } two: allocateIPv4(subscriberId: \"C-2\") { id address } }";
        let body = json!({ "query": text });
        let send = async |key: &str, body: &Value| script.ask("POST", "/api/graphql").header("idempotency-key", key).json(body).send().await;
        let first = send("k1", &body).await;
        assert!(first.json()["errors"].is_null(), "{first:?}");
        let events = app.audit().await.len();
        for _ in 0..2 {
            assert_eq!(send("k1", &body).await.text, first.text);
        }
        assert_eq!(app.audit().await.len(), events);
        let other = send("k1", &json!({ "query": "mutation { one: suspendIPv4(subscriberId: \"C-1\") { state } }" })).await.json();
        assert_eq!(refusal(&other).0, "CONFLICT");
        assert_eq!(refusal(&script.send("POST", "/api/graphql", &json!({ "query": "mutation { allocateIPv4(subscriberId: \"C-1\") { id } }" })).await.json()).0, "ALREADY_ALLOCATED");
        // Answered for what was done then, not for what is now.
        only(&act(&script, Family::Ipv4, "activate", "C-1", "").await);
        assert_eq!(send("k1", &body).await.text, first.text);
        // What was refused is not kept: the same request may be right later.
        let early = json!({ "query": "mutation { suspendIPv4(subscriberId: \"C-2\", reason: \"x\") { state } }" });
        assert_eq!(refusal(&send("k2", &early).await.json()).0, "INVALID_TRANSITION");
        only(&act(&script, Family::Ipv4, "activate", "C-2", "").await);
        assert_eq!(only(&send("k2", &early).await.json())["state"], "SUSPENDED");
        let again = json!({ "query": "mutation { allocateIPv4(subscriberId: \"C-3\") { id address } }" });
        let at_once = join_all((0..4).map(|_| send("k3", &again))).await;
        assert!(at_once.iter().all(|answer| answer.text == at_once[0].text && answer.json()["errors"].is_null()), "{at_once:?}");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE live").await, 3);
        assert_eq!(send(&"x".repeat(201), &body).await.status, 400);
        // A key is its owner's.
        let script = app.script(Role::Admin).await;
        let mine = script.ask("POST", "/api/graphql").header("idempotency-key", "k3").json(&again).send().await.json();
        assert_eq!(refusal(&mine).0, "ALREADY_ALLOCATED");
    }

    async fn hostile_strings_are_refused_by_name_or_come_back_as_they_went_in(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        only(&act(&script, Family::Ipv4, "allocate", "C-1", "").await);
        only(&act(&script, Family::Ipv4, "activate", "C-1", "").await);
        for (_, input) in crate::hostile::strings() {
            let text = "mutation ($s: UUID!) { allocateIPv6(subscriberId: $s) { id } }";
            let as_id = ask(&script, text, json!({ "s": input })).await;
            if as_id["errors"].is_array() {
                assert_eq!(refusal(&as_id), ("BAD_INPUT".into(), Some("subscriberId".into())), "{input:?}");
            } else {
                assert!(input.bytes().all(|byte| byte.is_ascii_graphic()), "{input:?}");
                only(&ask(&script, "mutation ($s: UUID!) { revokeIPv6(subscriberId: $s) { id } }", json!({ "s": input })).await);
            }
            for (argument, field) in [("role", "role"), ("hostname", "hostname"), ("mac", "mac"), ("username", "username"), ("nasIp", "nasIp"),
                ("subscriberKind", "subscriberKind"), ("requestedAddress", "requestedAddress"), ("subscriberName", "subscriberName")] {
                let text = format!("mutation ($s: String) {{ allocateIPv6(subscriberId: \"h\", options: {{ {argument}: $s }}) {{ id }} }}");
                let answer = ask(&script, &text, json!({ "s": input })).await;
                if answer["errors"].is_array() {
                    let named = refusal(&answer).1;
                    assert_eq!(named.as_deref(), Some(field), "{argument} {input:?}: {answer}");
                } else {
                    empty(&app, "h").await;
                }
            }
            let text = "mutation ($s: String) { suspendIPv4(subscriberId: \"C-1\", reason: $s, options: { metadata: { said: \"x\" } }) { id reason } }";
            let said = ask(&script, text, json!({ "s": input })).await;
            if said["errors"].is_array() {
                assert_eq!(refusal(&said), ("BAD_INPUT".into(), Some("reason".into())), "{input:?}");
            } else {
                assert_eq!(only(&said)["reason"], input.trim());
                let id = only(&said)["id"].as_str().unwrap().to_owned();
                crate::hostile::is_inert(&admin.get(&format!("/lifecycle/{id}")).await);
                only(&act(&script, Family::Ipv4, "reactivate", "C-1", "").await);
            }
            // As the request itself, as variables and as the name of an example.
            let asked = send(&script, &input, json!({})).await;
            assert!(asked.status == 200 && asked.json()["errors"].is_array(), "{input:?}");
            for form in [[("query", input.as_str()), ("variables", "")], [("query", "{ __typename }"), ("variables", input.as_str())]] {
                let page = admin.post("/graphql", &form).await;
                assert!([200, 422].contains(&page.status), "{input:?}: {page:?}");
                crate::hostile::is_inert(&page);
            }
            let query = serde_html_form::to_string([("example", &input)]).unwrap();
            crate::hostile::is_inert(&admin.get(&format!("/graphql?{query}")).await);
        }
    }

    async fn a_person_tries_it_on_a_page(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/lifecycle").await.shows("href=\"/graphql\"");
        app.get("/api/docs").await.shows("href=\"/graphql\"");
        let page = admin.get("/graphql").await;
        page.shows("ipv4LifecycleState(subscriberId: $who)");
        page.shows("type IPv4LifecycleResult {");
        for example in ["state", "metrics", "allocate", "prefix", "suspend", "revoke"] {
            let page = admin.get(&format!("/graphql?example={example}")).await;
            let typed = |name: &str| {
                let rest = page.text.split(&format!("name=\"{name}\"")).nth(1).unwrap();
                unescaped(rest.split_once('>').unwrap().1.split_once("</textarea>").unwrap().0)
            };
            let (text, variables) = (typed("query"), typed("variables"));
            let done = admin.post("/graphql", &[("query", &text), ("variables", &variables)]).await;
            assert_eq!(done.status, 200);
            done.shows("Answer");
            done.shows("\"data\"");
            if example == "suspend" {
                done.shows("INVALID_TRANSITION");
                done.shows("refused");
            } else {
                done.hides("\"errors\"");
            }
            done.shows(text.trim());
        }
        assert_eq!(app.texts("SELECT state FROM assignment WHERE family = 'ipv4'").await, ["revoked"]);
        assert!(app.audit().await.iter().any(|line| line.starts_with("admin assignment.allocated")), "as oneself");
        let bad = admin.post("/graphql", &[("query", "{ __typename }"), ("variables", "{ who: 1 }")]).await;
        assert_eq!(bad.status, 422);
        assert!(bad.field_error("variables").starts_with("this is not JSON"));
        bad.shows("{ who: 1 }");
        let huge = "x".repeat(65 << 10);
        assert_eq!(admin.post("/graphql", &[("query", &huge)]).await.status, 413);
        let reader = app.signed_in("reader", Role::Auditor).await;
        let page = reader.get("/graphql").await;
        page.shows("Look up a subscriber");
        page.hides("?example=allocate");
        let tried = reader.post("/graphql", &[("query", "mutation { allocateIPv4(subscriberId: \"x\") { id } }")]).await;
        tried.shows("FORBIDDEN");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE holder_id = 'x'").await, 0);
    }
}

/// What tools ask to learn a schema.
const INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name }
    types { ...FullType } directives { name description locations args { ...InputValue } } } }
  fragment FullType on __Type { kind name description
    fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
    inputFields { ...InputValue } interfaces { ...TypeRef }
    enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
  fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
  fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";
