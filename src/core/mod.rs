//! Infrastructure without business logic: another product could use it as well.

pub mod actor;
pub mod auth;
pub mod bus;
pub mod config;
pub mod control_socket;
pub mod data_dir;
pub mod database;
pub mod fail_points;
pub mod keyed_lock;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod metrics;
pub mod node_address;
pub mod origins;
pub mod owner;
pub mod plural;
pub mod private_file;
pub mod proxies;
pub mod saturate;
pub mod shares;
pub mod telemetry;
pub mod tls;
pub mod trust;
