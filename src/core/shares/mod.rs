//! Shares: decides which request gets a place when there are fewer places than requests.
//!
//! * [`Pool`] is for work that can wait: transfers, archives, password hashes, sessions. Its
//!   [`Table`] decides, and a task owns the table. Requests and released places reach the task as
//!   messages.
//! * [`Budget`] is for amounts of which requests need more or less, step by step or at once:
//!   memory, objects of pushes.
//! * [`Slots`] is for connections, which are admitted or refused at once: atomic counters, no task.
//!
//! All count by [`Holder`]: an account, or the network of a client that has not logged in. A pool
//! shares a second time by the network of each request ([`Client`]), because accounts cost nothing
//! and addresses do.
//!
//! Invariants
//! * Work-conserving: a lone holder may take everything except for a named reserve.
//! * A freed place goes to the waiting holder with the fewest places; among equals to the network
//!   with the fewest places. Equal networks take turns.
//! * A request is refused for two reasons only: it waited for [`Rules::patience`], or the queue is
//!   full and its holder has the most requests (among equals: its network).
//! * A network loses a place to another network only if it still has as many places as that one
//!   afterwards. The only exception is a place whose client is slow.
//! * A pool's table holds at most [`Rules::size`] places and [`Rules::waiting`] waiting requests,
//!   whatever clients do.

mod budget;
mod budget_table;
mod holder;
mod metrics;
mod pace;
mod pool;
mod slots;
mod table;
#[cfg(test)]
mod table_test;

pub use budget::{Budget, BudgetGrant, Endable};
pub use budget_table::{BudgetRules, Reserve};
pub use holder::{Client, Holder, network_of};
pub use metrics::{PoolMeter, PoolMetrics, PoolName};
pub use pace::{Direction, Pace, Recent, Window};
pub use pool::{Pool, PoolRefusal, Share};
pub use slots::{HolderSlot, Slot, Slots};
pub use table::{Admission, Cut, Reserved, Rules, Table};
