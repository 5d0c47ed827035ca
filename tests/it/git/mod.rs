//! git over HTTP, with the client that people have and with raw requests.

mod access;
pub(crate) mod clients;
mod departures;
mod histories;
mod pushes;
mod recovery;
mod refusals;
mod upkeep;
mod wire;
