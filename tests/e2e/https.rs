//! An app that speaks TLS is asked over https: a certificate of its own will do, a server without TLS will not.
#![cfg(feature = "tls")]

use crate::support::{SOON, Sandbox, fixture, free_port, wait_until};

/// An app that answers after a moment, with TLS if `wrap` says how.
fn server(sandbox: &Sandbox, name: &str, wrap: &str) -> String {
    let script = sandbox.file(
        &format!("{name}.py"),
        format!(
            r#"
import os, ssl, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
threading.Event().wait(0.2)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"all is well")
    def log_message(self, *words):
        pass
server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
{wrap}
server.serve_forever()
"#
        ),
    );
    let port = free_port();
    format!("[[apps]]\nname = \"{name}\"\ncommand = \"python3 {}\"\nport = {port}\n", script.display())
}

/// The lines that make the server above speak TLS of one version.
fn tls(version: &str) -> String {
    format!(
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.{version}
context.load_cert_chain({:?})
server.socket = context.wrap_socket(server.socket, server_side=True)",
        fixture("localhost.pem")
    )
}

#[test]
fn a_certificate_of_its_own_will_do() {
    let sandbox = Sandbox::new();
    let probe = "http = { url = \"https://localhost:${PORT}/\", body = \"all .* well\" }";
    let of = |name: &str, version: &str| {
        format!(
            "{}ready = {{ {probe} }}\nhealth.http = \"https://127.0.0.1:${{PORT}}/\"\nhealth.interval = \"100ms\"\n",
            server(&sandbox, name, &tls(version))
        )
    };
    sandbox.ecosystem(&format!("{}{}", of("new", "TLSv1_3"), of("old", "TLSv1_2")));
    sandbox.pm(&["apply"]).ok();
    for app in ["new", "old"] {
        let facts: Vec<String> = sandbox.events_of(app).into_iter().map(|event| event.fact).collect();
        assert!(facts.contains(&"ready".to_owned()), "{app}: {facts:?}");
    }
}

#[test]
fn a_server_without_tls_is_told_as_such() {
    let sandbox = Sandbox::new();
    let app = server(&sandbox, "plain", "");
    sandbox.ecosystem(&format!("{app}ready = {{ http = \"https://localhost:${{PORT}}/\" }}\n"));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the list says why", SOON, || sandbox.pm(&["list"]).stdout.contains("the answer is not TLS"));
}
