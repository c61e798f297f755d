//! The third release: orders are withdrawn and not cancelled any more, there are no coupons, and a line has its tax.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wal_db::{WalRecord, WalSchema, event::Retired};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    #[wal(version = 3)]
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        #[wal(since = 2, default = "web")]
        channel: String,
        #[wal(changed(2))]
        to: Address,
        #[wal(changed(3))]
        lines: Vec<Line>,
    },
    #[wal(version = 2)]
    Paid {
        order: Uuid,
        amount: Decimal,
        #[wal(changed(2))]
        by: Method,
    },
    #[wal(version = 2)]
    Shipped {
        order: Uuid,
        at: DateTime<Utc>,
        #[wal(changed(2))]
        to: Address,
    },
    #[wal(alias = "cancelled")]
    Withdrawn {
        order: Uuid,
        reason: String,
    },
    CustomerChanged {
        customer: Uuid,
        name: Option<String>,
        mail: Option<String>,
    },
    Credited {
        customer: Uuid,
        amount: Decimal,
    },
    Debited {
        customer: Uuid,
        amount: Decimal,
    },
    #[wal(retired)]
    CouponUsed(Retired),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
pub(crate) struct Address {
    pub(crate) street: String,
    #[wal(since = 2, default)]
    pub(crate) code: Option<String>,
    pub(crate) city: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) count: u32,
    pub(crate) price: Decimal,
    #[wal(since = 2, default)]
    pub(crate) tax: Decimal,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
pub(crate) enum Method {
    Cash,
    #[wal(since = 2)]
    Voucher {
        code: String,
    },
    Card {
        last_digits: u16,
    },
}
