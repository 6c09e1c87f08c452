//! Unusual ways to listen, and what is left of the files of sockets.

use crate::support::{Cluster, Node, Sandbox, said};

crate::on_two_nodes!(
    a_port_of_udp_may_be_a_text,
    readable_all_may_be_a_number,
    a_shutdown_removes_the_files_of_all_sockets,
);

fn a_port_of_udp_may_be_a_text(node: &Node) {
    let sandbox = Sandbox::new();
    let lines = "require('dgram').createSocket('udp4').bind(process.env.PORT, () => console.log('up'));";
    Cluster::inline(node, &sandbox, lines).apply(&sandbox);
    said(&sandbox, 0, "up");
}

fn readable_all_may_be_a_number(node: &Node) {
    let sandbox = Sandbox::new();
    let lines = "require('net').createServer().listen({ path: 'a.sock', readableAll: 1 }, () => console.log('up'));";
    Cluster::inline(node, &sandbox, lines).apply(&sandbox);
    said(&sandbox, 0, "up");
}

fn a_shutdown_removes_the_files_of_all_sockets(node: &Node) {
    const COUNT: usize = 12;
    for round in 0..5 {
        let sandbox = Sandbox::new();
        let lines = "let up = 0;
            for (let number = 0; number < 12; number++) {
                require('net').createServer().listen(`${number}.sock`, () => ++up === 12 && console.log('up'));
            }";
        Cluster::inline(node, &sandbox, lines).apply(&sandbox);
        said(&sandbox, 0, "up");
        let left = || (0..COUNT).filter(|number| sandbox.path(&format!("{number}.sock")).exists()).count();
        assert_eq!(left(), COUNT);
        sandbox.pm(&["shutdown"]).ok();
        assert_eq!(left(), 0, "round {round}");
    }
}
