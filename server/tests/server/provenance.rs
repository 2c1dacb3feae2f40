//! Who registered a build, and how an administrator takes one back. Every test runs on every
//! backend.

use crate::{
    backend::on_every_backend,
    daemon::{Acknowledged, Daemon, build},
    registry::{linked, marked, register, signature_text},
    security::token,
};
use ogrt_proto::{BuildRecord, Hello, MessageType, Registrar, encode_frame};
use prost::Message;
use serde_json::{Value, json};

fn asked(daemon: &Daemon, signature: u8) -> Value {
    let (status, answer) = daemon.get(&format!("/v1/builds/{}", signature_text(signature)));
    assert_eq!(status, 200, "{answer}");
    answer
}

fn post(daemon: &Daemon, token: &str, record: &BuildRecord) -> u16 {
    let header = format!("authorization: Bearer {token}\r\n");
    daemon.http_with("POST", "/v1/builds", &header, &record.encode_to_vec()).0
}

fn delete(daemon: &Daemon, signature: u8, header: &str) -> (u16, Value) {
    let path = format!("/v1/builds/{}", signature_text(signature));
    let (status, body) = daemon.http_with("DELETE", &path, header, &[]);
    (status, serde_json::from_slice(&body).unwrap())
}

fn dependents(daemon: &Daemon, signature: u8) -> Value {
    daemon.get(&format!("/v1/dependents/{}", signature_text(signature))).1
}

on_every_backend! {
    fn a_build_has_the_user_that_the_kernel_told(backend) {
        let daemon = backend.start("");
        let uid = nix::unistd::geteuid().as_raw();
        let own = BuildRecord { uid: Some(uid), ..build(1, "own") };
        // What a record says of its registrar is a claim like all of it.
        let registrar = Some(Registrar { uid: Some(0), token: Some("site".into()), ..Registrar::default() });
        let other = BuildRecord { uid: Some(uid + 1), registrar, ..build(2, "other") };
        let mut stream = Acknowledged::unix(&daemon.unix);
        for record in [&own, &other] {
            stream.send(&encode_frame(MessageType::BuildRecord, record)).unwrap();
        }
        stream.wait_for(2).unwrap();
        register(&daemon, &[BuildRecord { registrar: other.registrar.clone(), ..build(3, "tcp") }]);
        let (own, other, tcp) = (asked(&daemon, 1), asked(&daemon, 2), asked(&daemon, 3));
        assert_eq!((&own["uid"], &own["identity"]), (&json!(uid), &json!("kernel")));
        assert_eq!(own["claimed_uid"], Value::Null);
        assert_eq!(other["registered_by"], format!("uid {uid}"));
        assert_eq!(other["registered_with"], "kernel");
        if uid == 0 {
            // Root may deliver what waits in the spools of others.
            assert_eq!((&other["uid"], &other["identity"]), (&json!(1), &json!("claimed")));
        } else {
            assert_eq!((&other["uid"], &other["claimed_uid"]), (&json!(uid), &json!(uid + 1)));
        }
        assert_eq!((&tcp["identity"], &tcp["registered_by"]), (&json!("claimed"), &Value::Null));
        let listed = daemon.get("/v1/builds?name=own").1;
        assert_eq!(listed["builds"][0]["identity"], "kernel");
    }

    fn the_token_that_registered_a_build_is_named_and_a_relay_is_believed(backend) {
        let daemon = backend.start("[access]\nregister = \"token\"\n");
        let data = daemon.path().join("data");
        let host = token(&data, &["add", "buildhost"]);
        let relay = token(&data, &["add", "node7", "--scope", "relay"]);
        let told = Some(Registrar { uid: Some(7), username: Some("ann".into()), ..Registrar::default() });
        let record = |signature| BuildRecord { uid: Some(7), registrar: told.clone(), ..build(signature, "x") };
        assert_eq!(post(&daemon, &host, &record(1)), 201);
        let hello = Hello { token: Some(relay), ..Hello::default() };
        let socket = std::net::TcpStream::connect(&daemon.tcp).unwrap();
        let mut stream = Acknowledged::greet(socket, &hello).unwrap();
        stream.send(&encode_frame(MessageType::BuildRecord, &record(2))).unwrap();
        stream.wait_for(1).unwrap();
        daemon.registrations_are_settled();
        let (own, relayed) = (asked(&daemon, 1), asked(&daemon, 2));
        assert_eq!((&own["registered_by"], &own["registered_with"]), (&json!("buildhost"), &json!("token")));
        assert_eq!(own["identity"], "claimed");
        assert_eq!((&relayed["identity"], &relayed["username"]), (&json!("kernel"), &json!("ann")));
        assert_eq!((&relayed["registered_by"], &relayed["via"]), (&json!("uid 7"), &json!("node7")));
        // Whoever registers the same again changes nothing.
        assert_eq!(post(&daemon, &host, &record(2)), 200);
        assert_eq!(asked(&daemon, 2)["registered_by"], "uid 7");
        assert_eq!(asked(&daemon, 2)["builds"], Value::Null);
    }

    fn a_withdrawn_build_makes_room_for_the_true_one(backend) {
        let daemon = backend.start("");
        let data = daemon.path().join("data");
        assert_eq!(delete(&daemon, 1, "").0, 403, "nobody may, and the answer says how somebody may");
        let (host, operator) = (
            token(&data, &["add", "buildhost"]),
            token(&data, &["add", "operator", "--scope", "administer"]),
        );
        let shown = format!("authorization: Bearer {operator}\r\n");
        let header = shown.as_str();
        // The server looks at the file once a second.
        crate::daemon::wait_for("the token", || (delete(&daemon, 1, header).0 == 404).then_some(()));
        // A false library that contains nothing, and an application that holds it.
        let user = |name: &str| Some(name.to_owned());
        let false_lib = BuildRecord { username: user("eve"), ..linked(1, "false", vec![]) };
        let true_lib = BuildRecord { username: user("ann"), ..linked(1, "true", vec![marked(9)]) };
        register(&daemon, &[linked(9, "base", vec![]), false_lib.clone(), linked(2, "app", vec![marked(1)])]);
        assert_eq!(dependents(&daemon, 1)["count"], 1);
        assert_eq!(dependents(&daemon, 9)["count"], 0);
        assert_eq!(post(&daemon, &host, &true_lib), 409);

        assert_eq!(delete(&daemon, 1, "").0, 401);
        assert_eq!(delete(&daemon, 1, &format!("authorization: Bearer {host}\r\n")).0, 403);
        let (status, withdrawn) = delete(&daemon, 1, header);
        assert_eq!((status, &withdrawn["withdrawn_by"]), (200, &json!("operator")), "{withdrawn}");
        assert_eq!(withdrawn["build"]["metadata"]["name"], "false");
        assert_eq!(delete(&daemon, 1, header).0, 404);
        assert_eq!(daemon.get(&format!("/v1/builds/{}", signature_text(1))).0, 404);
        for found_by in ["name=false", "user=eve"] {
            assert_eq!(daemon.get(&format!("/v1/builds?{found_by}")).1["builds"], json!([]), "{found_by}");
        }

        assert_eq!(post(&daemon, &host, &true_lib), 201);
        assert_eq!(asked(&daemon, 1)["registered_by"], "buildhost");
        assert_eq!(dependents(&daemon, 1)["count"], 1, "the application still contains it");
        assert_eq!(dependents(&daemon, 9)["count"], 2, "through the true one");
        assert_eq!(daemon.get("/v1/builds?user=ann").1["builds"].as_array().unwrap().len(), 1);
        let kept = daemon.get("/v1/withdrawals").1;
        assert_eq!(kept["withdrawals"][0]["build"]["username"], "eve", "{kept}");
        assert!(daemon.log().contains("withdrawn by the token operator"));

        let daemon = daemon.crash_and_restart(&backend.configuration());
        assert_eq!(daemon.get("/v1/withdrawals").1, kept);
        assert_eq!(asked(&daemon, 1)["metadata"]["name"], "true");
        assert_eq!(dependents(&daemon, 9)["count"], 2);
    }
}
