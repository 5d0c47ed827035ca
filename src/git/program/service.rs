//! The commands of the smart protocol: `git upload-pack` and `git receive-pack`.

use std::path::Path;

use super::{Git, hooks_path};
use crate::domain::push::FastForward;
use crate::git::cage::Cage;
use crate::git::child::GitCommand;
use crate::git::fsck;

/// A service of the smart protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|service| service.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// The protocol version that a client requests; any unsupported value is version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProtocolVersion {
    #[default]
    Zero,
    One,
    Two,
}

impl ProtocolVersion {
    /// Parses the header `Git-Protocol`. Only the values of versions 1 and 2 are ever forwarded to
    /// git.
    pub fn from_header(value: Option<&str>) -> Self {
        match value {
            Some("version=1") => Self::One,
            Some("version=2") => Self::Two,
            _ => Self::Zero,
        }
    }

    fn variable(self) -> Option<&'static str> {
        match self {
            Self::Zero => None,
            Self::One => Some("version=1"),
            Self::Two => Some("version=2"),
        }
    }
}

/// The rules of a push that git itself enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRules {
    /// Maximum size of the pack in bytes.
    pub input_bytes_max: u64,
    pub fast_forward: FastForward,
    /// Either all refs are updated or none.
    pub is_atomic: bool,
    /// The server makes the refs durable ([`sync_refs`](crate::git::store::Store::sync_refs)) with
    /// a single sync: git would sync each ref separately.
    pub has_many_refs: bool,
}

impl Git {
    /// Returns `git upload-pack` or `git receive-pack` for one request, or for the ref
    /// advertisement (`advertise`).
    pub fn service(
        &self,
        service: Service,
        repository: &Path,
        protocol: ProtocolVersion,
        advertise: bool,
        rules: Option<&PushRules>,
    ) -> GitCommand {
        let cage = match rules {
            Some(rules) => Cage::writer(&self.limits, rules.input_bytes_max),
            None => self.reader(),
        };
        let mut command = self.command(repository, cage);
        if let Some(variable) = protocol.variable() {
            command.env("GIT_PROTOCOL", variable);
        }
        for setting in [
            "uploadpack.allowFilter=true",
            // As in protocol version 2: a partial clone fetches missing objects by id.
            "uploadpack.allowAnySHA1InWant=true",
            "receive.autogc=false",
            // Set explicitly, so that git refuses without printing its hint about the setting.
            "receive.denyDeleteCurrent=refuse",
            // Every push uses index-pack: unpack-objects holds all trees and commits of a push in
            // memory.
            "transfer.unpackLimit=1",
            // Filters by a sparse-checkout file in the repository: server work that no client here
            // needs.
            "uploadpackfilter.sparse:oid.allow=false",
            // Combined filters and tree-depth filters take memory in proportion to their number;
            // clients use tree:0 and blob filters.
            "uploadpackfilter.combine.allow=false",
            "uploadpackfilter.tree.maxDepth=0",
            "receive.advertisePushOptions=true",
            "transfer.fsckObjects=true",
            "transfer.hideRefs=refs/netbit",
        ] {
            command.set(setting);
        }
        for setting in fsck::settings(true) {
            command.set(setting);
        }
        if let Some(rules) = rules {
            // 0 would mean unlimited.
            let max = rules.input_bytes_max.max(1);
            command.set(format!("receive.maxInputSize={max}"));
            let named = match &rules.fast_forward {
                FastForward::Refs(names) if self.hooks_can_run => Some(names),
                _ => None,
            };
            let all = rules.fast_forward != FastForward::Free && named.is_none();
            command.set(format!("receive.denyNonFastForwards={all}"));
            if rules.has_many_refs {
                command.set("core.fsync=objects,derived-metadata");
            }
            // The `update` hook is a process per ref: used only if refs differ in their rules.
            let hooks = named.map_or_else(|| self.store.push_hooks(), |_| self.store.push_hooks_by_ref());
            command.set(hooks_path(&hooks));
            let flag = |is_set| if is_set { "1" } else { "0" };
            command.env("NETBIT_FAST_FORWARD", flag(all));
            let names: Vec<_> = named.into_iter().flatten().map(String::as_str).collect();
            command.env("NETBIT_FAST_FORWARD_REFS", names.join("\n"));
            command.env("NETBIT_ATOMIC", flag(rules.is_atomic));
        }
        command.arg(service.command()).arg("--stateless-rpc");
        if advertise {
            command.arg("--http-backend-info-refs");
        }
        command.arg(repository);
        command
    }
}
