//! What a cluster of Node workers needs of the kernel: sockets with an app's own rights, messages with a descriptor, and a
//! place where descriptors survive all of our processes.

mod channel;
mod sockets;
mod vault;

pub use channel::{Sent, pass_connection_on, send_line};
pub use sockets::{
    abstract_name, accept_connection, local_address, never_wait, open_tcp, open_udp, open_unix, remove_socket_file,
    with_rights_of,
};
pub use vault::{VAULT_RECORD_BYTES_MAX, Vault};
